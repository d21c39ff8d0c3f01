//! Rows to be written: all rows of a statement are one JSON text.

use std::collections::{BTreeMap, BTreeSet};

use chassis::db::as_micros;
use chrono::{DateTime, Utc};
use common::id::Id;
use serde::Serialize;

use crate::instance::{Instance, Record, Reservation};

/// A row of `records`.
#[derive(Debug, Serialize)]
pub(super) struct RecordRow<'a> {
    pub(super) id: Id,
    image_id: Id,
    image_revision: i64,
    memory_mb: i32,
    vcpus: i32,
    kernel_id: &'a str,
    ramdisk_id: &'a str,
    os_type: &'a str,
    architecture: &'a str,
    vm_mode: &'a str,
    root_device_name: &'a str,
    auto_disk_config: bool,
    pub(super) system_metadata: &'a BTreeMap<String, String>,
    pub(super) truncated_keys: &'a BTreeSet<String>,
    image_min_disk: Option<i64>,
    image_size: Option<i64>,
}

impl<'a> From<&'a Record> for RecordRow<'a> {
    fn from(record: &'a Record) -> Self {
        let inherited = &record.inherited;
        Self {
            id: record.id,
            image_id: record.image_id,
            image_revision: record.image_revision,
            memory_mb: record.flavor.memory_mb,
            vcpus: record.flavor.vcpus,
            kernel_id: &record.kernel_id,
            ramdisk_id: &record.ramdisk_id,
            os_type: &inherited.os_type,
            architecture: &inherited.architecture,
            vm_mode: &inherited.vm_mode,
            root_device_name: &inherited.root_device_name,
            auto_disk_config: inherited.auto_disk_config,
            system_metadata: &record.system_metadata.entries,
            truncated_keys: &record.system_metadata.truncated,
            image_min_disk: record.needs.map(|needs| needs.min_disk),
            image_size: record.needs.and_then(|needs| needs.size),
        }
    }
}

/// A row of `record_entries`.
#[derive(Debug, Serialize)]
pub(super) struct EntryRow<'a> {
    pub(super) record_id: Id,
    pub(super) key: &'a str,
    pub(super) value: &'a str,
    pub(super) truncated: bool,
}

/// A row of `instances`, in JSON as SQLite takes it.
#[derive(Debug, Serialize)]
pub(super) struct InstanceRow<'a> {
    pub(super) id: Id,
    pub(super) name: &'a str,
    pub(super) hostname: &'a str,
    pub(super) launch_index: i32,
    pub(super) reservation_id: &'a str,
    pub(super) project_id: &'a str,
    pub(super) user_id: &'a str,
    pub(super) record_id: Id,
    pub(super) state: &'static str,
    pub(super) compute: &'static str,
    #[serde(serialize_with = "as_micros")]
    pub(super) create_time: DateTime<Utc>,
    #[serde(serialize_with = "as_micros")]
    pub(super) update_time: DateTime<Utc>,
}

impl<'a> From<&'a Instance> for InstanceRow<'a> {
    fn from(instance: &'a Instance) -> Self {
        Self {
            id: instance.id,
            name: &instance.name,
            hostname: &instance.hostname,
            launch_index: instance.launch_index,
            reservation_id: &instance.reservation_id,
            project_id: &instance.project_id,
            user_id: &instance.user_id,
            record_id: instance.record.id,
            state: instance.state.as_str(),
            compute: instance.compute.as_str(),
            create_time: instance.create_time,
            update_time: instance.update_time,
        }
    }
}

/// A row of `reservation_metadata`.
#[derive(Debug, Serialize)]
pub(super) struct MetadataRow<'a> {
    reservation_id: &'a str,
    metadata: &'a BTreeMap<String, String>,
}

impl<'a> MetadataRow<'a> {
    /// The caller's metadata of what a request creates, if there is any: it is the same for all its instances.
    pub(super) fn of(reservation: &'a Reservation) -> Option<Self> {
        let metadata = &*reservation.instances.first()?.metadata;
        (!metadata.is_empty()).then_some(Self { reservation_id: &reservation.id, metadata })
    }
}
