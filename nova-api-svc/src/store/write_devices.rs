//! The disks of instances, of which most have none that are not what image and flavor say.

use chassis::db::{self, ByDialect, Transaction, json};
use common::id::Id;
use serde::Serialize;

use crate::instance::Instance;

/// Writes the disks of the instances of `$1`.
const INSERT: ByDialect = ByDialect {
    sqlite: "INSERT INTO block_devices (instance_id, devices) \
         SELECT value ->> 'instance_id', value ->> 'devices' FROM json_each($1)",
    postgres: "INSERT INTO block_devices (instance_id, devices) SELECT instance_id, devices \
         FROM json_to_recordset($1::json) AS row (instance_id uuid, devices text)",
};

/// A row of `block_devices`.
#[derive(Serialize)]
struct DevicesRow {
    instance_id: Id,
    devices: String,
}

/// Writes the disks of instances that are new, or whose disks have been removed.
pub(super) async fn write_devices<'a>(
    tx: &mut Transaction,
    instances: impl Iterator<Item = &'a Instance>,
) -> Result<(), db::Error> {
    let with_devices = instances.filter(|instance| !instance.block_devices.is_empty());
    let rows: Vec<_> = with_devices
        .map(|instance| DevicesRow { instance_id: instance.id, devices: json(&*instance.block_devices) })
        .collect();
    if !rows.is_empty() {
        tx.query(INSERT).bind(json(&rows)).execute().await?;
    }
    Ok(())
}

/// Writes the disks of an instance that has others by now.
pub(super) async fn replace_devices(tx: &mut Transaction, instance: &Instance) -> Result<(), db::Error> {
    let sql = "DELETE FROM block_devices WHERE instance_id = $1";
    tx.query(sql).bind(instance.id).execute().await?;
    write_devices(tx, std::iter::once(instance)).await
}
