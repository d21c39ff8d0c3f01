//! The schema: made as often as asked, and the same on both databases.

use std::collections::BTreeMap;

use common::{
    db::{Db, Pools},
    on_both_databases,
    testing::TestDb,
};
use glance_svc::store::MIGRATIONS;
use proto::glance::v1::Image;
use sqlx::{FromRow, postgres::PgRow, sqlite::SqliteRow};
use tokio::task::JoinSet;

use crate::support::{Glance, named};

on_both_databases!(migrates_as_often_as_asked, many_servers_migrate_one_database, deletion_leaves_no_rows);

/// The database of a test, beside the server that serves it.
pub(crate) async fn open(db: &TestDb) -> Db {
    let opened = Db::open(&db.url, 2, &MIGRATIONS).unwrap();
    opened.migrate().await.unwrap();
    opened
}

/// The rows of a statement.
pub(crate) async fn rows<T>(db: &Db, statement: &'static str) -> Vec<T>
where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let rows = match db.pools().unwrap() {
        Pools::Sqlite { writer, .. } => sqlx::query_as(statement).fetch_all(writer).await,
        Pools::Postgres { pool, .. } => sqlx::query_as(statement).fetch_all(pool).await,
    };
    rows.unwrap()
}

async fn migrates_as_often_as_asked(db: TestDb) {
    for _ in 0..2 {
        let opened = open(&db).await;
        opened.migrate().await.unwrap();
        assert!(opened.heartbeat().await);
    }
    let glance = Glance::start(db).await;
    let image = glance.named("cirros").await;
    open(&glance.db).await;
    assert_eq!(glance.get(&image.id).await.unwrap(), image);
}

async fn many_servers_migrate_one_database(db: TestDb) {
    let mut servers = JoinSet::new();
    for _ in 0..8 {
        let opened = Db::open(&db.url, 2, &MIGRATIONS).unwrap();
        servers.spawn(async move { opened.migrate().await });
    }
    for migrated in servers.join_all().await {
        migrated.unwrap();
    }
}

async fn deletion_leaves_no_rows(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.create(Image { tags: vec!["t".to_owned()], ..named("cirros") }).await.unwrap().id;
    glance.set(&id, &[("a", "1")]).await.unwrap();
    glance.delete(&id, "").await.unwrap();
    let counts: Vec<(i64, i64, i64, i64)> = rows(
        &open(&glance.db).await,
        "SELECT (SELECT COUNT(*) FROM images), (SELECT COUNT(*) FROM image_properties), \
         (SELECT COUNT(*) FROM image_tags), (SELECT COUNT(*) FROM image_revisions)",
    )
    .await;
    assert_eq!(counts, [(0, 0, 0, 3)]);
}

/// Columns, each with its number, type and whether it must have a value, by table and name.
type Columns = BTreeMap<(String, String), (i64, String, bool)>;

fn columns(rows: Vec<(String, String, i64, String, bool)>) -> Columns {
    let columns = rows.into_iter().map(|(table, name, number, r#type, required)| {
        let r#type = match r#type.as_str() {
            "uuid" | "text" | "timestamp with time zone" | "jsonb" => "TEXT",
            "bigint" => "INTEGER",
            "boolean" => "BOOLEAN",
            // What a view computes has no type of its own in SQLite.
            "json" => "",
            other => other,
        };
        ((table, name), (number, r#type.to_owned(), required))
    });
    columns.filter(|((table, _), _)| table != "_sqlx_migrations").collect()
}

async fn sqlite_columns(db: &Db) -> Columns {
    columns(
        rows(
            db,
            "SELECT t.name, c.name, c.cid + 1, c.type, c.\"notnull\" <> 0 FROM sqlite_master t, \
             pragma_table_info(t.name) c WHERE t.type IN ('table', 'view')",
        )
        .await,
    )
}

async fn postgres_columns(db: &Db) -> Columns {
    columns(
        rows(
            db,
            "SELECT table_name::TEXT, column_name::TEXT, ordinal_position::BIGINT, data_type::TEXT, \
             is_nullable = 'NO' FROM information_schema.columns WHERE table_schema = 'public'",
        )
        .await,
    )
}

#[tokio::test]
async fn both_databases_have_the_same_tables_and_columns() {
    let (sqlite, postgres) = (TestDb::sqlite(), TestDb::postgres().await);
    let sqlite = sqlite_columns(&open(&sqlite).await).await;
    assert_eq!(sqlite, postgres_columns(&open(&postgres).await).await);
    let tables: std::collections::BTreeSet<_> = sqlite.keys().map(|(table, _)| table.as_str()).collect();
    let expected = [
        "image_data",
        "image_members",
        "image_properties",
        "image_records",
        "image_revisions",
        "image_tags",
        "images",
    ];
    assert_eq!(tables.into_iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn both_databases_have_the_same_indexes() {
    let (sqlite, postgres) = (TestDb::sqlite(), TestDb::postgres().await);
    let sqlite: Vec<(String, String)> = rows(
        &open(&sqlite).await,
        "SELECT tbl_name, name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name",
    )
    .await;
    let postgres: Vec<(String, String)> = rows(
        &open(&postgres).await,
        "SELECT tablename::TEXT, indexname::TEXT FROM pg_indexes \
         WHERE schemaname = 'public' AND indexname NOT LIKE '%_pkey' ORDER BY indexname COLLATE \"C\"",
    )
    .await;
    assert!(sqlite.contains(&("image_properties".to_owned(), "image_properties_by_value".to_owned())));
    assert_eq!(sqlite, postgres);
}
