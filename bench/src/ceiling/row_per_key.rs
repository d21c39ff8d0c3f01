//! The layout with one row per entry of system metadata, written by the database alone.

use std::{collections::BTreeMap, fmt::Write as _, path::Path, sync::Arc};

use common::{clock, id::Id};
use sqlx::{
    ConnectOptions as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::Mutex;

use crate::{
    database,
    figures::Run,
    load::{Shape, drive},
    process::Watch,
};

/// Its tables, in PostgreSQL.
pub(crate) const POSTGRES: &str = include_str!("../../sql/row_per_key.sql");

/// Its tables, in SQLite.
const SQLITE: &str = include_str!("../../sql/row_per_key_sqlite.sql");

/// Number of entries of an instance's system metadata.
pub(crate) const ENTRIES: usize = 40;

/// The columns of an instance's row other than ids and times, the same for all.
const INSTANCE: &str = "'3', 'BUILDING', 2048, 1, '', '', 'linux', 'x86_64', '', '', TRUE";

/// The script of a transaction that creates one instance, for pgbench.
pub(crate) fn script(metadata: &BTreeMap<String, String>) -> String {
    format!(
        "\\set random random(1, 9000000000000000000)
BEGIN;
INSERT INTO instances (id, image_revision, state, memory_mb, vcpus, kernel_id, ramdisk_id, os_type, architecture,
                       vm_mode, root_device_name, auto_disk_config, name, hostname, launch_index, reservation_id,
                       project_id, user_id, image_id, create_time, update_time)
SELECT (lpad(to_hex((extract(epoch FROM t) * 1e6)::bigint), 16, '0') || lpad(to_hex(:random::bigint), 16, '0'))::uuid,
       {INSTANCE}, 'web', 'web', 0, 'r-' || lpad(to_hex(:random::bigint), 16, '0'), '', '',
       '00000000-0000-0000-0000-000000000001', t, t FROM clock_timestamp() t RETURNING id \\gset
INSERT INTO instance_system_metadata (instance_id, key, value, truncated)
SELECT i.id, e.key, e.value, FALSE FROM (SELECT :id::uuid AS id) i,
       (VALUES {}) e (key, value);
END;
",
        entries(metadata, "")
    )
}

/// The entries as rows of key and value, each with `before` in front.
pub(super) fn entries(metadata: &BTreeMap<String, String>, before: &str) -> String {
    let mut rows = String::new();
    for (index, (key, value)) in metadata.iter().take(ENTRIES).enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        // A colon before a letter would be a variable of pgbench.
        let value = value.replace('\'', "''").replace(':', " ");
        let _ = write!(rows, "{separator}({before}'{key}', '{value}')");
    }
    rows
}

/// An SQLite file that is written directly.
pub(crate) struct Sqlite {
    connection: Arc<Mutex<SqliteConnection>>,
    instance: Arc<str>,
    entries: Arc<str>,
}

impl Sqlite {
    /// Creates the file, with every transaction synced to disk.
    pub(crate) async fn create(file: &Path, metadata: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let mut connection = options.connect().await?;
        database::execute(&mut connection, SQLITE.to_owned()).await?;
        let instance = format!(
            "INSERT INTO instances (id, image_revision, state, memory_mb, vcpus, kernel_id, ramdisk_id, os_type, \
             architecture, vm_mode, root_device_name, auto_disk_config, name, hostname, launch_index, \
             reservation_id, project_id, user_id, image_id, create_time, update_time) VALUES ($1, {INSTANCE}, \
             'web', 'web', 0, $2, '', '', '00000000-0000-0000-0000-000000000001', $3, $3)"
        );
        let entries = format!(
            "INSERT INTO instance_system_metadata (truncated, instance_id, key, value) VALUES {}",
            entries(metadata, "FALSE, $1, ")
        );
        let connection = Arc::new(Mutex::new(connection));
        Ok(Self { connection, instance: instance.into(), entries: entries.into() })
    }

    /// Creates instances one after the other, each in a transaction of its own.
    pub(crate) async fn run(&self, shape: Shape) -> anyhow::Result<Run> {
        let (connection, instance, entries) =
            (Arc::clone(&self.connection), Arc::clone(&self.instance), Arc::clone(&self.entries));
        // SQLite has one writer: more of them would only wait for each other.
        let alone = Shape { in_flight: 1, ..shape };
        drive(alone, &Watch::client(), move |_| {
            let (connection, instance, entries) =
                (Arc::clone(&connection), Arc::clone(&instance), Arc::clone(&entries));
            async move { create(&mut *connection.lock().await, &instance, &entries).await }
        })
        .await
    }

    /// Creates exactly `count` instances.
    pub(crate) async fn times(&self, count: usize) -> anyhow::Result<()> {
        let mut connection = self.connection.lock().await;
        for _ in 0..count {
            create(&mut connection, &self.instance, &self.entries).await?;
        }
        Ok(())
    }
}

async fn create(connection: &mut SqliteConnection, instance: &str, entries: &str) -> anyhow::Result<()> {
    let (id, now) = (Id::now(), clock::now());
    let mut transaction = sqlx::Connection::begin_with(connection, "BEGIN IMMEDIATE").await?;
    let reservation = format!("r-{}", id.as_uuid().simple());
    database::query(instance).bind(id).bind(reservation).bind(now).execute(&mut *transaction).await?;
    database::query(entries).bind(id).execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}
