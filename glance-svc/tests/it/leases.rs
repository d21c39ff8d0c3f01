//! Whoever leaves in the middle of something leaves nothing behind: at whatever await of a transaction or a statement
//! its future is dropped, the next one on that connection is kept, and seen by others.

use std::{future::poll_fn, pin::pin, task::Poll};

use chassis::{
    db::{self, ByDialect, Db, Migrations, Pools},
    on_both_databases,
    testing::TestDb,
};
use sqlx::{
    Connection as _, Executor as _, PgConnection, Postgres, SqliteConnection, migrate::Migrator,
    pool::PoolOptions,
};
use tokio::task::yield_now;

mod messages;

use messages::Messages;

on_both_databases!(
    whoever_leaves_at_any_poll_leaves_nothing_behind,
    a_transaction_that_the_database_has_ended_is_not_gone_on_with,
    a_panic_in_a_transaction_leaves_nothing_behind,
    a_connection_may_be_left_outside_of_the_runtime,
    a_connection_that_cannot_write_any_more_is_not_used_again,
);

static NOTHING: Migrations = Migrations { sqlite: Migrator::DEFAULT, postgres: Migrator::DEFAULT };

/// One connection for writing, to a table of notes.
struct Notes {
    db: Db,
    url: String,
}

impl Notes {
    /// On the database at `url`, which others reach at `direct`.
    async fn open(url: &str, direct: &str) -> Self {
        let db = Db::open(url, 1, &NOTHING).unwrap();
        db.migrate().await.unwrap();
        let notes = Self { db, url: direct.to_owned() };
        notes.make_table().await.unwrap();
        notes
    }

    async fn make_table(&self) -> Result<(), db::Error> {
        let mut connection = self.db.writer().await?;
        connection.query("CREATE TABLE notes (id BIGINT PRIMARY KEY)").execute().await.map(drop)
    }

    /// One statement that commits by itself.
    async fn note(&self, id: i64) -> Result<(), db::Error> {
        let mut connection = self.db.writer().await?;
        connection.query("INSERT INTO notes (id) VALUES ($1)").bind(id).execute().await.map(drop)
    }

    /// Both of them, or none.
    async fn note_two(&self, ids: [i64; 2]) -> Result<(), db::Error> {
        let mut tx = self.db.begin().await?;
        for id in ids {
            tx.query("INSERT INTO notes (id) VALUES ($1)").bind(id).execute().await?;
        }
        tx.commit().await
    }

    async fn read(&self) -> Result<Vec<i64>, db::Error> {
        self.db.reader().await?.query_scalar("SELECT id FROM notes ORDER BY id").fetch_all().await
    }

    /// What others see.
    async fn seen(&self) -> Vec<i64> {
        const ALL: &str = "SELECT id FROM notes ORDER BY id";
        if self.url.starts_with("sqlite") {
            let mut other = SqliteConnection::connect(&self.url).await.unwrap();
            return sqlx::query_scalar(ALL).fetch_all(&mut other).await.unwrap();
        }
        let mut other = PgConnection::connect(&self.url).await.unwrap();
        sqlx::query_scalar(ALL).fetch_all(&mut other).await.unwrap()
    }

    /// Waits until what was given back has arrived in its pool.
    async fn settle(&self) {
        let is_idle = || match self.db.pools().unwrap() {
            Pools::Sqlite { reader, writer, .. } => {
                [reader, writer].iter().all(|pool| pool.num_idle() == pool.size() as usize)
            }
            Pools::Postgres { pool, .. } => pool.num_idle() == pool.size() as usize,
        };
        while !is_idle() {
            yield_now().await;
        }
    }

    /// Everything that is acknowledged from now on is there, and at once.
    async fn are_sound(&self, base: i64) {
        self.note(base).await.unwrap();
        assert!(self.seen().await.contains(&base), "an acknowledged statement is not there");
        self.note_two([base + 1, base + 2]).await.unwrap();
        let seen = self.seen().await;
        assert!(seen.contains(&(base + 1)) && seen.contains(&(base + 2)), "a transaction is not there");
        assert_eq!(self.read().await.unwrap(), seen);
        // What was left before is nowhere, or all of it: never half.
        let halves = seen.iter().filter(|id| **id < 0 && !seen.contains(&(*id ^ 1))).count();
        assert_eq!(halves, 0, "{seen:?}");
        if !self.url.starts_with("sqlite") {
            self.nobody_is_idle_in_a_transaction().await;
        }
        self.settle().await;
    }

    /// A session that was just closed may still be about to end.
    async fn nobody_is_idle_in_a_transaction(&self) {
        let mut other = PgConnection::connect(&self.url).await.unwrap();
        loop {
            let left: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
            )
            .fetch_one(&mut other)
            .await
            .unwrap();
            if left == 0 {
                return;
            }
        }
    }
}

