//! From instances and flavors to messages.

use std::collections::BTreeMap;

use common::{clock::timestamp, flavor::Flavor, page::MAX_BYTES};
use prost::Message as _;
use proto::nova::v1::{self as pb, InstanceView, instance, instance_task};

use crate::{
    flavors::StoredFlavor,
    instance::{Compute, Instance, Operation, PowerState, Reservation, State, Task, TaskState},
};

/// The answer to a request that created instances: in full if clients accept an answer that large.
pub(super) fn reservation(reservation: Reservation) -> pb::CreateInstanceResponse {
    let Reservation { id, requested, instances } = reservation;
    // All of a reservation have the same record, so that one tells the size of all.
    let one = instances.first().map_or(0, |first| self::instance(first, InstanceView::Full).encoded_len());
    let fits = one.saturating_mul(instances.len()) <= MAX_BYTES;
    let view = if fits { InstanceView::Full } else { InstanceView::Basic };
    pb::CreateInstanceResponse {
        instances: instances.iter().map(|instance| self::instance(instance, view)).collect(),
        reservation_id: id,
        requested_count: i32::try_from(requested).unwrap_or(i32::MAX),
        view: view.into(),
    }
}

/// An instance.
pub(super) fn instance(instance: &Instance, view: InstanceView) -> pb::Instance {
    let record = &*instance.record;
    let mut message = pb::Instance {
        id: instance.id.to_string(),
        name: instance.name.clone(),
        hostname: instance.hostname.clone(),
        project_id: instance.project_id.to_string(),
        user_id: instance.user_id.to_string(),
        image_id: record.image_id.to_string(),
        image_revision: record.image_revision,
        state: state(instance.state).into(),
        launch_index: instance.launch_index,
        kernel_id: record.kernel_id.clone(),
        ramdisk_id: record.ramdisk_id.clone(),
        auto_disk_config: record.inherited.auto_disk_config,
        reservation_id: instance.reservation_id.to_string(),
        create_time: Some(timestamp(instance.create_time)),
        update_time: Some(timestamp(instance.update_time)),
        revision: instance.revision,
        etag: instance.etag(),
        host: instance.host.clone(),
        power_state: power_state(instance.power_state).into(),
        compute: compute(instance.compute).into(),
        ..pb::Instance::default()
    };
    if view == InstanceView::Full {
        let inherited = record.inherited.clone();
        message.flavor = Some(flavor(record.flavor.clone()));
        message.os_type = inherited.os_type;
        message.architecture = inherited.architecture;
        message.vm_mode = inherited.vm_mode;
        message.root_device_name = inherited.root_device_name;
        message.metadata = BTreeMap::clone(&instance.metadata);
        message.system_metadata = record.system_metadata.entries.clone();
        message.truncated_keys = record.system_metadata.truncated.iter().cloned().collect();
        message.task = instance.task.as_ref().and_then(task);
    }
    message
}

impl From<StoredFlavor> for pb::Flavor {
    fn from(stored: StoredFlavor) -> Self {
        Self { create_time: Some(timestamp(stored.create_time)), ..flavor(stored.flavor) }
    }
}

/// A flavor; an instance's copy does not know when the flavor was added.
fn flavor(flavor: Flavor) -> pb::Flavor {
    pb::Flavor {
        id: flavor.flavorid,
        name: flavor.name,
        memory_mb: flavor.memory_mb,
        vcpus: flavor.vcpus,
        root_gb: flavor.root_gb,
        ephemeral_gb: flavor.ephemeral_gb,
        swap: flavor.swap,
        rxtx_factor: Some(flavor.rxtx_factor),
        vcpu_weight: flavor.vcpu_weight,
        instance_type_id: flavor.instance_type_id,
        create_time: None,
    }
}

/// What somebody has to do with an instance.
fn task(task: &Task) -> Option<pb::InstanceTask> {
    let target = task.target.as_deref();
    let is_rebuilt = task.operation == Operation::Rebuild;
    let is_resized = matches!(task.operation, Operation::Resize | Operation::RevertResize);
    let image = target.filter(|_| is_rebuilt);
    Some(pb::InstanceTask {
        state: task_state(task.state?).into(),
        image_id: image.map(|record| record.image_id.to_string()).unwrap_or_default(),
        image_revision: image.map_or(0, |record| record.image_revision),
        flavor: target.filter(|_| is_resized).map(|record| flavor(record.flavor.clone())),
        system_metadata: target.map(|record| record.system_metadata.entries.clone()).unwrap_or_default(),
        snapshot_image_id: task.image_id.map(|id| id.to_string()).unwrap_or_default(),
        create_time: Some(timestamp(task.create_time)),
    })
}

/// A state.
pub(super) const fn state(state: State) -> instance::State {
    match state {
        State::Building => instance::State::Building,
        State::Active => instance::State::Active,
        State::Error => instance::State::Error,
        State::Stopped => instance::State::Stopped,
        State::Paused => instance::State::Paused,
        State::Suspended => instance::State::Suspended,
        State::Resized => instance::State::Resized,
        State::ShelvedOffloaded => instance::State::ShelvedOffloaded,
    }
}

const fn task_state(state: TaskState) -> instance_task::State {
    match state {
        TaskState::ImageSnapshot => instance_task::State::ImageSnapshot,
        TaskState::Rebuilding => instance_task::State::Rebuilding,
        TaskState::ResizePrep => instance_task::State::ResizePrep,
        TaskState::ResizeConfirming => instance_task::State::ResizeConfirming,
        TaskState::ResizeReverting => instance_task::State::ResizeReverting,
        TaskState::Shelving => instance_task::State::Shelving,
        TaskState::Unshelving => instance_task::State::Unshelving,
    }
}

const fn power_state(state: PowerState) -> pb::PowerState {
    match state {
        PowerState::NoState => pb::PowerState::Unspecified,
        PowerState::Running => pb::PowerState::Running,
        PowerState::Paused => pb::PowerState::Paused,
        PowerState::Shutdown => pb::PowerState::Shutdown,
        PowerState::Crashed => pb::PowerState::Crashed,
        PowerState::Suspended => pb::PowerState::Suspended,
    }
}

const fn compute(compute: Compute) -> instance::Compute {
    match compute {
        Compute::Agent => instance::Compute::Agent,
        Compute::None => instance::Compute::None,
    }
}
