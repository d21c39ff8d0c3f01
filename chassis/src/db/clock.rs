//! The clock that all processes of a service share.

use chrono::{DateTime, SubsecRound as _, Utc};

use super::{Db, Error, Pools};
use common::clock;

impl Db {
    /// The current time according to the database: what one process writes is compared with it by another, and the
    /// clocks of their machines may differ, or be set back. An SQLite file is on one machine, and uses its clock.
    pub async fn now(&self) -> Result<DateTime<Utc>, Error> {
        match self.pools()? {
            Pools::Sqlite { .. } => Ok(clock::now()),
            Pools::Postgres { .. } => {
                let now: DateTime<Utc> =
                    self.reader().await?.query_scalar("SELECT now()").fetch_one().await?;
                Ok(now.trunc_subsecs(6))
            }
        }
    }
}
