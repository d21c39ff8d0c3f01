//! Lists of attachments: filters and order.

use chassis::{
    filter::{self, Condition, Operator},
    page::{Direction, Key, SortKey},
};
use common::id::{Id, NIL};

use super::{id, status};
use crate::volume::{Attachment, AttachmentStatus};

/// The order of attachments: oldest first.
pub const ATTACHMENT_ORDER: (AttachmentOrder, Direction) =
    (AttachmentOrder::CreateTime, Direction::Ascending);

/// What attachments are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachmentOrder {
    /// When they were created.
    CreateTime,
    /// Their id.
    Id,
}

impl SortKey for AttachmentOrder {
    const ALL: &'static [(&'static str, Self)] = &[("create_time", Self::CreateTime), ("id", Self::Id)];
    const ID: Self = Self::Id;

    fn kind(self) -> Key {
        match self {
            Self::CreateTime => Key::Micros(chrono::DateTime::UNIX_EPOCH),
            Self::Id => Key::Id(Id::from(NIL)),
        }
    }
}

impl AttachmentOrder {
    /// The attachment's value of this sort key.
    #[must_use]
    pub fn key(self, attachment: &Attachment) -> Key {
        match self {
            Self::CreateTime => Key::Micros(attachment.create_time),
            Self::Id => Key::Id(attachment.id),
        }
    }
}

/// Which attachments a list shows: those that meet all conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttachmentFilter {
    /// Conditions on columns of `attachments`: their SQL up to the value, and the value.
    pub columns: Vec<(&'static str, Key)>,
}

/// What a filter may contain.
const ALLOWED: &str = "volume_id, instance_id, status, host = VALUE; joined by AND; values with characters other than \
                       letters, digits, _ and - in double quotes";

impl AttachmentFilter {
    /// Parses the filter of a list request; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        filter::read(text, ALLOWED, Self::add)
    }

    fn add(&mut self, condition: Condition) -> Result<(), String> {
        let Condition { field, key, operator, value } = condition;
        if key.is_some() || operator != Operator::Equals {
            return Err(filter::unknown(&field));
        }
        self.add_field(&field, value)
    }

    /// Adds the condition that a field has that value.
    pub(crate) fn add_field(&mut self, field: &str, value: String) -> Result<(), String> {
        let condition = match field {
            "volume_id" => ("volume_id = ", Key::Id(id(field, &value)?)),
            "instance_id" => ("instance_id = ", Key::Id(id(field, &value)?)),
            "status" => ("status = ", Key::Text(status::<AttachmentStatus>(&value)?.as_str().to_owned())),
            "host" => ("host = ", Key::Text(value)),
            _ => return Err(filter::unknown(field)),
        };
        self.columns.push(condition);
        Ok(())
    }
}
