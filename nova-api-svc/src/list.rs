//! Lists of instances and flavors: what they can be filtered and sorted by.

use std::collections::BTreeMap;

use common::{
    filter::{self, Condition, Operator},
    id::{self, Id},
    page::{Direction, Key, SortKey},
    text::clip,
};

use crate::instance::{Instance, State};

/// The order of a list that names none: newest first.
pub const DEFAULT_ORDER: (InstanceOrder, Direction) = (InstanceOrder::CreateTime, Direction::Descending);

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

    fn sql(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::Id => "id",
            Self::CreateTime => "create_time",
            Self::UpdateTime => "update_time",
        }
    }

    fn kind(self) -> Key {
        match self {
            Self::Name | Self::State => Key::Text(String::new()),
            Self::Id => Key::Id(Id::from(id::NIL)),
            Self::CreateTime | Self::UpdateTime => Key::Time(chrono::DateTime::UNIX_EPOCH),
        }
    }
}

impl InstanceOrder {
    /// The value of this sort key.
    #[must_use]
    pub fn key(self, instance: &Instance) -> Key {
        match self {
            Self::Name => Key::Text(instance.name.clone()),
            Self::State => Key::Text(instance.record.state.as_str().to_owned()),
            Self::Id => Key::Id(instance.id),
            Self::CreateTime => Key::Time(instance.record.create_time),
            Self::UpdateTime => Key::Time(instance.record.update_time),
        }
    }
}

/// What flavors are sorted by: their number alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlavorOrder {
    /// The number of the flavor.
    InstanceTypeId,
}

impl SortKey for FlavorOrder {
    const ALL: &'static [(&'static str, Self)] = &[("instance_type_id", Self::InstanceTypeId)];
    const ID: Self = Self::InstanceTypeId;

    fn sql(self) -> &'static str {
        "instance_type_id"
    }

    fn kind(self) -> Key {
        Key::Integer(0)
    }
}

/// Which instances a list holds: those that fulfil all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceFilter {
    /// Conditions on columns of `instances`, up to the value, and the value.
    pub columns: Vec<(&'static str, Key)>,
    /// Entries of system metadata that must have exactly this value.
    pub system_metadata: BTreeMap<String, String>,
}

/// What a filter may say.
const ALLOWED: &str = "name, image_id, image_revision, state, project_id, user_id, reservation_id = VALUE; \
                       system_metadata.KEY = VALUE; joined by AND; keys and values with other characters than \
                       letters, digits, _ and - in double quotes";

impl InstanceFilter {
    /// Reads the filter of a list request; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        filter::read(text, ALLOWED, Self::add)
    }

    fn add(&mut self, condition: Condition) -> Result<(), String> {
        let Condition { field, key, operator, value } = condition;
        match (field.as_str(), key, operator) {
            ("system_metadata", Some(key), Operator::Equals) => {
                filter::add_entry(&mut self.system_metadata, key, value)
            }
            (field, None, Operator::Equals) => {
                self.columns.push(column(field, value)?);
                Ok(())
            }
            (field, _, _) => Err(filter::unknown(field)),
        }
    }
}

fn column(field: &str, value: String) -> Result<(&'static str, Key), String> {
    Ok(match field {
        "name" => ("name = ", Key::Text(value)),
        "project_id" => ("project_id = ", Key::Text(value)),
        "user_id" => ("user_id = ", Key::Text(value)),
        "reservation_id" => ("reservation_id = ", Key::Text(value)),
        "image_id" => match value.parse() {
            Ok(id) => ("image_id = ", Key::Id(id)),
            Err(problem) => return Err(format!("image_id {problem}")),
        },
        "image_revision" => match value.parse() {
            Ok(revision) => ("image_revision = ", Key::Integer(revision)),
            Err(_) => return Err(format!("image_revision {:?} is no revision", clip(&value, 60))),
        },
        "state" => match State::from_name(&value) {
            Some(state) => ("state = ", Key::Text(state.as_str().to_owned())),
            None => {
                return Err(format!("{:?} is none of the states BUILDING, ACTIVE, ERROR", clip(&value, 60)));
            }
        },
        _ => return Err(filter::unknown(field)),
    })
}
