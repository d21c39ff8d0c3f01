//! The statements on SQLite, whose only writer needs no other lock.

use chassis::db::Many;
use common::id::Id;
use sqlx::SqliteConnection;

use super::{
    Transaction,
    rows::{LockedRow, Rows},
};

/// Images `$1`, and with which of the projects `$2` they are shared. The small ones are whole, and those of `$3`.
const LOCK: &str = concat!(
    "SELECT ",
    super::super::columns!(
        "CASE WHEN record_bytes <= 65536 OR id IN (SELECT value FROM json_each($3)) THEN properties END"
    ),
    ", (SELECT json_group_array(member_id) FROM image_members WHERE image_id = image_records.id \
     AND member_id IN (SELECT value FROM json_each($2))) AS members, revision AS locked_revision \
     FROM image_records WHERE id IN (SELECT value FROM json_each($1))"
);

const REVISIONS: &str = "UPDATE images SET revision = new.value ->> 'revision', \
     update_time = new.value ->> 'update_time' FROM json_each($1) AS new WHERE images.id = new.value ->> 'id'";

const DOCUMENTS: &str = "INSERT INTO image_documents (image_id, revision, properties) \
     SELECT value ->> 'id', value ->> 'revision', value -> 'properties' FROM json_each($1) WHERE TRUE \
     ON CONFLICT (image_id) DO UPDATE SET revision = excluded.revision, properties = excluded.properties";

const SET: &str = "INSERT INTO image_properties (image_id, name, value, image_create_time) \
     SELECT value ->> 'image_id', value ->> 'name', value ->> 'value', value ->> 'image_create_time' \
     FROM json_each($1) WHERE TRUE \
     ON CONFLICT (image_id, name) DO UPDATE SET value = excluded.value";

const HISTORY: &str = "INSERT INTO image_revisions (image_id, revision, create_time, user_id, project_id, action, changes) \
     SELECT value ->> 'image_id', value ->> 'revision', value ->> 'create_time', value ->> 'user_id', \
     value ->> 'project_id', value ->> 'action', value -> 'changes' FROM json_each($1)";

const BASES: &str = "INSERT INTO image_bases (image_id, revision, create_time, update_time, changes) \
     SELECT value ->> 'image_id', value ->> 'revision', value ->> 'create_time', value ->> 'update_time', \
     value -> 'changes' FROM json_each($1)";

const ATTRIBUTES: &str = "UPDATE images SET name = new.value ->> 'name', status = new.value ->> 'status', \
     visibility = new.value ->> 'visibility', owner = new.value ->> 'owner', \
     protected = new.value ->> 'protected', os_hidden = new.value ->> 'os_hidden', \
     disk_format = new.value ->> 'disk_format', container_format = new.value ->> 'container_format', \
     min_ram = new.value ->> 'min_ram', min_disk = new.value ->> 'min_disk', size = new.value ->> 'size', \
     virtual_size = new.value ->> 'virtual_size', checksum = new.value ->> 'checksum', \
     os_hash_algo = new.value ->> 'os_hash_algo', os_hash_value = new.value ->> 'os_hash_value', \
     data_id = new.value ->> 'data_id' FROM json_each($1) AS new WHERE images.id = new.value ->> 'id'";

const REMOVE: &str = "DELETE FROM image_properties WHERE (image_id, name) IN \
     (SELECT value ->> 'image_id', value ->> 'name' FROM json_each($1))";

const TAG: &str = "INSERT INTO image_tags (image_id, tag, image_create_time) \
     SELECT value ->> 'image_id', value ->> 'tag', value ->> 'image_create_time' FROM json_each($1)";

const UNTAG: &str = "DELETE FROM image_tags WHERE (image_id, tag) IN \
     (SELECT value ->> 'image_id', value ->> 'tag' FROM json_each($1))";

impl Transaction for SqliteConnection {
    async fn lock(
        &mut self,
        ids: &Many<Id>,
        projects: &Many<String>,
        whole: &Many<Id>,
    ) -> Result<Vec<LockedRow>, sqlx::Error> {
        sqlx::query_as(LOCK).bind(ids).bind(projects).bind(whole).fetch_all(self).await
    }

    async fn write(&mut self, rows: &Rows<'_>) -> Result<(), sqlx::Error> {
        write_rows!(self, REVISIONS, rows.images);
        write_rows!(self, DOCUMENTS, rows.images);
        write_rows!(self, ATTRIBUTES, rows.attributes);
        write_rows!(self, SET, rows.set);
        write_rows!(self, REMOVE, rows.removed);
        write_rows!(self, UNTAG, rows.untagged);
        write_rows!(self, TAG, rows.tagged);
        write_rows!(self, HISTORY, rows.revisions);
        write_rows!(self, BASES, rows.bases);
        Ok(())
    }
}
