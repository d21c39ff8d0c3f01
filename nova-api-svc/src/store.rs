//! Every SQL statement of the service, a file for each resource.

use common::db::{Db, Migrations};

mod claim;
mod create;
mod flavor;
mod instance;
mod instances;
mod list;
mod rows;
mod statements;
mod sweep;

pub use claim::Claim;
pub use create::{Creation, Provision};

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
}

impl Store {
    /// A store in `db`.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { creations: create::creations(db.clone()), flavors: flavor::flavors(db.clone()), db }
    }
}
