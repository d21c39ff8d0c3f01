//! An instance and what it remembers; no gRPC, no SQL.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use common::id::Id;

pub mod names;
mod record;

pub use record::{Inherited, Record};

/// Where an instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Recorded, not yet running.
    Building,
    /// Running.
    Active,
    /// Could not be built.
    Error,
}

/// An instance: what is its own, and the record it shares with all that were made of the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its id.
    pub id: Id,
    /// Display name.
    pub name: String,
    /// Host name, at most 63 characters.
    pub hostname: String,
    /// Its place in the reservation, from 0.
    pub launch_index: i32,
    /// Names the instances that one request created.
    pub reservation_id: Arc<str>,
    /// The project it belongs to.
    pub project_id: Arc<str>,
    /// The user who created it.
    pub user_id: Arc<str>,
    /// Where it stands.
    pub state: State,
    /// The caller's own metadata.
    pub metadata: Arc<BTreeMap<String, String>>,
    /// What it was made of.
    pub record: Arc<Record>,
    /// When it was created.
    pub create_time: DateTime<Utc>,
    /// When it last changed.
    pub update_time: DateTime<Utc>,
}

/// What one request created.
#[derive(Debug, Clone, PartialEq)]
pub struct Reservation {
    /// Its id.
    pub id: String,
    /// How many instances were asked for.
    pub requested: usize,
    /// The instances, by launch index; fewer than requested when the quota took some away.
    pub instances: Vec<Instance>,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Building, Self::Active, Self::Error];

    /// Its name in the database, that of Nova's `vm_state`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Active => "active",
            Self::Error => "error",
        }
    }

    /// The state of that name, in either case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str().eq_ignore_ascii_case(name))
    }
}
