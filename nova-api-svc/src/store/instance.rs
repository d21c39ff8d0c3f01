//! Instances in the database.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use common::{db::retrying, flavor::Flavor, id::Id, in_transaction, on_db, system_metadata::SystemMetadata};
use sqlx::{QueryBuilder, types::Json};

use super::Store;
use crate::{
    error::Error,
    instance::{Inherited, Instance, Record, State},
};

/// An instance with its metadata, in one row.
pub(super) const RECORD: &str = "SELECT id, name, hostname, launch_index, reservation_id, project_id, user_id, state, create_time, update_time, \
     metadata, record_id, image_id, image_revision, kernel_id, ramdisk_id, os_type, architecture, vm_mode, \
     root_device_name, auto_disk_config, system_metadata, truncated_keys FROM instance_records WHERE ";

/// A row of `instance_records`.
#[derive(sqlx::FromRow)]
pub(super) struct InstanceRow {
    id: Id,
    name: String,
    hostname: String,
    launch_index: i32,
    reservation_id: String,
    project_id: String,
    user_id: String,
    record_id: Id,
    image_id: Id,
    image_revision: i64,
    state: String,
    kernel_id: String,
    ramdisk_id: String,
    os_type: String,
    architecture: String,
    vm_mode: String,
    root_device_name: String,
    auto_disk_config: bool,
    create_time: DateTime<Utc>,
    update_time: DateTime<Utc>,
    metadata: Json<BTreeMap<String, String>>,
    system_metadata: Json<BTreeMap<String, String>>,
    truncated_keys: Json<BTreeSet<String>>,
}

impl TryFrom<InstanceRow> for Instance {
    type Error = Error;

    fn try_from(row: InstanceRow) -> Result<Self, Error> {
        let corrupt = || Error::Corrupt(row.id);
        let state = State::from_name(&row.state).ok_or_else(corrupt)?;
        let record = Record {
            id: row.record_id,
            image_id: row.image_id,
            image_revision: row.image_revision,
            flavor: Flavor::from_system_metadata(&row.system_metadata).ok_or_else(corrupt)?,
            kernel_id: row.kernel_id,
            ramdisk_id: row.ramdisk_id,
            inherited: Inherited {
                os_type: row.os_type,
                architecture: row.architecture,
                vm_mode: row.vm_mode,
                root_device_name: row.root_device_name,
                auto_disk_config: row.auto_disk_config,
            },
            system_metadata: SystemMetadata {
                entries: row.system_metadata.0,
                truncated: row.truncated_keys.0,
            },
        };
        Ok(Self {
            id: row.id,
            name: row.name,
            hostname: row.hostname,
            launch_index: row.launch_index,
            reservation_id: row.reservation_id.into(),
            project_id: row.project_id.into(),
            user_id: row.user_id.into(),
            state,
            metadata: Arc::new(row.metadata.0),
            record: Arc::new(record),
            create_time: row.create_time,
            update_time: row.update_time,
        })
    }
}

impl Store {
    /// The instance with that id.
    pub async fn instance(&self, id: Id) -> Result<Option<Instance>, Error> {
        let row: Option<InstanceRow> = on_db!(self.db, |pool| {
            QueryBuilder::new(RECORD)
                .push("id = ")
                .push_bind(id)
                .build_query_as()
                .fetch_optional(pool)
                .await?
        });
        row.map(Instance::try_from).transpose()
    }

    /// Deletes an instance with all its metadata; `false` if there was none. Its record is left to the sweep.
    pub async fn delete_instance(&self, id: Id) -> Result<bool, Error> {
        retrying(async || {
            let deleted = in_transaction!(self.db, |tx| {
                sqlx::query("DELETE FROM instances WHERE id = $1")
                    .bind(id)
                    .execute(&mut *tx)
                    .await?
                    .rows_affected()
            });
            Ok(deleted > 0)
        })
        .await
    }
}
