//! What a batch writes.

use chassis::db::{self, ByDialect, Dialect, Sql, Transaction, json};
use serde::Serialize;

use super::rows::Rows;

/// What every update writes, in one statement, as PostgreSQL alone can: new revisions of images `$1` and their
/// documents, the properties that get a value, and the history.
const EVERY: &str = "WITH revised AS ( \
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

/// The same for SQLite: new revisions of images.
const REVISIONS: &str = "UPDATE images SET revision = new.value ->> 'revision', \
     update_time = new.value ->> 'update_time' FROM json_each($1) AS new WHERE images.id = new.value ->> 'id'";

/// Their documents.
const DOCUMENTS: &str = "INSERT INTO image_documents (image_id, revision, properties) \
     SELECT value ->> 'id', value ->> 'revision', value -> 'properties' FROM json_each($1) WHERE TRUE \
     ON CONFLICT (image_id) DO UPDATE SET revision = excluded.revision, properties = excluded.properties";

/// The properties that get a value.
const SET: &str = "INSERT INTO image_properties (image_id, name, value, image_create_time) \
     SELECT value ->> 'image_id', value ->> 'name', value ->> 'value', value ->> 'image_create_time' \
     FROM json_each($1) WHERE TRUE \
     ON CONFLICT (image_id, name) DO UPDATE SET value = excluded.value";

/// The history.
const HISTORY: &str = "INSERT INTO image_revisions (image_id, revision, create_time, user_id, project_id, action, changes) \
     SELECT value ->> 'image_id', value ->> 'revision', value ->> 'create_time', value ->> 'user_id', \
     value ->> 'project_id', value ->> 'action', value -> 'changes' FROM json_each($1)";

/// Attributes of images.
const ATTRIBUTES: ByDialect = ByDialect {
    sqlite: "UPDATE images SET name = new.value ->> 'name', status = new.value ->> 'status', \
         visibility = new.value ->> 'visibility', owner = new.value ->> 'owner', \
         protected = new.value ->> 'protected', os_hidden = new.value ->> 'os_hidden', \
         disk_format = new.value ->> 'disk_format', container_format = new.value ->> 'container_format', \
         min_ram = new.value ->> 'min_ram', min_disk = new.value ->> 'min_disk', size = new.value ->> 'size', \
         virtual_size = new.value ->> 'virtual_size', checksum = new.value ->> 'checksum', \
         os_hash_algo = new.value ->> 'os_hash_algo', os_hash_value = new.value ->> 'os_hash_value', \
         data_id = new.value ->> 'data_id' FROM json_each($1) AS new WHERE images.id = new.value ->> 'id'",
    postgres: "UPDATE images SET name = new.name, status = new.status, visibility = new.visibility, \
         owner = new.owner, protected = new.protected, os_hidden = new.os_hidden, disk_format = new.disk_format, \
         container_format = new.container_format, min_ram = new.min_ram, min_disk = new.min_disk, size = new.size, \
         virtual_size = new.virtual_size, checksum = new.checksum, os_hash_algo = new.os_hash_algo, \
         os_hash_value = new.os_hash_value, data_id = new.data_id \
         FROM json_to_recordset($1::json) AS new (id uuid, name text, status text, visibility text, owner text, \
         protected boolean, os_hidden boolean, disk_format text, container_format text, min_ram bigint, \
         min_disk bigint, size bigint, virtual_size bigint, checksum text, os_hash_algo text, os_hash_value text, \
         data_id uuid) WHERE images.id = new.id",
};

/// Properties that go.
const REMOVE: ByDialect = ByDialect {
    sqlite: "DELETE FROM image_properties WHERE (image_id, name) IN \
         (SELECT value ->> 'image_id', value ->> 'name' FROM json_each($1))",
    postgres: "DELETE FROM image_properties WHERE (image_id, name) IN (SELECT image_id, name \
         FROM json_to_recordset($1::json) AS gone (image_id uuid, name text))",
};

/// Tags that go.
const UNTAG: ByDialect = ByDialect {
    sqlite: "DELETE FROM image_tags WHERE (image_id, tag) IN \
         (SELECT value ->> 'image_id', value ->> 'tag' FROM json_each($1))",
    postgres: "DELETE FROM image_tags WHERE (image_id, tag) IN (SELECT image_id, tag \
         FROM json_to_recordset($1::json) AS gone (image_id uuid, tag text))",
};

/// Tags that come.
const TAG: ByDialect = ByDialect {
    sqlite: "INSERT INTO image_tags (image_id, tag, image_create_time) \
         SELECT value ->> 'image_id', value ->> 'tag', value ->> 'image_create_time' FROM json_each($1)",
    postgres: "INSERT INTO image_tags (image_id, tag, image_create_time) SELECT image_id, tag, image_create_time \
         FROM json_to_recordset($1::json) AS new (image_id uuid, tag text, image_create_time timestamptz)",
};

/// Whole images beside their history.
const BASES: ByDialect = ByDialect {
    sqlite: "INSERT INTO image_bases (image_id, revision, create_time, update_time, changes) \
         SELECT value ->> 'image_id', value ->> 'revision', value ->> 'create_time', value ->> 'update_time', \
         value -> 'changes' FROM json_each($1)",
    postgres: "INSERT INTO image_bases (image_id, revision, create_time, update_time, changes) \
         SELECT image_id, revision, create_time, update_time, changes FROM json_to_recordset($1::json) \
         AS new (image_id uuid, revision bigint, create_time timestamptz, update_time timestamptz, changes json)",
};

/// Writes what became of the images of a batch.
pub(super) async fn write(tx: &mut Transaction, rows: &Rows<'_>) -> Result<(), db::Error> {
    match tx.dialect() {
        Dialect::Postgres => {
            let (images, set, revisions) = (json(&rows.images), json(&rows.set), json(&rows.revisions));
            tx.query(EVERY).bind(&rows.ids).bind(images).bind(set).bind(revisions).execute().await?;
        }
        Dialect::Sqlite => {
            write_rows(tx, REVISIONS, &rows.images).await?;
            write_rows(tx, DOCUMENTS, &rows.images).await?;
            write_rows(tx, SET, &rows.set).await?;
            write_rows(tx, HISTORY, &rows.revisions).await?;
        }
    }
    write_rows(tx, ATTRIBUTES, &rows.attributes).await?;
    write_rows(tx, REMOVE, &rows.removed).await?;
    write_rows(tx, UNTAG, &rows.untagged).await?;
    write_rows(tx, TAG, &rows.tagged).await?;
    write_rows(tx, BASES, &rows.bases).await
}

/// Runs a statement for rows, if there are any.
async fn write_rows(
    tx: &mut Transaction,
    sql: impl Into<Sql>,
    rows: &[impl Serialize],
) -> Result<(), db::Error> {
    if !rows.is_empty() {
        tx.query(sql).bind(json(rows)).execute().await?;
    }
    Ok(())
}
