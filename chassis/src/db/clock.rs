//! The clock that all processes of a service have in common.

use chrono::{DateTime, SubsecRound as _, Utc};

use super::{Db, Error, Pools};
use common::clock;

impl Db {
    /// Now, as the database says: what one process writes is compared with it by another one, and the clocks of their
    /// machines may differ, or be put back. An SQLite file is on one machine, and has its clock.
    pub async fn now(&self) -> Result<DateTime<Utc>, Error> {
        match self.pools()? {
            Pools::Sqlite { .. } => Ok(clock::now()),
            Pools::Postgres { .. } => {
                let now: DateTime<Utc> = crate::on_db!(self, |connection| {
                    sqlx::query_scalar("SELECT now()").fetch_one(connection).await?
                });
                Ok(now.trunc_subsecs(6))
            }
        }
    }
}
