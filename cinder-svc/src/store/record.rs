//! Records in the database.

use std::{collections::HashMap, sync::Arc};

use chassis::{
    db::{ByDialect, Many},
    records::Row,
};
use common::{
    id::Id,
    image::Properties,
    volume_image_metadata::{SourceImage, VolumeImageMetadata},
};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::types::Json;

use super::Store;
use crate::{error::Error, volume::Record};

/// The columns of a record.
macro_rules! columns {
    () => {
        "SELECT id, image_id, image_revision, image_name, disk_format, container_format, checksum, min_disk, min_ram, \
         size, properties FROM records WHERE "
    };
}

/// Records of images that satisfy a condition.
pub(super) const RECORDS_OF_IMAGES: &str = concat!(columns!(), "image_id IS NOT NULL AND ");

/// The records `$1`.
const THESE: ByDialect = ByDialect {
    sqlite: concat!(columns!(), "id IN (SELECT value FROM json_each($1))"),
    postgres: concat!(columns!(), "id = ANY($1)"),
};

/// A row of `records` as it is read.
#[derive(sqlx::FromRow)]
pub(super) struct StoredRecord {
    id: Id,
    image_id: Option<Id>,
    image_revision: Option<i64>,
    image_name: Option<String>,
    disk_format: Option<String>,
    container_format: Option<String>,
    checksum: Option<String>,
    min_disk: Option<i64>,
    min_ram: Option<i64>,
    size: Option<i64>,
    properties: Json<Box<RawValue>>,
}

/// A row of `records` as it is written.
#[derive(Debug, Serialize)]
pub(super) struct RecordRow<'a> {
    id: Id,
    image_id: Option<Id>,
    image_revision: Option<i64>,
    image_name: Option<&'a str>,
    disk_format: Option<&'a str>,
    container_format: Option<&'a str>,
    checksum: Option<&'a str>,
    min_disk: Option<i64>,
    min_ram: Option<i64>,
    size: Option<i64>,
    properties: &'a Properties,
}

/// A row of `record_entries`.
#[derive(Debug, Serialize)]
pub(super) struct EntryRow<'a> {
    record_id: Id,
    key: &'a str,
    value: &'a str,
}

impl StoredRecord {
    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.properties.get().len()
    }

    /// The record, to be shared.
    pub(super) fn read(self) -> Result<Arc<Record>, Error> {
        let id = self.id;
        let properties = serde_json::from_str(self.properties.get()).map_err(|_| Error::Corrupt(id))?;
        let image = self.image_id.map(|image_id| SourceImage {
            id: image_id,
            revision: self.image_revision.unwrap_or(0),
            name: self.image_name.unwrap_or_default(),
            disk_format: self.disk_format,
            container_format: self.container_format,
            checksum: self.checksum,
            min_disk: self.min_disk,
            min_ram: self.min_ram,
            size: self.size,
        });
        Ok(Arc::new(Record { id, metadata: VolumeImageMetadata { image, properties } }))
    }
}

impl<'a> From<&'a Record> for RecordRow<'a> {
    fn from(record: &'a Record) -> Self {
        let VolumeImageMetadata { image, properties } = &record.metadata;
        let image = image.as_ref();
        Self {
            id: record.id,
            image_id: image.map(|image| image.id),
            image_revision: image.map(|image| image.revision),
            image_name: image.map(|image| image.name.as_str()),
            disk_format: image.and_then(|image| image.disk_format.as_deref()),
            container_format: image.and_then(|image| image.container_format.as_deref()),
            checksum: image.and_then(|image| image.checksum.as_deref()),
            min_disk: image.and_then(|image| image.min_disk),
            min_ram: image.and_then(|image| image.min_ram),
            size: image.and_then(|image| image.size),
            properties,
        }
    }
}

impl<'a> Row for RecordRow<'a> {
    type Entry = EntryRow<'a>;

    const INSERT: ByDialect = ByDialect {
        sqlite: "INSERT INTO records (id, image_id, image_revision, image_name, disk_format, container_format, checksum, \
             min_disk, min_ram, size, properties) \
             SELECT value ->> 'id', value ->> 'image_id', value ->> 'image_revision', value ->> 'image_name', \
             value ->> 'disk_format', value ->> 'container_format', value ->> 'checksum', value ->> 'min_disk', \
             value ->> 'min_ram', value ->> 'size', value -> 'properties' \
             FROM json_each($1) WHERE TRUE ON CONFLICT (id) DO NOTHING RETURNING id",
        postgres: "INSERT INTO records (id, image_id, image_revision, image_name, disk_format, container_format, checksum, \
             min_disk, min_ram, size, properties) \
             SELECT id, image_id, image_revision, image_name, disk_format, container_format, checksum, min_disk, min_ram, \
             size, properties FROM json_to_recordset($1::json) AS record (id uuid, image_id uuid, image_revision bigint, \
             image_name text, disk_format text, container_format text, checksum text, min_disk bigint, min_ram bigint, \
             size bigint, properties json) ON CONFLICT (id) DO NOTHING RETURNING id",
    };

    const INSERT_ENTRIES: ByDialect = ByDialect {
        sqlite: "INSERT INTO record_entries (record_id, key, value) \
             SELECT value ->> 'record_id', value ->> 'key', value ->> 'value' FROM json_each($1)",
        postgres: "INSERT INTO record_entries (record_id, key, value) \
             SELECT record_id, key, value FROM json_to_recordset($1::json) \
             AS entry (record_id uuid, key text, value text)",
    };

    fn entries(&self) -> impl Iterator<Item = EntryRow<'a>> {
        self.properties.iter().map(|(key, value)| EntryRow { record_id: self.id, key, value })
    }
}

impl Store {
    /// Those of these records that exist.
    pub async fn records(&self, ids: Vec<Id>) -> Result<HashMap<Id, Arc<Record>>, Error> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<StoredRecord> =
            self.db.reader().await?.query_as(THESE).bind(Many(ids)).fetch_all().await?;
        rows.into_iter().map(|row| row.read().map(|record| (record.id, record))).collect()
    }
}
