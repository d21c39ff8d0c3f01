//! An instance and its record; no gRPC, no SQL.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use common::{id::Id, named};
use serde::Serialize;

pub mod access;
pub mod block_device;
pub mod checks;
pub mod difference;
pub mod images;
pub mod inherited;
pub mod names;
mod operation;
pub mod origin;
mod record;
mod request;
pub mod snapshot;
mod task;
pub mod transitions;

pub use access::INSTANCES;
pub use block_device::{BlockDevice, BlockDevices};
pub use chassis::scope::Scope;
pub use operation::{Operation, Step, TaskState};
pub use record::{Inherited, Needs, Record};
pub use request::{COUNT_LIMIT, CreateInstance, NewInstances};
pub use task::{RecordChange, Task};

use transitions::is_shelved;

named! {
    /// The state of an instance (Nova, `vm_state`).
    #[derive(Serialize)]
    State {
        /// Recorded, not yet running.
        Building = "building",
        /// Running.
        Active = "active",
        /// Could not be built, or is no longer usable.
        Error = "error",
        /// Shut down.
        Stopped = "stopped",
        /// Paused in memory.
        Paused = "paused",
        /// Suspended to disk.
        Suspended = "suspended",
        /// Running with its new flavor, which has not been confirmed or reverted.
        Resized = "resized",
        /// Shelved: its disk is an image, and it runs on no host.
        ShelvedOffloaded = "shelved_offloaded",
    }
}

named! {
    /// Who completes operations on instances.
    #[derive(Default, ValueEnum)]
    Compute {
        /// Whatever runs the instances, with `ReportInstanceState`.
        #[default]
        Agent = "agent",
        /// Nothing runs them: each operation completes at once, and only changes the record.
        None = "none",
    }
}

named! {
    /// Whether an instance runs, according to its hypervisor (Nova, `power_state`).
    #[derive(Default, Serialize)]
    PowerState {
        /// Not reported.
        #[default]
        NoState = "",
        /// Running.
        Running = "running",
        /// Paused in memory.
        Paused = "paused",
        /// Shut down.
        Shutdown = "shutdown",
        /// Crashed.
        Crashed = "crashed",
        /// Suspended to disk.
        Suspended = "suspended",
    }
}

/// An instance: its own fields, and the record that it shares with all instances made from the same things.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its id.
    pub id: Id,
    /// Display name.
    pub name: String,
    /// Host name, at most 63 characters.
    pub hostname: String,
    /// Its index in the reservation, from 0.
    pub launch_index: i32,
    /// The id of the request's reservation, which all of its instances share.
    pub reservation_id: Arc<str>,
    /// The project it belongs to.
    pub project_id: Arc<str>,
    /// The user who created it.
    pub user_id: Arc<str>,
    /// Its state.
    pub state: State,
    /// The caller's own metadata.
    pub metadata: Arc<BTreeMap<String, String>>,
    /// What it was made from.
    pub record: Arc<Record>,
    /// When it was created.
    pub create_time: DateTime<Utc>,
    /// When it last changed.
    pub update_time: DateTime<Utc>,
    /// Starts at 1; each change adds 1.
    pub revision: i64,
    /// The host it runs on, as last reported.
    pub host: String,
    /// The power state, as last reported.
    pub power_state: PowerState,
    /// Who completed, or is to complete, the last operation on it.
    pub compute: Compute,
    /// The task in progress, or, while it is RESIZED, what to revert to.
    pub task: Option<Task>,
    /// Its disks that are not what image and flavor say.
    pub block_devices: BlockDevices,
}

/// What one request created.
#[derive(Debug, Clone, PartialEq)]
pub struct Reservation {
    /// Its id.
    pub id: String,
    /// How many instances were requested.
    pub requested: usize,
    /// The instances, by launch index; fewer than requested if the quota did not allow more.
    pub instances: Vec<Instance>,
}

impl Compute {
    /// The state of a new instance.
    #[must_use]
    pub const fn first_state(self) -> State {
        match self {
            Self::Agent => State::Building,
            Self::None => State::Active,
        }
    }
}

impl Instance {
    /// The etag of this revision, for preconditions (AIP-154).
    #[must_use]
    pub fn etag(&self) -> String {
        format!("{:x}-{}", self.id.as_uuid().as_u64_pair().1, self.revision)
    }

    /// The time of a change made `now`: never before the last change, which a machine whose clock is ahead may have made.
    #[must_use]
    pub(crate) fn later(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.update_time.max(now)
    }

    /// The volume that it boots from.
    #[must_use]
    pub fn root_volume(&self) -> Option<Id> {
        block_device::root_volume(&self.block_devices)
    }

    /// Whether no host may use a volume of it: it is shelved, or the volume is being given the data of another image.
    #[must_use]
    pub fn keeps_from_hosts(&self, device: &BlockDevice) -> bool {
        let is_shelved = is_shelved(&self.record) && self.task_state() != Some(TaskState::Unshelving);
        is_shelved || self.is_reimaged(device)
    }

    /// Whether a volume of it is being given the data of the image that it is rebuilt from.
    #[must_use]
    pub fn is_reimaged(&self, device: &BlockDevice) -> bool {
        let is_root_volume = device.mapping.is_root() && device.volume_id.is_some();
        is_root_volume && self.task_state() == Some(TaskState::Rebuilding)
    }

    /// Whether hosts may use a volume of it that they might not use before, or the other way around.
    #[must_use]
    pub(crate) fn moves_volumes(&self, before: &Self) -> bool {
        let volumes = self.block_devices.iter().filter(|device| device.volume_id.is_some());
        let mut volumes =
            volumes.map(|device| self.keeps_from_hosts(device) != before.keeps_from_hosts(device));
        volumes.any(|moves| moves)
    }

    /// The task in progress.
    #[must_use]
    pub fn task_state(&self) -> Option<TaskState> {
        self.task.as_ref().and_then(|task| task.state)
    }
}
