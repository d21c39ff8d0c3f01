//! Lists of volumes: filters and orders.

use std::collections::BTreeMap;

use chassis::{
    caller::Caller,
    filter::{self, Condition, Operator},
    page::{Direction, Key, SortKey},
    records::RecordFilter,
    scope::Scope,
};
use common::{
    id::{self, Id, NotAnId},
    named::Named,
    text::{boolean, clip},
};

use crate::{
    error::Error,
    volume::{Status, TaskState, VolumeType, access::VOLUMES},
};

mod attachment;
mod snapshot;
mod transfer;

pub use attachment::{ATTACHMENT_ORDER, AttachmentFilter, AttachmentOrder};
pub use snapshot::{SNAPSHOT_ORDER, SnapshotFilter, SnapshotOrder};
pub use transfer::{TRANSFER_ORDER, TransferOrder};

/// The default order: newest first.
pub const DEFAULT_ORDER: (VolumeOrder, Direction) = (VolumeOrder::CreateTime, Direction::Descending);

/// The order of history: newest first.
pub const HISTORY_ORDER: (HistoryOrder, Direction) = (HistoryOrder::Revision, Direction::Descending);

/// The order of volume types: that of their creation.
pub const VOLUME_TYPE_ORDER: (VolumeTypeOrder, Direction) =
    (VolumeTypeOrder::CreateTime, Direction::Ascending);

/// What volumes can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of Volume with that name")]
pub enum VolumeOrder {
    Name,
    Status,
    SizeGib,
    Id,
    CreateTime,
    UpdateTime,
}

impl SortKey for VolumeOrder {
    const ALL: &'static [(&'static str, Self)] = &[
        ("name", Self::Name),
        ("status", Self::Status),
        ("size_gib", Self::SizeGib),
        ("id", Self::Id),
        ("create_time", Self::CreateTime),
        ("update_time", Self::UpdateTime),
    ];

    const ID: Self = Self::Id;

    fn kind(self) -> Key {
        match self {
            Self::Name | Self::Status => Key::Text(String::new()),
            Self::SizeGib => Key::Integer(0),
            Self::Id => Key::Id(Id::from(id::NIL)),
            Self::CreateTime | Self::UpdateTime => Key::Micros(chrono::DateTime::UNIX_EPOCH),
        }
    }
}

/// What history can be sorted by: only the revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryOrder {
    /// The revision that the change made.
    Revision,
}

impl SortKey for HistoryOrder {
    const ALL: &'static [(&'static str, Self)] = &[("revision", Self::Revision)];
    const ID: Self = Self::Revision;

    fn kind(self) -> Key {
        Key::Integer(0)
    }
}

/// What volume types can be sorted by: only when they were added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of VolumeType with that name")]
pub enum VolumeTypeOrder {
    CreateTime,
    Id,
}

impl SortKey for VolumeTypeOrder {
    const ALL: &'static [(&'static str, Self)] = &[("create_time", Self::CreateTime), ("id", Self::Id)];
    const ID: Self = Self::Id;

    fn kind(self) -> Key {
        match self {
            Self::CreateTime => Key::Micros(chrono::DateTime::UNIX_EPOCH),
            Self::Id => Key::Id(Id::from(id::NIL)),
        }
    }
}

impl VolumeTypeOrder {
    /// The volume type's value of this sort key.
    #[must_use]
    pub fn key(self, volume_type: &VolumeType) -> Key {
        match self {
            Self::CreateTime => Key::Micros(volume_type.create_time),
            Self::Id => Key::Id(volume_type.id),
        }
    }
}

/// Which volumes a list shows: those that meet all conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeFilter {
    /// Conditions on columns of `volumes`: their SQL up to the value, and the value.
    pub columns: Vec<(&'static str, Key)>,
    /// Conditions on what they remember of their image.
    pub records: RecordFilter,
    /// Whether instances can boot from them.
    pub bootable: Option<bool>,
    /// Name or id of their volume type.
    pub volume_type: Option<String>,
    /// The task in progress, or that there is none.
    pub task_state: Option<Option<TaskState>>,
    /// The instance that they are attached to.
    pub instance_id: Option<Id>,
    /// Metadata that they must have, with exactly these values.
    pub metadata: BTreeMap<String, String>,
}

