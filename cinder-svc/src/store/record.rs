//! Records in the database. Each is written once, whichever of the volumes that share it comes first.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chassis::db::{self, ByDialect, Many, Transaction, json};
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

/// Records that satisfy a condition.
pub(super) const RECORDS_WHERE: &str = columns!();

/// The records `$1`.
const THESE: ByDialect = ByDialect {
    sqlite: concat!(columns!(), "id IN (SELECT value FROM json_each($1))"),
    postgres: concat!(columns!(), "id = ANY($1)"),
};

/// Which of the records `$1` exist.
const KNOWN: ByDialect = ByDialect {
    sqlite: "SELECT id FROM records WHERE id IN (SELECT value FROM json_each($1))",
    postgres: "SELECT id FROM records WHERE id = ANY($1)",
};

/// Writes the records of `$1` that do not exist yet; returns their ids.
const RECORDS: ByDialect = ByDialect {
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

/// Writes the entries of records.
const ENTRIES: ByDialect = ByDialect {
    sqlite: "INSERT INTO record_entries (record_id, key, value) \
         SELECT value ->> 'record_id', value ->> 'key', value ->> 'value' FROM json_each($1)",
    postgres: "INSERT INTO record_entries (record_id, key, value) \
         SELECT record_id, key, value FROM json_to_recordset($1::json) \
         AS entry (record_id uuid, key text, value text)",
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
#[derive(Debug, Default, Serialize)]
struct RecordRow<'a> {
    id: Option<Id>,
    image_id: Option<Id>,
    image_revision: Option<i64>,
    image_name: Option<&'a str>,
    disk_format: Option<&'a str>,
    container_format: Option<&'a str>,
    checksum: Option<&'a str>,
    min_disk: Option<i64>,
    min_ram: Option<i64>,
    size: Option<i64>,
    properties: Option<&'a Properties>,
}

/// A row of `record_entries`.
#[derive(Debug, Serialize)]
struct EntryRow<'a> {
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
        let own = Self { id: Some(record.id), properties: Some(properties), ..Self::default() };
        let Some(image) = image else { return own };
        Self {
            image_id: Some(image.id),
            image_revision: Some(image.revision),
            image_name: Some(&image.name),
            disk_format: image.disk_format.as_deref(),
            container_format: image.container_format.as_deref(),
            checksum: image.checksum.as_deref(),
            min_disk: image.min_disk,
            min_ram: image.min_ram,
            size: image.size,
            ..own
        }
    }
}

impl<'a> EntryRow<'a> {
    /// The properties of a record, one row for each.
    fn of(record: &'a Record) -> impl Iterator<Item = Self> {
        record.metadata.properties.iter().map(|(key, value)| Self { record_id: record.id, key, value })
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

/// Writes those of the records that do not exist yet, with their entries.
pub(super) async fn write_records(
    tx: &mut Transaction,
    mut records: BTreeMap<Id, &Record>,
) -> Result<(), db::Error> {
    let ids = records.keys().copied().collect();
    let known: Vec<Id> = tx.query_scalar(KNOWN).bind(Many(ids)).fetch_all().await?;
    for known in known {
        records.remove(&known);
    }
    if records.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = records.values().map(|record| RecordRow::from(*record)).collect();
    // Another replica may write the same records: the first one writes the entries, too.
    let written: Vec<Id> = tx.query_scalar(RECORDS).bind(json(&rows)).fetch_all().await?;
    let written = written.iter().filter_map(|id| records.get(id));
    let entries: Vec<_> = written.flat_map(|record| EntryRow::of(record)).collect();
    tx.query(ENTRIES).bind(json(&entries)).execute().await?;
    Ok(())
}
