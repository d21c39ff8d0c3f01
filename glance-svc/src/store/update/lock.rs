//! The images of a batch, locked and read.

use chassis::db::{self, ByDialect, Many, Transaction};
use common::id::Id;

use super::{super::columns, rows::LockedRow};

/// The images `$1`, and with which of the projects `$2` they are shared. The small ones are whole, and those of `$3`.
///
/// SQLite has one writer, and needs no other lock. In PostgreSQL, they are as they were when the statement began, with
/// their revisions as they are under the lock; they are locked in the order of ids, so that two transactions never wait
/// for each other.
const LOCK: ByDialect = ByDialect {
    sqlite: concat!(
        "SELECT ",
        columns!(
            "CASE WHEN record_bytes <= 65536 OR id IN (SELECT value FROM json_each($3)) THEN properties END"
        ),
        ", (SELECT json_group_array(member_id) FROM image_members WHERE image_id = image_records.id \
     AND member_id IN (SELECT value FROM json_each($2))) AS members, revision AS locked_revision \
     FROM image_records WHERE id IN (SELECT value FROM json_each($1))"
    ),
    postgres: concat!(
        "SELECT ",
        columns!("CASE WHEN record_bytes <= 65536 OR id = ANY($3) THEN properties END"),
        ", COALESCE((SELECT json_agg(member_id) FROM image_members \
     WHERE image_id = image_records.id AND member_id = ANY($2)), '[]') AS members, locked_revision \
     FROM (SELECT id AS locked_id, revision AS locked_revision FROM images WHERE id = ANY($1) \
     ORDER BY id FOR NO KEY UPDATE) AS locked JOIN image_records ON id = locked_id WHERE id = ANY($1)"
    ),
};

/// Locks images and reads them as they are under the lock, and with which of `projects` they are shared. Only small
/// images are whole, and those of `whole`.
pub(super) async fn lock(
    tx: &mut Transaction,
    ids: &Many<Id>,
    projects: &Many<String>,
    whole: &Many<Id>,
) -> Result<Vec<LockedRow>, db::Error> {
    loop {
        let rows: Vec<LockedRow> = tx.query_as(LOCK).bind(ids).bind(projects).bind(whole).fetch_all().await?;
        // Whoever had to wait for a lock has it now, and reads again.
        if !rows.iter().any(LockedRow::is_outdated) {
            return Ok(rows);
        }
    }
}
