//! The schema: made as often as asked, and the same on both databases.

use std::collections::BTreeMap;

use chassis::{
    db::{Db, Migrations, Pools},
    on_both_databases,
    testing::TestDb,
};
use glance_svc::store::MIGRATIONS;
use proto::glance::v1::{Image, ListImagesRequest};
use sqlx::{FromRow, migrate::Migrator, postgres::PgRow, sqlite::SqliteRow};
use tokio::task::JoinSet;

use crate::{
    database::execute,
    support::{Glance, Who, World, named},
};

on_both_databases!(
    migrates_as_often_as_asked,
    many_servers_migrate_one_database,
    images_are_listed_as_before_they_were_migrated,
    programs_that_are_older_still_write,
    who_saw_what_is_known_of_what_was_before_the_migration,
    deletion_leaves_no_rows,
);

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
    for _ in 0..24 {
        let opened = Db::open(&db.url, 2, &MIGRATIONS).unwrap();
        servers.spawn(async move { opened.migrate().await });
    }
    for migrated in servers.join_all().await {
        migrated.unwrap();
    }
}

/// The schema as it was at a version.
async fn migrate_to(version: i64, url: &str) -> Db {
    let before = |migrator: &Migrator| {
        Migrator::with_migrations(
            migrator.iter().filter(|migration| migration.version <= version).cloned().collect(),
        )
    };
    let db = Db::open(
        url,
        2,
        Box::leak(Box::new(Migrations {
            sqlite: before(&MIGRATIONS.sqlite),
            postgres: before(&MIGRATIONS.postgres),
        })),
    );
    let db = db.unwrap();
    db.migrate().await.unwrap();
    db
}

async fn images_are_listed_as_before_they_were_migrated(db: TestDb) {
    let old = migrate_to(2, &db.url).await;
    for statement in [
        "INSERT INTO images (id, name, status, visibility, owner, protected, disk_format, container_format, \
         min_ram, min_disk, checksum, revision, create_time, update_time) \
         VALUES ('6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11', 'cirros', 'queued', 'shared', 'owner', FALSE, '', '', \
         0, 0, '', 1, '2026-01-01T00:00:00.000001+00:00', '2026-01-01T00:00:00.000001+00:00')",
        "INSERT INTO image_properties (image_id, name, value) \
         VALUES ('6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11', 'os', 'linux')",
        "INSERT INTO image_tags (image_id, tag) VALUES ('6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11', 't')",
        "INSERT INTO image_members (image_id, member_id, status, create_time, update_time) \
         VALUES ('6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11', 'accepted', 'accepted', \
         '2026-01-01T00:00:00.000001+00:00', '2026-01-01T00:00:00.000001+00:00')",
    ] {
        execute(&old, statement).await;
    }
    let world = World::start(db).await;
    for (who, filter) in [
        (Who::NOBODY, ""),
        (Who::NOBODY, "properties.os = linux"),
        (Who::OWNER, "tags:t"),
        (Who::ACCEPTED, ""),
        (Who::ACCEPTED, "tags:t AND properties.os = linux"),
    ] {
        let request = ListImagesRequest { filter: filter.to_owned(), ..Default::default() };
        let listed = world.grpc(who).list_images(request).await.unwrap().into_inner().images;
        assert_eq!(listed.len(), 1, "{filter} of {who:?}");
        assert_eq!((listed[0].name.as_str(), listed[0].properties["os"].as_str()), ("cirros", "linux"));
    }
}

async fn programs_that_are_older_still_write(db: TestDb) {
    let glance = Glance::start(db).await;
    glance.named("cirros").await;
    let opened = open(&glance.db).await;
    for statement in [
        "INSERT INTO image_properties (image_id, name, value) SELECT id, 'os', 'linux' FROM images",
        "UPDATE images SET revision = revision + 1",
        "INSERT INTO image_tags (image_id, tag) SELECT id, 't' FROM images",
        "INSERT INTO image_members (image_id, member_id, status, create_time, update_time) \
         SELECT id, 'accepted', 'accepted', create_time, create_time FROM images",
    ] {
        execute(&opened, statement).await;
    }
    assert_eq!(glance.find("properties.os = linux AND tags:t").await, ["cirros"]);
    let all = glance.client.clone().list_images(ListImagesRequest::default()).await.unwrap().into_inner();
    assert_eq!(all.images[0].properties["os"], "linux");
    assert_eq!(glance.get(&all.images[0].id).await.unwrap(), all.images[0]);
    let listed = Who::ACCEPTED.client(&glance.channel).list_images(ListImagesRequest::default()).await;
    assert_eq!(listed.unwrap().into_inner().images.len(), 1);
    let since: Vec<(i64,)> = rows(&opened, "SELECT image_revision FROM image_members").await;
    assert_eq!(since, [(2,)]);
}

