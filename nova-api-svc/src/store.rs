//! Every SQL statement of the service, a file for each resource.

use chassis::{
    db::{Db, Migrations},
    turns::Turns,
};

mod change;
mod claim;
mod create;
mod drift;
mod flavor;
mod history;
mod instance;
mod job;
mod jobs;
mod list;
mod quota;
mod record;
mod rows;
mod shared;
mod sweep;
mod volume_job;
mod volume_jobs;
mod write_devices;
mod write_instances;
mod write_records;

pub use change::{Change, Decided, Entry, Request};
pub use claim::Claim;
pub use create::{Creation, Provision};
pub use drift::{InstanceSummary, RecordFilter};
pub use flavor::StoredFlavor;
pub use history::{EarlierAttempt, HistoryEntry};
pub use job::{Backlog, DueJob, ImageAction, Job, Registration};
pub use sweep::Retention;
pub use volume_job::{DueVolumeJob, Removal, RemovedVolume, VolumeAction, VolumeJob, VolumeRequest};

/// The schema.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("migrations/sqlite"),
    postgres: sqlx::migrate!("migrations/postgres"),
};

/// Flavors and instances in the database.
#[derive(Debug, Clone)]
pub struct Store {
    db: Db,
    creations: create::Creations,
    flavors: flavor::Flavors,
    turns: Turns,
}

impl Store {
    /// A store in `db`.
    #[must_use]
    pub fn new(db: Db) -> Self {
        let (creations, flavors) = (create::creations(db.clone()), flavor::flavors(db.clone()));
        Self { creations, flavors, turns: Turns::default(), db }
    }
}
