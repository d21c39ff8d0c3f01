//! Lists of snapshots: filters and orders.

use std::collections::BTreeMap;

use chassis::{
    caller::Caller,
    filter::{self, Condition, Operator},
    page::{Direction, Key, SortKey},
    records::RecordFilter,
    scope::Scope,
};
use common::id::{Id, NIL};

use super::{id, number, status};
use crate::{
    error::Error,
    volume::{Snapshot, SnapshotStatus, access::SNAPSHOTS},
};

/// The default order: newest first.
pub const SNAPSHOT_ORDER: (SnapshotOrder, Direction) = (SnapshotOrder::CreateTime, Direction::Descending);

/// What snapshots can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of Snapshot with that name")]
pub enum SnapshotOrder {
    Name,
    Status,
    SizeGib,
    Id,
    CreateTime,
}

impl SortKey for SnapshotOrder {
    const ALL: &'static [(&'static str, Self)] = &[
        ("name", Self::Name),
        ("status", Self::Status),
        ("size_gib", Self::SizeGib),
        ("id", Self::Id),
        ("create_time", Self::CreateTime),
    ];

    const ID: Self = Self::Id;

    fn kind(self) -> Key {
        match self {
            Self::Name | Self::Status => Key::Text(String::new()),
            Self::SizeGib => Key::Integer(0),
            Self::Id => Key::Id(Id::from(NIL)),
            Self::CreateTime => Key::Micros(chrono::DateTime::UNIX_EPOCH),
        }
    }
}

impl SnapshotOrder {
    /// The snapshot's value of this sort key.
    #[must_use]
    pub fn key(self, snapshot: &Snapshot) -> Key {
        match self {
            Self::Name => Key::Text(snapshot.name.clone()),
            Self::Status => Key::Text(snapshot.status.as_str().to_owned()),
            Self::SizeGib => Key::Integer(snapshot.size_gib.into()),
            Self::Id => Key::Id(snapshot.id),
            Self::CreateTime => Key::Micros(snapshot.create_time),
        }
    }
}

/// Which snapshots a list shows: those that meet all conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotFilter {
    /// Conditions on columns of `snapshots`: their SQL up to the value, and the value.
    pub columns: Vec<(&'static str, Key)>,
    /// Conditions on what they remember of their image.
    pub records: RecordFilter,
    /// Metadata that they must have, with exactly these values.
    pub metadata: BTreeMap<String, String>,
}

const PROJECT: &str = "project_id = ";

/// What a filter may contain.
const ALLOWED: &str = "name, status, volume_id, size_gib, project_id, user_id, image_id, image_revision = VALUE; \
                       metadata.KEY, image_properties.NAME = VALUE; joined by AND; keys and values with characters \
                       other than letters, digits, _ and - in double quotes";

impl SnapshotFilter {
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
            "project_id" => column(PROJECT, Key::Text(value)),
            "user_id" => column("user_id = ", Key::Text(value)),
            "size_gib" => column("size_gib = ", Key::Integer(number(field, &value)?)),
            "volume_id" => column("volume_id = ", Key::Id(id(field, &value)?)),
            "status" => {
                column("status = ", Key::Text(status::<SnapshotStatus>(&value)?.as_str().to_owned()));
            }
            "image_id" => self.records.add_image(id(field, &value)?),
            "image_revision" => {
                self.records.columns.push(("image_revision = ", Key::Integer(number(field, &value)?)));
            }
            _ => return Err(filter::unknown(field)),
        }
        Ok(())
    }

    /// The snapshots that are listed for `caller`.
    pub fn scope(&self, all_projects: bool, caller: &Caller) -> Result<Scope, Error> {
        let names_a_project = self.columns.iter().any(|(condition, _)| *condition == PROJECT);
        Ok(Scope::list(caller, SNAPSHOTS, all_projects, names_a_project)?)
    }
}