/// Polls `work` so many times, then drops it; what it came to, if it ended before.
async fn left_after<T>(mut polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if polls == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A pair of ids for what may be left: negative, and different in the last bit alone.
fn pair(number: i64) -> [i64; 2] {
    [-2 * number - 2, -2 * number - 1]
}

async fn whoever_leaves_at_any_poll_leaves_nothing_behind(test: TestDb) {
    let notes = Notes::open(&test.url, &test.url).await;
    let mut left = 0;
    for base in (0..200).map(|number| number * 1000) {
        let polls = usize::try_from(base / 1000 % 10).unwrap();
        let done = left_after(polls, Box::pin(notes.note_two(pair(base)))).await;
        notes.are_sound(base).await;
        let single = left_after(polls, Box::pin(notes.note(base + 3))).await;
        notes.are_sound(base + 4).await;
        let read = left_after(polls, Box::pin(notes.read())).await;
        notes.are_sound(base + 7).await;
        left += usize::from(done.is_none() && polls > 0);
        for done in [done, single, read.map(|read| read.map(drop))].into_iter().flatten() {
            done.unwrap();
        }
    }
    assert!(left > 0, "nobody left in the middle");
}

/// The network holds back the server's answer to the next message, and the caller leaves: after 0, 1, 2 … messages,
/// until the work is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leaves_before_any_message_leaves_nothing_behind() {
    let test = TestDb::postgres().await;
    let messages = Messages::between(&test.url).await;
    let notes = Notes::open(&messages.url, &test.url).await;
    let mut count = 0;
    loop {
        let base = 1000 * i64::try_from(count).unwrap();
        let done = messages.left_after(count, Box::pin(notes.note_two(pair(base)))).await;
        notes.are_sound(base).await;
        let single = messages.left_after(count, Box::pin(notes.note(base + 3))).await;
        notes.are_sound(base + 4).await;
        if let (Some(done), Some(single)) = (done, single) {
            done.and(single).unwrap();
            break;
        }
        count += 1;
    }
    assert!(count >= 8, "BEGIN, two statements and COMMIT have two answers each at least, and not {count}");
}

/// What sqlx does by itself. When this fails, sqlx has been mended: see docs/decisions/0007-connections-are-proved-idle.md
/// for what is no longer needed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlx_itself_loses_sight_of_a_transaction() {
    let test = TestDb::postgres().await;
    let messages = Messages::between(&test.url).await;
    let pool = PoolOptions::<Postgres>::new()
        .max_connections(1)
        .test_before_acquire(false)
        .connect(&messages.url)
        .await
        .unwrap();
    pool.execute("CREATE TABLE notes (id BIGINT PRIMARY KEY)").await.unwrap();
    while pool.num_idle() == 0 {
        yield_now().await;
    }
    assert!(messages.left_after(0, pool.begin()).await.is_none());
    pool.execute("INSERT INTO notes (id) VALUES (1)").await.expect("it is acknowledged");
    let mut other = PgConnection::connect(&test.url).await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM notes").fetch_one(&mut other).await.unwrap();
    assert_eq!(seen, 0, "what sqlx acknowledges is there");
}

/// As SQLite does when the disk is full, or memory is short.
async fn a_transaction_that_the_database_has_ended_is_not_gone_on_with(test: TestDb) {
    let notes = Notes::open(&test.url, &test.url).await;
    notes.db.begin().await.unwrap().query("ROLLBACK").execute().await.unwrap();
    notes.are_sound(0).await;
}

async fn a_panic_in_a_transaction_leaves_nothing_behind(test: TestDb) {
    let notes = Notes::open(&test.url, &test.url).await;
    let db = notes.db.clone();
    let panicked = tokio::spawn(async move {
        let mut tx = db.begin().await?;
        tx.query("INSERT INTO notes (id) VALUES (-2)").execute().await?;
        assert_eq!(db.oldest_transaction(), std::time::Duration::MAX, "it panics");
        tx.commit().await
    });
    assert!(panicked.await.unwrap_err().is_panic());
    notes.are_sound(0).await;
}

async fn a_connection_may_be_left_outside_of_the_runtime(test: TestDb) {
    let notes = Notes::open(&test.url, &test.url).await;
    let tx = notes.db.begin().await.unwrap();
    std::thread::spawn(move || drop(tx)).join().unwrap();
    notes.are_sound(0).await;
}

/// The database is full for this connection, or lets it read only; another one may write.
async fn cannot_write(notes: &Notes) {
    let statement =
        ByDialect { sqlite: "PRAGMA max_page_count = 1", postgres: "SET default_transaction_read_only = on" };
    notes.db.writer().await.unwrap().query(statement).execute().await.unwrap();
}

async fn a_connection_that_cannot_write_any_more_is_not_used_again(test: TestDb) {
    // More than what is left of a page.
    const MANY: &str = "WITH RECURSIVE n(id) AS (SELECT 1000 UNION ALL SELECT id + 1 FROM n WHERE id < 9000) \
                        INSERT INTO notes (id) SELECT id FROM n";
    let notes = Notes::open(&test.url, &test.url).await;
    cannot_write(&notes).await;
    let mut connection = notes.db.writer().await.unwrap();
    let by_itself = connection.query(MANY).execute().await;
    assert!(matches!(by_itself, Err(db::Error::Unavailable(Some(_)))));
    drop(connection);
    notes.are_sound(0).await;
    cannot_write(&notes).await;
    let mut tx = notes.db.begin().await.unwrap();
    let in_transaction = tx.query(MANY).execute().await;
    assert!(matches!(in_transaction, Err(db::Error::Unavailable(Some(_)))));
    drop(tx);
    notes.are_sound(10).await;
}
