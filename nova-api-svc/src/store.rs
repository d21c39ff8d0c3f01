//! Every SQL statement of the service, a file for each resource.

use common::db::{Db, Migrations};

mod create;
mod flavor;
mod instance;

pub use create::Claim;

/// The schema.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("migrations/sqlite"),
    postgres: sqlx::migrate!("migrations/postgres"),
};

/// Flavors and instances in the database.
#[derive(Debug, Clone)]
pub struct Store {
    db: Db,
}

impl Store {
    /// A store in `db`.
    #[must_use]
    pub const fn new(db: Db) -> Self {
        Self { db }
    }
}