async fn who_saw_what_is_known_of_what_was_before_the_migration(db: TestDb) {
    let old = migrate_to(6, &db.url).await;
    for statement in [
        "INSERT INTO images (id, name, status, visibility, owner, protected, disk_format, container_format, \
         min_ram, min_disk, checksum, revision, create_time, update_time) \
         VALUES ('6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11', '', 'queued', 'shared', 'stranger', FALSE, '', '', \
         0, 0, '', 3, '2026-01-01T00:00:00+00:00', '2026-01-01T00:00:03+00:00')",
        "INSERT INTO image_revisions (image_id, revision, create_time, user_id, project_id, action, changes) \
         VALUES ('6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11', 1, '2026-01-01T00:00:00+00:00', '', '', 'create', \
         '[{\"attribute\":\"owner\",\"new\":\"owner\"},{\"attribute\":\"visibility\",\"new\":\"SHARED\"}]'), \
         ('6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11', 2, '2026-01-01T00:00:01+00:00', '', '', 'update', \
         '[{\"property\":\"owner\",\"new\":\"nobody\"}]'), \
         ('6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11', 3, '2026-01-01T00:00:03+00:00', '', '', 'update', \
         '[{\"attribute\":\"owner\",\"old\":\"owner\",\"new\":\"stranger\"}]')",
        "INSERT INTO image_members (image_id, member_id, status, create_time, update_time) VALUES \
         ('6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11', 'accepted', 'accepted', \
         '2026-01-01T00:00:02+00:00', '2026-01-01T00:00:04+00:00'), \
         ('6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11', 'pending', 'pending', \
         '2025-12-31T23:59:59+00:00', '2026-01-01T00:00:04+00:00')",
    ] {
        execute(&old, statement).await;
    }
    let world = World::start(db).await;
    let opened = open(&world.db).await;
    let since: Vec<(String, i64)> =
        rows(&opened, "SELECT member_id, image_revision FROM image_members ORDER BY member_id").await;
    // Whose clock was behind sees no more than the image as it is now.
    assert_eq!(since, [("accepted".to_owned(), 2), ("pending".to_owned(), 3)]);
    let owners: Vec<(i64, String)> =
        rows(&opened, "SELECT revision, owner FROM image_owners ORDER BY revision").await;
    assert_eq!(owners, [(1, "owner".to_owned()), (3, "stranger".to_owned())]);
}

async fn deletion_leaves_no_rows(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.create(Image { tags: vec!["t".to_owned()], ..named("cirros") }).await.unwrap().id;
    glance.set(&id, &[("a", "1")]).await.unwrap();
    glance.delete(&id, "").await.unwrap();
    let counts: Vec<(i64, i64, i64, i64, i64)> = rows(
        &open(&glance.db).await,
        "SELECT (SELECT COUNT(*) FROM images), (SELECT COUNT(*) FROM image_properties), \
         (SELECT COUNT(*) FROM image_tags), (SELECT COUNT(*) FROM image_documents), \
         (SELECT COUNT(*) FROM image_revisions)",
    )
    .await;
    assert_eq!(counts, [(0, 0, 0, 0, 3)]);
}

/// Columns, each with its number, type and whether it must have a value, by table and name.
type Columns = BTreeMap<(String, String), (i64, String, bool)>;

fn columns(rows: Vec<(String, String, i64, String, bool)>) -> Columns {
    let columns = rows.into_iter().map(|(table, name, number, r#type, required)| {
        let r#type = match r#type.as_str() {
            // JSON that a view computes has no type of its own in SQLite.
            "uuid" | "text" | "timestamp with time zone" | "json" | "jsonb" | "" => "TEXT",
            // As SQLite calls what a view computes.
            "bigint" | "INT" => "INTEGER",
            "boolean" => "BOOLEAN",
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
        "data_store",
        "image_bases",
        "image_data",
        "image_documents",
        "image_history",
        "image_members",
        "image_owners",
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
