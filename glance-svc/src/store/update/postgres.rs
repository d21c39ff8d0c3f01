//! The statements on PostgreSQL: of what every update writes, one for all of a batch.

use chassis::db::{Many, json};
use common::id::Id;
use sqlx::PgConnection;

use super::{
    Transaction,
    rows::{LockedRow, Rows},
};

/// Images `$1` as they were when the statement began, with their revisions as they are under the lock, and with which
/// of the projects `$2` they are shared. Locked in the order of ids, so that two transactions never wait for each
/// other. The small ones are whole, and those of `$3`.
const LOCK: &str = concat!(
    "SELECT ",
    super::super::columns!("CASE WHEN record_bytes <= 65536 OR id = ANY($3) THEN properties END"),
    ", COALESCE((SELECT json_agg(member_id) FROM image_members \
     WHERE image_id = image_records.id AND member_id = ANY($2)), '[]') AS members, locked_revision \
     FROM (SELECT id AS locked_id, revision AS locked_revision FROM images WHERE id = ANY($1) \
     ORDER BY id FOR NO KEY UPDATE) AS locked JOIN image_records ON id = locked_id WHERE id = ANY($1)"
);

/// New revisions of images `$1` and their documents, the properties that get a value, and the history.
const WRITE: &str = "WITH revised AS ( \
     UPDATE images SET revision = new.revision, update_time = new.update_time \
     FROM json_to_recordset($2::json) AS new (id uuid, revision bigint, update_time timestamptz) \
     WHERE images.id = ANY($1) AND images.id = new.id \
     ), document AS ( \
     INSERT INTO image_documents (image_id, revision, properties) \
     SELECT id, revision, properties FROM json_to_recordset($2::json) \
     AS new (id uuid, revision bigint, properties json) \
     ON CONFLICT (image_id) DO UPDATE SET revision = excluded.revision, properties = excluded.properties \
     ), set AS ( \
     INSERT INTO image_properties (image_id, name, value, image_create_time) \
     SELECT image_id, name, value, image_create_time FROM json_to_recordset($3::json) \
     AS new (image_id uuid, name text, value text, image_create_time timestamptz) \
     ON CONFLICT (image_id, name) DO UPDATE SET value = excluded.value \
     ) \
     INSERT INTO image_revisions (image_id, revision, create_time, user_id, project_id, action, changes) \
     SELECT image_id, revision, create_time, user_id, project_id, action, changes \
     FROM json_to_recordset($4::json) AS new (image_id uuid, revision bigint, create_time timestamptz, \
     user_id text, project_id text, action text, changes jsonb)";

const BASES: &str = "INSERT INTO image_bases (image_id, revision, create_time, update_time, changes) \
     SELECT image_id, revision, create_time, update_time, changes FROM json_to_recordset($1::json) \
     AS new (image_id uuid, revision bigint, create_time timestamptz, update_time timestamptz, changes json)";

const ATTRIBUTES: &str = "UPDATE images SET name = new.name, status = new.status, visibility = new.visibility, \
     owner = new.owner, protected = new.protected, os_hidden = new.os_hidden, disk_format = new.disk_format, \
     container_format = new.container_format, min_ram = new.min_ram, min_disk = new.min_disk, size = new.size, \
     virtual_size = new.virtual_size, checksum = new.checksum, os_hash_algo = new.os_hash_algo, \
     os_hash_value = new.os_hash_value, data_id = new.data_id \
     FROM json_to_recordset($1::json) AS new (id uuid, name text, status text, visibility text, owner text, \
     protected boolean, os_hidden boolean, disk_format text, container_format text, min_ram bigint, \
     min_disk bigint, size bigint, virtual_size bigint, checksum text, os_hash_algo text, os_hash_value text, \
     data_id uuid) WHERE images.id = new.id";

const REMOVE: &str = "DELETE FROM image_properties WHERE (image_id, name) IN (SELECT image_id, name \
     FROM json_to_recordset($1::json) AS gone (image_id uuid, name text))";

const TAG: &str = "INSERT INTO image_tags (image_id, tag, image_create_time) SELECT image_id, tag, image_create_time \
     FROM json_to_recordset($1::json) AS new (image_id uuid, tag text, image_create_time timestamptz)";

const UNTAG: &str = "DELETE FROM image_tags WHERE (image_id, tag) IN (SELECT image_id, tag \
     FROM json_to_recordset($1::json) AS gone (image_id uuid, tag text))";

impl Transaction for PgConnection {
    async fn lock(
        &mut self,
        ids: &Many<Id>,
        projects: &Many<String>,
        whole: &Many<Id>,
    ) -> Result<Vec<LockedRow>, sqlx::Error> {
        loop {
            let rows: Vec<LockedRow> =
                sqlx::query_as(LOCK).bind(ids).bind(projects).bind(whole).fetch_all(&mut *self).await?;
            // Whoever had to wait for a lock has it now, and reads again.
            if !rows.iter().any(LockedRow::is_outdated) {
                return Ok(rows);
            }
        }
    }

    async fn write(&mut self, rows: &Rows<'_>) -> Result<(), sqlx::Error> {
        sqlx::query(WRITE)
            .bind(&rows.ids)
            .bind(json(&rows.images))
            .bind(json(&rows.set))
            .bind(json(&rows.revisions))
            .execute(&mut *self)
            .await?;
        write_rows!(self, ATTRIBUTES, rows.attributes);
        write_rows!(self, REMOVE, rows.removed);
        write_rows!(self, UNTAG, rows.untagged);
        write_rows!(self, TAG, rows.tagged);
        write_rows!(self, BASES, rows.bases);
        Ok(())
    }
}
