//! How database and folder compare with what was acknowledged to clients.

use std::{collections::BTreeSet, fs, path::Path, sync::Mutex};

use common::id::Id;
use sqlx::{Connection as _, PgConnection};

use super::client::{Kept, Ledger, entries};

/// Volumes and snapshots without what they remember, without data, or not settled.
const HALF: &str = "SELECT \
    (SELECT COUNT(*) FROM volumes v WHERE \
        (SELECT COUNT(*) FROM volume_image_properties p WHERE p.volume_id = v.id) < 30 \
        OR v.status NOT IN ('available', 'error') OR (v.status = 'available') <> (v.data_id IS NOT NULL)) \
  + (SELECT COUNT(*) FROM snapshots s WHERE \
        (SELECT COUNT(*) FROM record_entries e WHERE e.record_id = s.record_id) < 30 \
        OR s.status NOT IN ('available', 'error') OR (s.status = 'available') <> (s.data_id IS NOT NULL))";

/// How database and folder differ from what was acknowledged.
#[derive(Debug)]
pub(super) struct Audit {
    /// Acknowledged, and not there; or deleted, and there.
    pub(super) missing: usize,
    /// There, and never acknowledged.
    pub(super) twice: usize,
    /// Without what they remember, without data, or not settled.
    pub(super) half: i64,
    pub(super) attached: i64,
    /// Data without a row, and rows without data.
    pub(super) astray: usize,
}

impl Audit {
    /// Compares the database at `url` and the `folder` of the volumes with the ledger.
    pub(super) async fn new(url: &str, folder: &Path, ledger: &Mutex<Ledger>) -> anyhow::Result<Self> {
        let mut connection = PgConnection::connect(url).await?;
        let volumes = ids(&mut connection, "volumes").await?;
        let snapshots = ids(&mut connection, "snapshots").await?;
        let rows = ids(&mut connection, "volume_data").await?;
        let half = sqlx::query_scalar(HALF).fetch_one(&mut connection).await?;
        let attached = "SELECT COUNT(*) FROM attachments";
        let attached = sqlx::query_scalar(attached).fetch_one(&mut connection).await?;
        let astray = rows.symmetric_difference(&data(folder)?).count();
        let ledger = entries(ledger);
        let compared = [(&ledger.volumes, &volumes), (&ledger.snapshots, &snapshots)];
        Ok(Self {
            missing: compared.iter().map(|(kept, there)| missing(kept, there)).sum(),
            twice: compared.iter().map(|(kept, there)| twice(kept, there)).sum(),
            half,
            attached,
            astray,
        })
    }

    pub(super) const fn is_clean(&self) -> bool {
        self.missing + self.twice + self.astray == 0 && self.half + self.attached == 0
    }
}

async fn ids(connection: &mut PgConnection, table: &str) -> anyhow::Result<BTreeSet<String>> {
    let ids = sqlx::AssertSqlSafe(format!("SELECT id::text FROM {table}"));
    Ok(sqlx::query_scalar(ids).fetch_all(connection).await?.into_iter().collect())
}

/// The ids of what is in the folder; its marker is not data.
fn data(folder: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut data = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.parse::<Id>().is_ok() {
            data.insert(name);
        }
    }
    Ok(data)
}

fn missing(ledger: &Kept, there: &BTreeSet<String>) -> usize {
    ledger.kept.difference(there).count() + ledger.deleted.intersection(there).count()
}

fn twice(ledger: &Kept, there: &BTreeSet<String>) -> usize {
    there.difference(&ledger.kept).filter(|id| !ledger.deleted.contains(*id)).count()
}
