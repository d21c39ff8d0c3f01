//! What volumes and snapshots are copied from: it must have data when the copy is recorded, and keep it until the copy is
//! done.

use std::collections::{BTreeMap, BTreeSet};

use chassis::db::{self, ByDialect, Many, Transaction};
use common::id::Id;

use crate::{
    error::Error,
    volume::{Task, Volume},
};

/// Those of the volumes `$1` that have data, until the end of the transaction. SQLite has one writer.
const VOLUMES: ByDialect = ByDialect {
    sqlite: "SELECT id FROM volumes WHERE id IN (SELECT value FROM json_each($1)) \
         AND status IN ('available', 'in_use')",
    postgres: "SELECT id FROM volumes WHERE id = ANY($1) AND status IN ('available', 'in_use') ORDER BY id FOR SHARE",
};

/// The same for the snapshots `$1`.
const SNAPSHOTS: ByDialect = ByDialect {
    sqlite: "SELECT id FROM snapshots WHERE id IN (SELECT value FROM json_each($1)) AND status = 'available'",
    postgres: "SELECT id FROM snapshots WHERE id = ANY($1) AND status = 'available' ORDER BY id FOR SHARE",
};

/// Those of the volumes `$1` that are about to have other data.
const REPLACED: ByDialect = ByDialect {
    sqlite: "SELECT volume_id FROM volume_tasks WHERE volume_id IN (SELECT value FROM json_each($1)) \
         AND task_state IN ('reimaging', 'reverting', 'writing')",
    postgres: "SELECT volume_id FROM volume_tasks WHERE volume_id = ANY($1) \
         AND task_state IN ('reimaging', 'reverting', 'writing')",
};

/// The latest snapshot of the volume `$1`, until the end of the transaction, if it has data.
const LATEST: ByDialect = ByDialect {
    sqlite: "SELECT id FROM snapshots WHERE id = (SELECT id FROM snapshots WHERE volume_id = $1 \
         ORDER BY create_time DESC, id DESC LIMIT 1) AND status = 'available'",
    postgres: "SELECT id FROM snapshots WHERE id = (SELECT id FROM snapshots WHERE volume_id = $1 \
         ORDER BY create_time DESC, id DESC LIMIT 1) AND status = 'available' FOR SHARE",
};

/// Whether the data of the volume `$1` are being copied, onto a volume or a snapshot.
const IS_SOURCE: &str = "SELECT EXISTS (SELECT 1 FROM volume_tasks WHERE source_volume_id = $1) \
     OR EXISTS (SELECT 1 FROM snapshots WHERE volume_id = $1 AND status = 'creating')";

/// Locks what new volumes are copied from; returns those of it that cannot be copied any more.
pub(super) async fn lock_sources(
    tx: &mut Transaction,
    volumes: &[&Volume],
) -> Result<BTreeSet<Id>, db::Error> {
    let tasks = || volumes.iter().filter_map(|volume| volume.task.as_ref());
    let sources: BTreeSet<Id> = tasks().filter_map(|task: &Task| task.source_volume_id).collect();
    let snapshots: BTreeSet<Id> = tasks().filter_map(|task: &Task| task.snapshot_id).collect();
    let mut unusable = missing(tx, VOLUMES, &sources).await?;
    if !sources.is_empty() {
        let ids = Many(sources.into_iter().collect::<Vec<_>>());
        // After the lock, so that nothing is missed that was committed before it.
        let replaced: Vec<Id> = tx.query_scalar(REPLACED).bind(&ids).fetch_all().await?;
        unusable.extend(replaced);
    }
    unusable.extend(missing(tx, SNAPSHOTS, &snapshots).await?);
    Ok(unusable)
}

/// Those of `ids` that a statement does not find.
pub(super) async fn missing(
    tx: &mut Transaction,
    sql: ByDialect,
    ids: &BTreeSet<Id>,
) -> Result<BTreeSet<Id>, db::Error> {
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let wanted = Many(ids.iter().copied().collect::<Vec<_>>());
    let found: Vec<Id> = tx.query_scalar(sql).bind(&wanted).fetch_all().await?;
    Ok(ids.iter().copied().filter(|id| !found.contains(id)).collect())
}

/// Refuses a volume whose source is one of those that cannot be copied any more; the request finds out why when it comes
/// again.
pub(super) fn check_source(volume: &Volume, unusable: &BTreeSet<Id>) -> Result<(), Error> {
    let Some(task) = &volume.task else { return Ok(()) };
    let sources = BTreeMap::from([("volume", task.source_volume_id), ("snapshot", task.snapshot_id)]);
    for (kind, id) in sources {
        if let Some(id) = id.filter(|id| unusable.contains(id)) {
            return Err(Error::Contended { kind, id });
        }
    }
    Ok(())
}

/// Refuses to give a volume other data while they are being copied.
pub(super) async fn check_not_copied(tx: &mut Transaction, id: Id) -> Result<(), Error> {
    let is_source: bool = tx.query_scalar(IS_SOURCE).bind(id).fetch_one().await?;
    if is_source { Err(Error::VolumeBeingCopied(id)) } else { Ok(()) }
}

/// Whether a snapshot is the latest one of a volume, and has data.
pub(super) async fn is_latest_snapshot(
    tx: &mut Transaction,
    snapshot_id: Id,
    volume_id: Id,
) -> Result<bool, db::Error> {
    let latest: Option<Id> = tx.query_scalar(LATEST).bind(volume_id).fetch_optional().await?;
    Ok(latest == Some(snapshot_id))
}
