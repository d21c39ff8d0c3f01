//! Lists of images: filters and orders.

use chassis::page::{Direction, Key, SortKey};
use common::id::Id;

use crate::image::Image;

mod filter;

pub use filter::{
    Comparison, Condition, ImageFilter, Membership, NumberColumn, Scope, TextColumn, TimeColumn,
    VisibilityFilter,
};

/// The default order: newest first.
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
            // Images without a size sort first.
            Self::Size => "COALESCE(size, -1)",
            _ => self.column(),
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
    /// The image's value of this sort key.
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

/// The order of revisions: latest first.
pub const HISTORY_ORDER: (RevisionOrder, Direction) = (RevisionOrder::Revision, Direction::Descending);

/// What revisions can be sorted by: only their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionOrder {
    /// The number of the revision.
    Revision,
}

impl SortKey for RevisionOrder {
    const ALL: &'static [(&'static str, Self)] = &[("revision", Self::Revision)];
    const ID: Self = Self::Revision;

    fn kind(self) -> Key {
        Key::Integer(0)
    }
}
