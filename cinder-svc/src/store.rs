//! Every SQL statement of the service, a file for each resource.

use chassis::{
    db::{self, Db, Migrations},
    turns::Turns,
};
use chrono::{DateTime, Utc};
use peers::glance::jobs::ImageJobs;

mod attachment;
mod change;
mod claim;
mod create;
mod data;
mod drift;
mod history;
mod job;
mod list;
mod quota;
mod record;
mod snapshot;
mod snapshot_tasks;
mod sources;
mod summary;
mod sweep;
mod tasks;
mod transfer;
mod volume;
mod volume_type;

pub use change::{Change, Deletion, Entry};
pub use claim::Claim;
pub use create::Creation;
pub use data::RemovableData;
pub use drift::VolumeSummary;
pub use history::{EarlierAttempt, HistoryEntry};
pub use quota::Quotas;
pub use snapshot::{SnapshotChange, SnapshotCreation};
pub use snapshot_tasks::DueSnapshot;
pub use summary::Summary;
pub use tasks::DueTask;
pub use transfer::TransferChange;

/// The schema.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("migrations/sqlite"),
    postgres: sqlx::migrate!("migrations/postgres"),
};

/// Volumes and what belongs to them in the database.
#[derive(Debug, Clone)]
pub struct Store {
    db: Db,
    creations: create::Creations,
    jobs: ImageJobs,
    turns: Turns,
    volume_types: volume_type::VolumeTypes,
}

impl Store {
    /// A store in `db`.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self {
            creations: create::creations(db.clone()),
            jobs: ImageJobs::new(db.clone(), "volume_id"),
            turns: Turns::default(),
            volume_types: volume_type::volume_types(db.clone()),
            db,
        }
    }

    /// The current time by the database's clock, with which leases are measured.
    pub async fn now(&self) -> Result<DateTime<Utc>, db::Error> {
        self.db.now().await
    }
}
