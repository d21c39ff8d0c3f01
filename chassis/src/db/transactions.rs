//! Which transactions are open, and since when.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::PgConnection;

/// The open transactions of a process.
#[derive(Debug, Default)]
pub(super) struct Transactions(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    /// When each began, by its number: the first is the oldest.
    since: BTreeMap<u64, Instant>,
    last: u64,
    /// The age of the oldest one that the server knows of.
    seen: Duration,
}

/// A transaction that is open for as long as this value lives.
#[derive(Debug)]
pub(super) struct Opened {
    number: u64,
    transactions: Arc<Transactions>,
}

impl Transactions {
    /// Records that a transaction begins.
    pub(super) fn open(transactions: &Arc<Self>) -> Opened {
        let mut open = transactions.lock();
        open.last += 1;
        let number = open.last;
        open.since.insert(number, Instant::now());
        drop(open);
        Opened { number, transactions: Arc::clone(transactions) }
    }

    /// How long the oldest one has been open.
    pub(super) fn oldest(&self) -> Duration {
        let open = self.lock();
        let begun = open.since.first_key_value().map(|(_, since)| since.elapsed());
        begun.unwrap_or_default().max(open.seen)
    }

    /// Asks the server, which also knows of transactions that we have lost track of.
    pub(super) async fn look(&self, connection: &mut PgConnection) {
        let age: Result<f64, _> = sqlx::query_scalar(
            "SELECT COALESCE(MAX(EXTRACT(EPOCH FROM clock_timestamp() - xact_start)), 0)::float8 \
             FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user \
             AND application_name = current_setting('application_name') AND pid <> pg_backend_pid()",
        )
        .fetch_one(connection)
        .await;
        // A database that is no PostgreSQL need not tell.
        self.lock().seen =
            age.map_or(Duration::ZERO, |age| Duration::try_from_secs_f64(age).unwrap_or_default());
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.transactions.lock().since.remove(&self.number);
    }
}
