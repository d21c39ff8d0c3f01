//! An instance and what it remembers; no gRPC, no SQL.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use common::{id::Id, named};
use serde::Serialize;

pub mod access;
pub mod checks;
pub mod difference;
pub mod images;
pub mod inherited;
pub mod names;
mod operation;
mod record;
mod request;
pub mod snapshot;
mod task;
pub mod transitions;

pub use access::Scope;
pub use operation::{Operation, Step, TaskState};
pub use record::{Inherited, Needs, Record};
pub use request::{COUNT_LIMIT, CreateInstance, NewInstances};
pub use task::{RecordChange, Task};

named! {
    /// Where an instance stands.
    #[derive(Serialize)]
    State {
        /// Recorded, not yet running.
        Building = "building",
        /// Running.
        Active = "active",
        /// Could not be built, or is not usable any more.
        Error = "error",
        /// Shut down.
        Stopped = "stopped",
        /// Held in memory.
        Paused = "paused",
        /// Held on the disk.
        Suspended = "suspended",
        /// Runs with its new flavor, which is neither confirmed nor reverted.
        Resized = "resized",
        /// Put away.
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
        /// Nothing runs them: each operation completes at once, on the record alone.
        None = "none",
    }
}

named! {
    /// Whether an instance runs, according to its hypervisor (Nova, `power_state`).
    #[derive(Default, Serialize)]
    PowerState {
        /// Nobody said.
        #[default]
        NoState = "",
        /// Running.
        Running = "running",
        /// Held in memory.
        Paused = "paused",
        /// Shut down.
        Shutdown = "shutdown",
        /// Crashed.
        Crashed = "crashed",
        /// Held on the disk.
        Suspended = "suspended",
    }
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
    /// From 1; each change adds 1.
    pub revision: i64,
    /// Where it runs, as was last reported.
    pub host: String,
    /// As was last reported.
    pub power_state: PowerState,
    /// Who completed, or completes, what was last done with it.
    pub compute: Compute,
    /// What is being done with it, or how to go back to what it was before it was resized.
    pub task: Option<Task>,
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
    /// Names a revision of an instance for a precondition (AIP-154).
    #[must_use]
    pub fn etag(&self) -> String {
        format!("{:x}-{}", self.id.as_uuid().as_u64_pair().1, self.revision)
    }

    /// When it changes that is changed `now`: not before it changed last, though another machine, whose clock is ahead, may have
    /// done that.
    #[must_use]
    pub(crate) fn later(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.update_time.max(now)
    }

    /// The task that somebody has to do.
    #[must_use]
    pub fn task_state(&self) -> Option<TaskState> {
        self.task.as_ref().and_then(|task| task.state)
    }
}
