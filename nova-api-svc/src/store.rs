//! Every SQL statement of the service, a file for each resource.

use chassis::{
    db::{Db, Migrations},
    outbox::Outbox,
    turns::Turns,
};
use peers::glance::jobs::ImageJobs;

mod change;
mod claim;
mod create;
mod drift;
mod flavor;
mod history;
mod instance;
mod list;
mod quota;
mod record;
mod registration;
mod rows;
mod shared;
mod sweep;
mod volume_job;
mod volume_jobs;
mod write_devices;
mod write_instances;
mod write_records;

pub use change::{Change, Decided, Entry};
pub use claim::Claim;
pub use create::{Creation, Provision};
pub use drift::InstanceSummary;
pub use flavor::StoredFlavor;
pub use history::{EarlierAttempt, HistoryEntry};
pub use registration::Registration;
pub use volume_job::{Removal, RemovedVolume, VolumeAction, VolumeJob, VolumeRequest};
pub use volume_jobs::register_metrics;

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
    jobs: ImageJobs,
    turns: Turns,
    volume_jobs: Outbox,
}

impl Store {
    /// A store in `db`.
    #[must_use]
    pub fn new(db: Db) -> Self {
        let (creations, flavors) = (create::creations(db.clone()), flavor::flavors(db.clone()));
        let jobs = ImageJobs::new(db.clone(), "instance_id");
        let volume_jobs = volume_jobs::volume_jobs(db.clone());
        Self { creations, flavors, jobs, turns: Turns::default(), volume_jobs, db }
    }
}
