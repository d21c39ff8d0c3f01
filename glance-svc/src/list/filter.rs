//! Filters: which images a list shows.

use chassis::{
    caller::Caller,
    filter::{self, Operator},
};
use chrono::{DateTime, Utc};
use common::{id::Id, image::Properties, named::Named, text::clip};

use crate::image::{CONTAINER_FORMATS, DISK_FORMATS, Status, Visibility, member::MemberStatus};

/// Which images a list shows: those that meet all conditions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageFilter {
    /// Which visibilities.
    pub visibility: VisibilityFilter,
    /// Which images that are shared with the caller's project.
    pub member_status: Membership,
    /// Whether to list hidden images, and only those.
    pub os_hidden: bool,
    /// Conditions on columns of `images`.
    pub conditions: Vec<Condition>,
    /// Tags that the images must have.
    pub tags: Vec<String>,
    /// Properties that the images must have, with exactly these values.
    pub properties: Properties,
}

/// Whose list it is, which determines what it shows (Glance, current release).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Whether it shows images that other projects own and do not share.
    pub is_admin: bool,
    /// The project, or empty.
    pub project: String,
}

impl Scope {
    /// The scope of a caller's lists.
    #[must_use]
    pub fn of(caller: &Caller) -> Self {
        Self { is_admin: caller.is_admin, project: caller.actor.project_id.clone() }
    }
}

/// Which visibilities a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VisibilityFilter {
    /// All, except community images of other projects.
    #[default]
    Default,
    /// All.
    All,
    /// One.
    Only(Visibility),
}

/// Which of the images that are shared with the caller a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Membership {
    /// Those that the caller's project has accepted.
    #[default]
    Accepted,
    /// All.
    All,
    /// Those with this member status.
    Only(MemberStatus),
}

impl Membership {
    /// The status that a member must have; `None` if any will do.
    #[must_use]
    pub const fn status(self) -> Option<MemberStatus> {
        match self {
            Self::Accepted => Some(MemberStatus::Accepted),
            Self::All => None,
            Self::Only(status) => Some(status),
        }
    }
}

/// A condition on a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// The text is one of these.
    Text(TextColumn, Vec<String>),
    /// The id is one of these.
    Id(Vec<Id>),
    /// The image is protected, or not.
    Protected(bool),
    /// A comparison of a number.
    Number(NumberColumn, Comparison, i64),
    /// A comparison of a time: to the second, as times are shown, or exactly if the given time has a fraction.
    Time(TimeColumn, Comparison, DateTime<Utc>),
}

