//! Lists of instances and flavors: filters and orders.

use chassis::{
    caller::Caller,
    filter::{self, Condition, Operator},
    page::{Direction, Key, SortKey},
    records::RecordFilter,
};
use common::{
    id::{self, Id, NotAnId},
    text::clip,
};

use crate::{
    error::Error,
    instance::{INSTANCES, Instance, Scope, State},
};

/// The default order: newest first.
pub const DEFAULT_ORDER: (InstanceOrder, Direction) = (InstanceOrder::CreateTime, Direction::Descending);

/// The order of history: newest first.
pub const HISTORY_ORDER: (HistoryOrder, Direction) = (HistoryOrder::Revision, Direction::Descending);

/// The order of flavors: that of their creation.
pub const FLAVOR_ORDER: (FlavorOrder, Direction) = (FlavorOrder::InstanceTypeId, Direction::Ascending);

/// What instances can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of Instance with that name")]
pub enum InstanceOrder {
    Name,
    State,
    Id,
    CreateTime,
    UpdateTime,
}

impl SortKey for InstanceOrder {
    const ALL: &'static [(&'static str, Self)] = &[
        ("name", Self::Name),
        ("state", Self::State),
        ("id", Self::Id),
        ("create_time", Self::CreateTime),
        ("update_time", Self::UpdateTime),
    ];

    const ID: Self = Self::Id;

    fn kind(self) -> Key {
        match self {
            Self::Name | Self::State => Key::Text(String::new()),
            Self::Id => Key::Id(Id::from(id::NIL)),
            Self::CreateTime | Self::UpdateTime => Key::Micros(chrono::DateTime::UNIX_EPOCH),
        }
    }
}

impl InstanceOrder {
    /// The instance's value of this sort key.
    #[must_use]
    pub fn key(self, instance: &Instance) -> Key {
        match self {
            Self::Name => Key::Text(instance.name.clone()),
            Self::State => Key::Text(instance.state.as_str().to_owned()),
            Self::Id => Key::Id(instance.id),
            Self::CreateTime => Key::Micros(instance.create_time),
            Self::UpdateTime => Key::Micros(instance.update_time),
        }
    }
}

/// What flavors can be sorted by: only their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlavorOrder {
    /// The number of the flavor.
    InstanceTypeId,
}

impl SortKey for FlavorOrder {
    const ALL: &'static [(&'static str, Self)] = &[("instance_type_id", Self::InstanceTypeId)];
    const ID: Self = Self::InstanceTypeId;

    fn kind(self) -> Key {
        Key::Integer(0)
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

/// Which instances a list shows: those that meet all conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceFilter {
    /// Conditions on columns of `instances`: their SQL up to the value, and the value.
    pub columns: Vec<(&'static str, Key)>,
    /// Conditions on what they were made from.
    pub records: RecordFilter,
}

const PROJECT: &str = "project_id = ";
const RESERVATION: &str = "reservation_id = ";

/// What a filter may contain.
const ALLOWED: &str = "name, image_id, image_revision, state, project_id, user_id, reservation_id = VALUE; \
                       system_metadata.KEY = VALUE; joined by AND; keys and values with characters other \
                       than letters, digits, _ and - in double quotes";

impl InstanceFilter {
    /// Parses the filter of a list request; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        filter::read(text, ALLOWED, Self::add)
    }

    fn add(&mut self, condition: Condition) -> Result<(), String> {
        let Condition { field, key, operator, value } = condition;
        match (field.as_str(), key, operator) {
            ("system_metadata", Some(key), Operator::Equals) => {
                filter::add_entry(&mut self.records.entries, key, value)
            }
            (field, None, Operator::Equals) => self.add_column(field, value),
            (field, _, _) => Err(filter::unknown(field)),
        }
    }

    fn add_column(&mut self, field: &str, value: String) -> Result<(), String> {
        let mut text = |condition, value| self.columns.push((condition, Key::Text(value)));
        match field {
            "name" => text("name = ", value),
            "project_id" => text(PROJECT, value),
            "user_id" => text("user_id = ", value),
            "reservation_id" => text(RESERVATION, value),
            "image_id" => {
                let id = value.parse().map_err(|problem: NotAnId| format!("image_id {problem}"))?;
                self.records.add_image(id);
            }
            "image_revision" => {
                let problem = |_| format!("image_revision {:?} is not a revision", clip(&value, 60));
                self.records
                    .columns
                    .push(("image_revision = ", Key::Integer(value.parse().map_err(problem)?)));
            }
            "state" => {
                let states = || State::ALL.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let problem = || format!("state must be one of {}, not {:?}", states(), clip(&value, 60));
                text("state = ", State::from_name(&value).ok_or_else(problem)?.as_str().to_owned());
            }
            _ => return Err(filter::unknown(field)),
        }
        Ok(())
    }

    /// The instances that are listed for `caller`.
    pub fn scope(&self, all_projects: bool, caller: &Caller) -> Result<Scope, Error> {
        Ok(Scope::list(caller, INSTANCES, all_projects, self.names_a_project())?)
    }

    fn names_a_project(&self) -> bool {
        self.columns.iter().any(|(condition, _)| *condition == PROJECT)
    }

    /// Whether it names a project or a reservation, whose instances an index has in order of creation.
    #[must_use]
    pub fn names_a_group(&self) -> bool {
        self.columns.iter().any(|(condition, _)| [PROJECT, RESERVATION].contains(condition))
    }
}
