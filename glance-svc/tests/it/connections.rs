//! Connections and transactions of either database: what is committed and what is rolled back, the values that are
//! bound, and a connection after a statement that failed.

use std::collections::BTreeMap;

use chassis::{
    db::{self, ByDialect, Connection, Db, Many, Micros, Migrations, Pools, Transaction},
    on_both_databases,
    testing::TestDb,
};
use chrono::{DateTime, Utc};
use common::id::Id;
use sqlx::{migrate::Migrator, types::Json};
use tokio::task::yield_now;

on_both_databases!(
    a_transaction_is_committed_or_rolled_back,
    values_of_every_type_come_back_as_they_were,
    many_values_are_bound_in_one_place,
    rows_are_written_piece_by_piece,
    rows_arrive_one_by_one,
    a_connection_is_used_again_after_a_statement_that_failed,
    a_connection_goes_back_to_its_pool_at_once,
    a_statement_for_the_other_database_is_refused,
);

static NOTHING: Migrations = Migrations { sqlite: Migrator::DEFAULT, postgres: Migrator::DEFAULT };

/// A database with a table of values, of one connection.
async fn open(test: &TestDb) -> Db {
    let db = Db::open(&test.url, 1, &NOTHING).unwrap();
    db.migrate().await.unwrap();
    let table = ByDialect {
        sqlite: "CREATE TABLE things (id TEXT PRIMARY KEY, name TEXT, size INTEGER, small INTEGER, share REAL, \
                 flag BOOLEAN, time TEXT, micros INTEGER, document TEXT)",
        postgres: "CREATE TABLE things (id UUID PRIMARY KEY, name TEXT, size BIGINT, small INTEGER, \
                   share DOUBLE PRECISION, flag BOOLEAN, time TIMESTAMPTZ, micros TIMESTAMPTZ, document JSONB)",
    };
    db.writer().await.unwrap().query(table).execute().await.unwrap();
    db
}

async fn insert(connection: &mut Connection, name: &str) -> Result<u64, db::Error> {
    let query = connection.query("INSERT INTO things (id, name) VALUES ($1, $2)");
    query.bind(Id::random()).bind(name).execute().await
}

async fn names(db: &Db) -> Vec<String> {
    let names = "SELECT name FROM things ORDER BY name";
    db.reader().await.unwrap().query_scalar(names).fetch_all().await.unwrap()
}

/// Inserts two, or fails between them.
async fn insert_two(tx: &mut Transaction, fails: bool) -> Result<(), db::Error> {
    insert(tx, "a").await?;
    if fails {
        tx.query("INSERT INTO nothing VALUES (1)").execute().await?;
    }
    insert(tx, "b").await?;
    Ok(())
}

async fn a_transaction_is_committed_or_rolled_back(test: TestDb) {
    let db = open(&test).await;
    let mut tx = db.begin().await.unwrap();
    insert_two(&mut tx, false).await.unwrap();
    drop(tx);
    assert_eq!(names(&db).await, [""; 0], "it was dropped");

    let mut tx = db.begin().await.unwrap();
    assert!(matches!(insert_two(&mut tx, true).await, Err(db::Error::Failed(_))));
    drop(tx);
    assert_eq!(names(&db).await, [""; 0], "it failed");

    let mut tx = db.begin().await.unwrap();
    insert_two(&mut tx, false).await.unwrap();
    assert!(!db.oldest_transaction().is_zero());
    tx.commit().await.unwrap();
    assert!(db.oldest_transaction().is_zero());
    assert_eq!(names(&db).await, ["a", "b"]);
}

#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Thing {
    id: Id,
    name: Option<String>,
    size: Option<i64>,
    small: Option<i32>,
    share: Option<f64>,
    flag: Option<bool>,
    time: Option<DateTime<Utc>>,
    #[sqlx(try_from = "Micros")]
    micros: DateTime<Utc>,
    document: Option<Json<BTreeMap<String, String>>>,
}

