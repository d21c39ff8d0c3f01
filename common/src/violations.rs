//! What is wrong with a request: every violation at once, each with its field.

use std::fmt;

use crate::{
    status::{Code, Description, Detail},
    text::clip,
};

/// Most bytes of violations that are listed: they travel in HTTP/2 headers, of which clients accept 8 KiB.
const LISTED_BYTES: usize = 3500;

/// Most bytes of field names that the message repeats.
const MESSAGE_BYTES: usize = 300;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field in the request, such as `image.properties["os_distro"]`.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub problem: String,
}

/// Everything that is wrong with a request, in the order it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// One violation, for checks that find no more than one.
    pub fn one(field: impl Into<String>, problem: impl Into<String>) -> Self {
        let mut violations = Self::default();
        violations.add(field, problem);
        violations
    }

    /// Notes that `field` is wrong.
    pub fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.0.push(Violation { field: field.into(), problem: problem.into() });
    }

    /// Takes the value, or notes why `field` has none.
    pub fn take<T, E: fmt::Display>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|problem| self.add(field, problem.to_string())).ok()
    }

    /// Puts `prefix` before each field, for a message that is part of another.
    #[must_use]
    pub fn within(mut self, prefix: &str) -> Self {
        for violation in &mut self.0 {
            violation.field.insert_str(0, prefix);
        }
        self
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds all of `others`.
    pub fn append(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// `Err(self)` when something is wrong.
    pub fn check(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    /// How the violations look in an answer: as many as fit into its headers, then how many more there are.
    #[must_use]
    pub fn describe(&self) -> Description {
        let mut listed = Vec::new();
        let mut bytes = 0;
        for violation in &self.0 {
            let violation =
                Violation { field: clip(&violation.field, 200), problem: clip(&violation.problem, 600) };
            bytes += violation.field.len() + violation.problem.len();
            if bytes > LISTED_BYTES {
                let more = self.0.len() - listed.len();
                listed.push(Violation {
                    field: "…".to_owned(),
                    problem: format!("and {more} more violations; correct these first"),
                });
                break;
            }
            listed.push(violation);
        }
        let description =
            Description::new(Code::InvalidArgument, "INVALID_REQUEST").with("fields", self.fields());
        let description = match self.0.as_slice() {
            [only] => description.with("problem", clip(&only.problem, 600)),
            several => description.with("violations", several.len()),
        };
        description.detail(Detail::BadRequest(listed))
    }

    fn fields(&self) -> String {
        let mut names: Vec<_> = self.0.iter().map(|violation| clip(&violation.field, 200)).collect();
        names.dedup();
        clip(&names.join(", "), MESSAGE_BYTES)
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [only] => write!(formatter, "{}: {}", clip(&only.field, 200), clip(&only.problem, 600)),
            several => write!(formatter, "{} violations, in: {}", several.len(), self.fields()),
        }
    }
}

impl std::error::Error for Violations {}
