//! Lists of images: what they can be filtered and sorted by.

use common::{
    filter::{self, Condition, Operator},
    id::Id,
    image::Properties,
    page::{Direction, Key, SortKey},
    text::clip,
};

use crate::image::{CONTAINER_FORMATS, DISK_FORMATS, Image, Status, Visibility};

/// The order of a list that names none: newest first.
pub const DEFAULT_ORDER: (ImageOrder, Direction) = (ImageOrder::CreateTime, Direction::Descending);

/// What images can be sorted by (Glance's eight sort keys).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of Image with that name")]
pub enum ImageOrder {
    Name,
    Status,
    DiskFormat,
    ContainerFormat,
    Size,
    Id,
    CreateTime,
    UpdateTime,
}

impl SortKey for ImageOrder {
    const ALL: &'static [(&'static str, Self)] = &[
        ("name", Self::Name),
        ("status", Self::Status),
        ("disk_format", Self::DiskFormat),
        ("container_format", Self::ContainerFormat),
        ("size", Self::Size),
        ("id", Self::Id),
        ("create_time", Self::CreateTime),
        ("update_time", Self::UpdateTime),
    ];

    const ID: Self = Self::Id;

    fn sql(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Status => "status",
            Self::DiskFormat => "disk_format",
            Self::ContainerFormat => "container_format",
            // No size sorts before any size.
            Self::Size => "COALESCE(size, -1)",
            Self::Id => "id",
            Self::CreateTime => "create_time",
            Self::UpdateTime => "update_time",
        }
    }

    fn kind(self) -> Key {
        match self {
            Self::Name | Self::Status | Self::DiskFormat | Self::ContainerFormat => Key::Text(String::new()),
            Self::Size => Key::Integer(0),
            Self::Id => Key::Id(Id::from(common::id::NIL)),
            Self::CreateTime | Self::UpdateTime => Key::Time(chrono::DateTime::UNIX_EPOCH),
        }
    }
}

impl ImageOrder {
    /// The value of this sort key.
    #[must_use]
    pub fn key(self, image: &Image) -> Key {
        match self {
            Self::Name => Key::Text(image.name.clone()),
            Self::Status => Key::Text(image.status.as_str().to_owned()),
            Self::DiskFormat => Key::Text(image.disk_format.clone()),
            Self::ContainerFormat => Key::Text(image.container_format.clone()),
            Self::Size => Key::Integer(image.size.unwrap_or(-1)),
            Self::Id => Key::Id(image.id),
            Self::CreateTime => Key::Time(image.create_time),
            Self::UpdateTime => Key::Time(image.update_time),
        }
    }
}

/// Which images a list holds: those that fulfil all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFilter {
    /// Columns of `images` and what they must be equal to.
    pub columns: Vec<(Column, String)>,
    /// Tags that must be there.
    pub tags: Vec<String>,
    /// Properties that must have exactly this value.
    pub properties: Properties,
}

/// A column that can be filtered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of Image with that name")]
pub enum Column {
    Name,
    Status,
    Visibility,
    DiskFormat,
    ContainerFormat,
    Owner,
}

impl Column {
    /// The condition of the column, up to its value.
    #[must_use]
    pub const fn equals(self) -> &'static str {
        match self {
            Self::Name => "name = ",
            Self::Status => "status = ",
            Self::Visibility => "visibility = ",
            Self::DiskFormat => "disk_format = ",
            Self::ContainerFormat => "container_format = ",
            Self::Owner => "owner = ",
        }
    }
}

/// What a filter may say.
const ALLOWED: &str = "name, status, visibility, disk_format, container_format, owner = VALUE; tags:VALUE; \
                       properties.NAME = VALUE; joined by AND; names and values with other characters than \
                       letters, digits, _ and - in double quotes";

impl ImageFilter {
    /// Reads the filter of a list request; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        filter::read(text, ALLOWED, Self::add)
    }

    fn add(&mut self, condition: Condition) -> Result<(), String> {
        let Condition { field, key, operator, value } = condition;
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
        let shown = clip(&value, 60);
        let names = |all: Vec<String>| format!("{shown:?} is no {field} (those are {})", all.join(", "));
        let (column, value) = match field {
            "name" => (Column::Name, value),
            "disk_format" if is_one_of(&value, &DISK_FORMATS) => (Column::DiskFormat, value),
            "disk_format" => return Err(names(DISK_FORMATS.map(str::to_owned).to_vec())),
            "container_format" if is_one_of(&value, &CONTAINER_FORMATS) => (Column::ContainerFormat, value),
            "container_format" => return Err(names(CONTAINER_FORMATS.map(str::to_owned).to_vec())),
            "owner" => (Column::Owner, value),
            "status" => match Status::from_name(&value) {
                Some(status) => (Column::Status, status.as_str().to_owned()),
                None => return Err(names(Status::ALL.iter().map(ToString::to_string).collect())),
            },
            "visibility" => match Visibility::from_name(&value) {
                Some(visibility) => (Column::Visibility, visibility.as_str().to_owned()),
                None => return Err(names(Visibility::ALL.iter().map(ToString::to_string).collect())),
            },
            _ => return Err(filter::unknown(field)),
        };
        self.columns.push((column, value));
        Ok(())
    }
}

/// Whether `value` is one of `formats`, or the empty one.
fn is_one_of(value: &str, formats: &[&str]) -> bool {
    value.is_empty() || formats.contains(&value)
}

/// The order of a history.
pub const HISTORY_ORDER: (RevisionOrder, Direction) = (RevisionOrder::Revision, Direction::Descending);

/// What revisions are sorted by: their number alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionOrder {
    /// The number of the revision.
    Revision,
}

impl SortKey for RevisionOrder {
    const ALL: &'static [(&'static str, Self)] = &[("revision", Self::Revision)];
    const ID: Self = Self::Revision;

    fn sql(self) -> &'static str {
        "revision"
    }

    fn kind(self) -> Key {
        Key::Integer(0)
    }
}
