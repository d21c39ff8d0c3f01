//! An instance and what it remembers; no gRPC, no SQL.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use common::{flavor::Flavor, id::Id, system_metadata::SystemMetadata};

pub mod names;

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

/// An instance: what is its own, and the record it shares with the others of its reservation.
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
    /// All the rest.
    pub record: Arc<Record>,
}

/// What the instances of one reservation have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Names the instances that one request created.
    pub reservation_id: String,
    /// The project it belongs to.
    pub project_id: String,
    /// The user who created it.
    pub user_id: String,
    /// The image it was made from.
    pub image_id: Id,
    /// The revision of the image that its system metadata was stamped from.
    pub image_revision: i64,
    /// Where it stands.
    pub state: State,
    /// The flavor as it was at creation.
    pub flavor: Flavor,
    /// Image id of the kernel, or empty.
    pub kernel_id: String,
    /// Image id of the ramdisk, or empty.
    pub ramdisk_id: String,
    /// What is inherited from properties of the image.
    pub inherited: Inherited,
    /// The caller's own metadata.
    pub metadata: BTreeMap<String, String>,
    /// What it remembers of image and flavor.
    pub system_metadata: SystemMetadata,
    /// When it was created.
    pub create_time: DateTime<Utc>,
    /// When it last changed.
    pub update_time: DateTime<Utc>,
}

/// What an instance inherits from properties of its image, verbatim; empty where the image has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inherited {
    /// Property `os_type`.
    pub os_type: String,
    /// Property `architecture`.
    pub architecture: String,
    /// Property `vm_mode`.
    pub vm_mode: String,
    /// Property `root_device_name`, else the root of property `mappings`.
    pub root_device_name: String,
    /// Whether the root partition grows to the disk.
    pub auto_disk_config: bool,
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
