//! Every SQL statement of the service, a file for each resource.

use chassis::db::{Db, Migrations};

mod sweep;
mod volume_type;

pub use sweep::Retention;

/// The schema.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("migrations/sqlite"),
    postgres: sqlx::migrate!("migrations/postgres"),
};

/// Volumes and what belongs to them in the database.
#[derive(Debug, Clone)]
pub struct Store {
    db: Db,
    volume_types: volume_type::VolumeTypes,
}

impl Store {
    /// A store in `db`.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { volume_types: volume_type::volume_types(db.clone()), db }
    }
}