/// Defines an enum of columns.
macro_rules! columns {
    ($(#[$doc:meta])* $type:ident { $($variant:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each is the field of Image with that name")]
        pub enum $type { $($variant,)+ }

        impl $type {
            /// Every column, by the name of its attribute.
            pub const ALL: &'static [(&'static str, Self)] = &[$(($name, Self::$variant)),+];

            /// The column.
            #[must_use]
            pub const fn sql(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

columns! {
    /// A column of text.
    TextColumn {
        Name = "name",
        Status = "status",
        DiskFormat = "disk_format",
        ContainerFormat = "container_format",
        Owner = "owner",
        Checksum = "checksum",
        OsHashAlgo = "os_hash_algo",
        OsHashValue = "os_hash_value",
    }
}

columns! {
    /// A column of numbers.
    NumberColumn {
        MinRam = "min_ram",
        MinDisk = "min_disk",
        Size = "size",
        VirtualSize = "virtual_size",
    }
}

columns! {
    /// A column of times.
    TimeColumn {
        CreateTime = "create_time",
        UpdateTime = "update_time",
    }
}

/// How to compare a number or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what its operator says")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Every comparison, by its name in Glance's filters.
    pub const ALL: [(&'static str, Self); 6] = [
        ("eq", Self::Equal),
        ("neq", Self::NotEqual),
        ("lt", Self::Less),
        ("lte", Self::LessOrEqual),
        ("gt", Self::Greater),
        ("gte", Self::GreaterOrEqual),
    ];

    /// The operator.
    #[must_use]
    pub const fn sql(self) -> &'static str {
        match self {
            Self::Equal => " = ",
            Self::NotEqual => " <> ",
            Self::Less => " < ",
            Self::LessOrEqual => " <= ",
            Self::Greater => " > ",
            Self::GreaterOrEqual => " >= ",
        }
    }
}

/// What a filter may contain.
const ALLOWED: &str = "name, status, visibility, disk_format, container_format, owner, protected, os_hidden, \
                       member_status = VALUE; tags:VALUE; properties.NAME = VALUE; joined by AND; names and \
                       values with characters other than letters, digits, _ and - in double quotes";

impl ImageFilter {
    /// Parses the filter of a list request; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        filter::read(text, ALLOWED, Self::add)
    }

    fn add(&mut self, condition: filter::Condition) -> Result<(), String> {
        let filter::Condition { field, key, operator, value } = condition;
        match (field.as_str(), key, operator) {
            ("properties", Some(name), Operator::Equals) => {
                filter::add_entry(&mut self.properties, name, value)
            }
            ("tags", None, Operator::Has) => {
                self.tags.push(value);
                Ok(())
            }
            (field, None, Operator::Equals) => self.add_column(field, value),
            (field, _, _) => Err(filter::unknown(field)),
        }
    }

    fn add_column(&mut self, field: &str, value: String) -> Result<(), String> {
        let mut text = |column, value| self.conditions.push(Condition::Text(column, vec![value]));
        match field {
            "name" => text(TextColumn::Name, value),
            "owner" => text(TextColumn::Owner, value),
            "disk_format" if is_one_of(&value, &DISK_FORMATS) => text(TextColumn::DiskFormat, value),
            "disk_format" => return Err(no_such(field, &value, &DISK_FORMATS.map(str::to_owned))),
            "container_format" if is_one_of(&value, &CONTAINER_FORMATS) => {
                text(TextColumn::ContainerFormat, value);
            }
            "container_format" => return Err(no_such(field, &value, &CONTAINER_FORMATS.map(str::to_owned))),
            "status" => text(TextColumn::Status, named::<Status>(field, &value)?.as_str().to_owned()),
            "visibility" if self.visibility != VisibilityFilter::Default => {
                return Err("visibility cannot have two values".to_owned());
            }
            "visibility" if value.eq_ignore_ascii_case("all") => self.visibility = VisibilityFilter::All,
            "visibility" => self.visibility = VisibilityFilter::Only(named(field, &value)?),
            "member_status" if value.eq_ignore_ascii_case("all") => self.member_status = Membership::All,
            "member_status" => self.member_status = Membership::Only(named(field, &value)?),
            "protected" => self.conditions.push(Condition::Protected(flag(field, &value)?)),
            "os_hidden" => self.os_hidden = flag(field, &value)?,
            _ => return Err(filter::unknown(field)),
        }
        Ok(())
    }
}

/// The value of that name.
fn named<T: Named>(field: &str, value: &str) -> Result<T, String> {
    T::from_name(value).ok_or_else(|| {
        let names: Vec<_> = T::ALL.iter().map(ToString::to_string).collect();
        no_such(field, value, &names)
    })
}

fn flag(field: &str, value: &str) -> Result<bool, String> {
    value.parse().map_err(|_| no_such(field, value, &["true".to_owned(), "false".to_owned()]))
}

fn no_such(field: &str, value: &str, known: &[String]) -> String {
    format!("{field} must be one of {}, not {:?}", known.join(", "), clip(value, 60))
}

/// Whether `value` is one of `formats`, or empty.
fn is_one_of(value: &str, formats: &[&str]) -> bool {
    value.is_empty() || formats.contains(&value)
}