const PROJECT: &str = "project_id = ";

/// What a filter may contain.
const ALLOWED: &str = "name, status, bootable, size_gib, volume_type, availability_zone, project_id, user_id, snapshot_id, \
                       source_volume_id, image_id, image_revision, task_state, instance_id = VALUE; metadata.KEY, \
                       image_properties.NAME = VALUE; joined by AND; keys and values with characters other than \
                       letters, digits, _ and - in double quotes";

impl VolumeFilter {
    /// Parses the filter of a list request; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        filter::read(text, ALLOWED, Self::add)
    }

    fn add(&mut self, condition: Condition) -> Result<(), String> {
        let Condition { field, key, operator, value } = condition;
        match (field.as_str(), key, operator) {
            ("metadata", Some(key), Operator::Equals) => filter::add_entry(&mut self.metadata, key, value),
            ("image_properties", Some(key), Operator::Equals) => {
                filter::add_entry(&mut self.records.entries, key, value)
            }
            (field, None, Operator::Equals) => self.add_field(field, value),
            (field, _, _) => Err(filter::unknown(field)),
        }
    }

    /// Adds the condition that a field has that value.
    pub(crate) fn add_field(&mut self, field: &str, value: String) -> Result<(), String> {
        let mut column = |condition, value| self.columns.push((condition, value));
        match field {
            "name" => column("name = ", Key::Text(value)),
            "availability_zone" => column("availability_zone = ", Key::Text(value)),
            PROJECT_ID => column(PROJECT, Key::Text(value)),
            "user_id" => column("user_id = ", Key::Text(value)),
            "size_gib" => column("size_gib = ", Key::Integer(number(field, &value)?)),
            "snapshot_id" => column("snapshot_id = ", Key::Id(id(field, &value)?)),
            "source_volume_id" => column("source_volume_id = ", Key::Id(id(field, &value)?)),
            "status" => column("status = ", Key::Text(status::<Status>(&value)?.as_str().to_owned())),
            "image_id" => self.records.add_image(id(field, &value)?),
            "image_revision" => {
                self.records.columns.push(("image_revision = ", Key::Integer(number(field, &value)?)));
            }
            "bootable" => self.bootable = Some(boolean(&value).ok_or("bootable must be true or false")?),
            "volume_type" => self.volume_type = Some(value),
            "task_state" => self.task_state = Some(task_state(&value)?),
            "instance_id" => self.instance_id = Some(id(field, &value)?),
            _ => return Err(filter::unknown(field)),
        }
        Ok(())
    }

    /// The volumes that are listed for `caller`.
    pub fn scope(&self, all_projects: bool, caller: &Caller) -> Result<Scope, Error> {
        Ok(Scope::list(caller, VOLUMES, all_projects, self.names_a_project())?)
    }

    /// Whether it names a project, whose volumes an index has in order of creation.
    #[must_use]
    pub fn names_a_project(&self) -> bool {
        self.columns.iter().any(|(condition, _)| *condition == PROJECT)
    }

    /// The volume type, if it is named by its id.
    #[must_use]
    pub fn volume_type_id(&self) -> Option<Id> {
        self.volume_type.as_deref().and_then(|name| name.parse().ok())
    }
}

const PROJECT_ID: &str = "project_id";

fn id(field: &str, value: &str) -> Result<Id, String> {
    value.parse().map_err(|problem: NotAnId| format!("{field} {problem}"))
}

fn number(field: &str, value: &str) -> Result<i64, String> {
    value.parse().map_err(|_| format!("{field} {:?} is not a number", clip(value, 60)))
}

fn status<S: Named>(value: &str) -> Result<S, String> {
    let statuses = || S::ALL.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let problem = || format!("status must be one of {}, not {:?}", statuses(), clip(value, 60));
    S::from_name(value).ok_or_else(problem)
}

fn task_state(value: &str) -> Result<Option<TaskState>, String> {
    if value.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let states = || TaskState::ALL.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let problem = || format!("task_state must be NONE or one of {}, not {:?}", states(), clip(value, 60));
    TaskState::from_name(value).map(Some).ok_or_else(problem)
}
