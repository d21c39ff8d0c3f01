//! What is wrong with a request: every violation at once, each with its field.

use std::fmt;

use crate::text::clip;

/// Maximum size of the violations that are listed, in bytes: they travel in HTTP/2 headers, of which clients accept 8
/// KiB.
const LISTED_BYTES: usize = 3500;

/// Maximum number of violations that are kept; the rest are only counted.
const KEPT: usize = 50;

/// Maximum length of the field names repeated in the message, in bytes.
const MESSAGE_BYTES: usize = 300;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field in the request, such as `image.properties["os_distro"]`.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

/// Everything that is wrong with a request, in the order in which it was found: the first 50, and the number of the
/// rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations {
    kept: Vec<Violation>,
    /// How many more were found after the last one that was kept.
    more: usize,
}

impl Violations {
    /// A single violation, for checks that find at most one.
    pub fn one(field: impl Into<String>, problem: impl Into<String>) -> Self {
        let mut violations = Self::default();
        violations.add(field, problem);
        violations
    }

    /// Records that `field` is wrong.
    pub fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        if self.kept.len() < KEPT {
            self.kept.push(Violation { field: field.into(), problem: problem.into() });
        } else {
            self.more += 1;
        }
    }

    /// Returns the value, or records why `field` has none.
    pub fn take<T, E: fmt::Display>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|problem| self.add(field, problem.to_string())).ok()
    }

    /// Prepends `prefix` to each field, for a message that is part of another.
    #[must_use]
    pub fn within(mut self, prefix: &str) -> Self {
        for violation in &mut self.kept {
            violation.field.insert_str(0, prefix);
        }
        self
    }

    /// With other names of fields, for an edge that calls them otherwise: each is followed by its new name. What comes
    /// behind a name, such as the key of a map, stays.
    #[must_use]
    pub fn renamed(mut self, names: &[(&str, &str)]) -> Self {
        for violation in &mut self.kept {
            let renamed = names.iter().find_map(|(name, new)| {
                let rest = violation.field.strip_prefix(name)?;
                (rest.is_empty() || rest.starts_with(['[', '.'])).then(|| format!("{new}{rest}"))
            });
            violation.field = renamed.unwrap_or_else(|| std::mem::take(&mut violation.field));
        }
        self
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len() + self.more
    }

    /// Adds all of `others`.
    pub fn append(&mut self, others: Self) {
        let room = KEPT.saturating_sub(self.kept.len());
        self.more += others.more + others.kept.len().saturating_sub(room);
        self.kept.extend(others.kept.into_iter().take(room));
    }

    /// `Err(self)` if something is wrong.
    pub fn check(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    /// As many as fit into the headers of an answer, followed by the number of the rest.
    #[must_use]
    pub fn listed(&self) -> Vec<Violation> {
        let mut listed = Vec::new();
        let mut bytes = 0;
        for violation in &self.kept {
            let violation =
                Violation { field: clip(&violation.field, 200), problem: clip(&violation.problem, 600) };
            bytes += violation.field.len() + violation.problem.len();
            if bytes > LISTED_BYTES {
                break;
            }
            listed.push(violation);
        }
        if listed.len() < self.len() {
            let more = self.len() - listed.len();
            let problem = format!("and {more} more violations; correct these first");
            listed.push(Violation { field: "…".to_owned(), problem });
        }
        listed
    }

    /// The problem, shortened to fit into a sentence, if there is only one.
    #[must_use]
    pub fn only_problem(&self) -> Option<String> {
        match self.kept.as_slice() {
            [only] => Some(clip(&only.problem, 600)),
            _ => None,
        }
    }

    /// The names of the fields, as many as fit into a sentence.
    #[must_use]
    pub fn fields(&self) -> String {
        let mut names: Vec<_> = self.kept.iter().map(|violation| clip(&violation.field, 200)).collect();
        names.dedup();
        clip(&names.join(", "), MESSAGE_BYTES)
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kept.as_slice() {
            [only] => write!(formatter, "{}: {}", clip(&only.field, 200), clip(&only.problem, 600)),
            _ => write!(formatter, "{} violations, in: {}", self.len(), self.fields()),
        }
    }
}

impl std::error::Error for Violations {}
