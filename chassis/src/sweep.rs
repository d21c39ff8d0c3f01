//! Sweeping: what is older than is retained, and what nothing refers to any more, is removed in steps, each in a
//! transaction of its own, so that nobody waits for it for long.

use std::{convert::Infallible, time::Duration};

use chrono::TimeDelta;
use clap::Args;
use tokio::time::sleep;

use crate::db::{self, ByDialect, Db, FromRow, Many, Value};

/// How often a service sweeps.
const INTERVAL: Duration = Duration::from_mins(1);

/// Number of rows that are read in one statement, and removed in one transaction.
const STEP: i64 = 500;

/// How long data that nothing needs any more is retained.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// The history of deleted resources.
    pub deleted_history: TimeDelta,
    /// What requests with an id have created: for that long, a retry is answered with it.
    pub requests: TimeDelta,
}

/// How long that is, as flags.
#[derive(Debug, Clone, Copy, Args)]
pub struct RetentionArgs {
    /// How long the history of what was deleted is kept, in days.
    #[arg(long, env = "DELETED_HISTORY_DAYS", default_value_t = 90, value_name = "DAYS",
          value_parser = clap::value_parser!(u16).range(0..=36_500))]
    pub deleted_history_days: u16,

    /// How long the request ids of creates are kept, in hours; a later retry creates something new.
    #[arg(long, env = "REQUEST_ID_RETENTION_HOURS", default_value_t = 24, value_name = "HOURS",
          value_parser = clap::value_parser!(u32).range(1..=876_000))]
    pub request_id_retention_hours: u32,
}

impl From<RetentionArgs> for Retention {
    fn from(args: RetentionArgs) -> Self {
        Self {
            deleted_history: TimeDelta::days(args.deleted_history_days.into()),
            requests: TimeDelta::hours(args.request_id_retention_hours.into()),
        }
    }
}

/// Runs `sweep` every minute, for ever.
pub async fn keep_sweeping<F>(sweep: impl Fn() -> F) -> Infallible
where
    F: Future<Output = Result<(), db::Error>>,
{
    loop {
        sleep(INTERVAL).await;
        if let Err(error) = sweep().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "what is old is left for later");
        }
    }
}

/// Removes what is from before `time`: `remove` removes at most `$2` rows from before `$1`. Returns the number of rows.
pub async fn remove_older<'v>(
    db: &Db,
    remove: &'static str,
    time: impl Value<'v> + Copy,
) -> Result<u64, db::Error> {
    let mut removed = 0;
    loop {
        let some = db.execute(|connection| connection.query(remove).bind(time).bind(STEP)).await?;
        if some == 0 {
            return Ok(removed);
        }
        removed += some;
    }
}

/// Removes what nothing refers to: `next` reads the next rows by their keys, after `$1` and at most `$2`, and whether
/// anything refers to each; `remove` removes those of the keys `$1`, as long as nothing refers to them. Returns the number
/// of rows. `first` comes before all keys.
pub async fn remove_unused<K>(
    db: &Db,
    first: K,
    next: &'static str,
    remove: ByDialect,
) -> Result<u64, db::Error>
where
    K: Clone + for<'v> Value<'v>,
    Many<K>: for<'v> Value<'v> + Clone,
    (K, bool): FromRow,
{
    let (mut removed, mut last) = (0, first);
    loop {
        let looked_at: Vec<(K, bool)> =
            db.reader().await?.query_as(next).bind(last).bind(STEP).fetch_all().await?;
        let Some((key, _)) = looked_at.last() else { return Ok(removed) };
        last = key.clone();
        let unused = looked_at.into_iter().filter(|(_, is_used)| !is_used).map(|(key, _)| key);
        let unused = Many(unused.collect());
        if !unused.0.is_empty() {
            removed += db.execute(|connection| connection.query(remove).bind(unused.clone())).await?;
        }
    }
}