async fn values_of_every_type_come_back_as_they_were(test: TestDb) {
    let db = open(&test).await;
    let time = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
    let full = Thing {
        id: Id::random(),
        name: Some("it's $1, \u{fc} and \"quoted\"".to_owned()),
        size: Some(i64::MAX),
        small: Some(i32::MIN),
        share: Some(0.1),
        flag: Some(true),
        time: Some(time),
        micros: time,
        document: Some(Json([("key".to_owned(), "value".to_owned())].into())),
    };
    let empty = Thing {
        id: Id::random(),
        name: None,
        size: None,
        small: None,
        share: None,
        flag: None,
        time: None,
        micros: time,
        document: None,
    };
    for thing in [full, empty] {
        let mut connection = db.writer().await.unwrap();
        let inserted = connection
            .query("INSERT INTO things VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(thing.id)
            .bind(&thing.name)
            .bind(thing.size)
            .bind(thing.small)
            .bind(thing.share)
            .bind(thing.flag)
            .bind(thing.time)
            .bind(Micros(thing.micros))
            .bind(thing.document.as_ref())
            .execute()
            .await;
        assert_eq!(inserted.unwrap(), 1);
        let read: Thing = connection
            .query_as("SELECT * FROM things WHERE id = $1")
            .bind(thing.id)
            .fetch_one()
            .await
            .unwrap();
        assert_eq!(read, thing);
    }
    let none: Option<Thing> = db
        .reader()
        .await
        .unwrap()
        .query_as("SELECT * FROM things WHERE FALSE")
        .fetch_optional()
        .await
        .unwrap();
    assert_eq!(none, None);
}

async fn many_values_are_bound_in_one_place(test: TestDb) {
    let db = open(&test).await;
    for name in ["a", "b", "c"] {
        insert(&mut db.writer().await.unwrap(), name).await.unwrap();
    }
    let found = ByDialect {
        sqlite: "SELECT COUNT(*) FROM things WHERE name IN (SELECT value FROM json_each($1))",
        postgres: "SELECT COUNT(*) FROM things WHERE name = ANY($1)",
    };
    for (wanted, count) in [(vec![], 0), (vec!["a"], 1), (vec!["c", "a", "d"], 2)] {
        let mut connection = db.reader().await.unwrap();
        let found: i64 = connection.query_scalar(found).bind(Many(wanted)).fetch_one().await.unwrap();
        assert_eq!(found, count);
    }
}

async fn rows_are_written_piece_by_piece(test: TestDb) {
    let db = open(&test).await;
    let mut query = db.builder("INSERT INTO things (id, name, size) ");
    query.push_values([("a", 1_i64), ("b", 2), ("c", 3)], |row, (name, size)| {
        row.push_bind(Id::random()).push_bind(name).push_bind(size);
    });
    assert_eq!(db.writer().await.unwrap().query(query).execute().await.unwrap(), 3);

    let mut query = db.builder("SELECT name FROM things WHERE name IN ");
    query.push_list(["a", "c"]).push(" AND size > ").push_bind(1_i64);
    let sql = query.sql().to_owned();
    let found: Vec<String> = db.reader().await.unwrap().query_scalar(query).fetch_all().await.unwrap();
    assert_eq!(found, ["c"], "{sql}");
}

async fn rows_arrive_one_by_one(test: TestDb) {
    let db = open(&test).await;
    let numbers = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 100) \
                   SELECT id FROM n";
    let mut sum = 0;
    let mut connection = db.reader().await.unwrap();
    connection.query_scalar(numbers).persistent(false).for_each(|id: i32| sum += id).await.unwrap();
    assert_eq!(sum, 5050);
}

async fn a_connection_is_used_again_after_a_statement_that_failed(test: TestDb) {
    let db = open(&test).await;
    let mut connection = db.writer().await.unwrap();
    insert(&mut connection, "a").await.unwrap();
    let refused = connection.query("INSERT INTO nothing VALUES (1)").execute().await;
    assert!(matches!(refused, Err(db::Error::Failed(_))));
    insert(&mut connection, "b").await.unwrap();
    let refused = connection.query_scalar::<i64>("SELECT name FROM things").fetch_all().await;
    assert!(matches!(refused, Err(db::Error::Failed(_))), "a name is no number");
    drop(connection);
    insert(&mut db.writer().await.unwrap(), "c").await.unwrap();
    assert_eq!(names(&db).await, ["a", "b", "c"]);
}

/// Whether no connection is in use.
fn is_idle(db: &Db) -> bool {
    match db.pools().unwrap() {
        Pools::Sqlite { reader, writer, .. } => {
            [reader, writer].iter().all(|pool| pool.num_idle() == pool.size() as usize)
        }
        Pools::Postgres { pool, .. } => pool.num_idle() == pool.size() as usize,
    }
}

async fn a_connection_goes_back_to_its_pool_at_once(test: TestDb) {
    let db = open(&test).await;
    insert(&mut db.writer().await.unwrap(), "a").await.unwrap();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, "b").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(names(&db).await, ["a", "b"]);
    while !is_idle(&db) {
        yield_now().await;
    }
}

async fn a_statement_for_the_other_database_is_refused(test: TestDb) {
    let (sqlite, postgres) = (TestDb::sqlite(), TestDb::postgres().await);
    let (db, sqlite, postgres) = (open(&test).await, open(&sqlite).await, open(&postgres).await);
    let other = if db.dialect() == sqlite.dialect() { postgres } else { sqlite };
    let refused = db.reader().await.unwrap().query(other.builder("SELECT 1")).execute().await;
    assert!(matches!(refused, Err(db::Error::Failed(_))));
}
