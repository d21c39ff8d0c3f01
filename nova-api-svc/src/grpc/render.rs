//! From instances and flavors to messages.

use std::collections::{BTreeMap, HashMap};

use chassis::page::MAX_BYTES;
use common::{
    clock::timestamp,
    flavor::Flavor,
    id::{Id, NIL},
    image::devices::DeviceSnapshot,
};
use prost::Message as _;
use proto::{
    encoded_page,
    nova::{
        EncodedInstances, EncodedReservation,
        v1::{self as pb, InstanceView, instance, instance_task},
    },
    put_message,
};

use crate::{
    instance::{
        BlockDevice, Compute, Instance, PowerState, Record, Reservation, State, Task, TaskState,
        block_device::{self, Source},
    },
    store::StoredFlavor,
};

/// The answer to a request that created instances: in the FULL view if clients accept an answer of that size.
pub(super) fn reservation(reservation: &Reservation) -> EncodedReservation {
    let instances = &reservation.instances;
    // All instances of a reservation have the same record, and so about the same size.
    let size = |first: &Instance| instance(first, InstanceView::Full).encoded_len();
    let one = instances.first().map_or(0, size);
    let fits = one.saturating_mul(instances.len()) <= MAX_BYTES;
    let view = if fits { InstanceView::Full } else { InstanceView::Basic };
    let mut messages = Messages::new(view);
    let mut buffer = Vec::with_capacity(one.saturating_mul(instances.len()).min(2 * MAX_BYTES));
    for instance in instances {
        put_message(&mut buffer, 1, &messages.parts(instance));
    }
    let rest = pb::CreateInstanceResponse {
        instances: Vec::new(),
        reservation_id: reservation.id.clone(),
        requested_count: i32::try_from(reservation.requested).unwrap_or(i32::MAX),
        view: view.into(),
    };
    rest.encode_raw(&mut buffer);
    EncodedReservation::new(buffer.into())
}

/// A page of instances, each already encoded.
pub(super) fn instances(instances: &[Vec<u8>], next_page_token: String) -> EncodedInstances {
    let rest = pb::ListInstancesResponse { instances: Vec::new(), next_page_token };
    EncodedInstances::new(encoded_page(instances, &rest))
}

/// Encodes many instances, and what they share only once.
pub(super) struct Messages {
    view: InstanceView,
    own: Vec<u8>,
    records: HashMap<Id, Vec<u8>>,
}

impl Messages {
    pub(super) fn new(view: InstanceView) -> Self {
        Self { view, own: Vec::new(), records: HashMap::new() }
    }

    /// The bytes of an instance, in two parts.
    fn parts(&mut self, instance: &Instance) -> [&[u8]; 2] {
        self.own.clear();
        own(instance, self.view).encode_raw(&mut self.own);
        let record = self.records.entry(instance.record.id).or_insert_with(|| {
            let mut message = pb::Instance::default();
            add_record(&mut message, &instance.record, self.view);
            message.encode_to_vec()
        });
        [&self.own, record]
    }

    /// The bytes of an instance.
    pub(super) fn encode(&mut self, instance: &Instance) -> Vec<u8> {
        self.parts(instance).concat()
    }
}

/// An instance.
pub(super) fn instance(instance: &Instance, view: InstanceView) -> pb::Instance {
    let mut message = own(instance, view);
    add_record(&mut message, &instance.record, view);
    message
}

/// An instance without its record.
fn own(instance: &Instance, view: InstanceView) -> pb::Instance {
    let mut message = pb::Instance {
        id: instance.id.to_string(),
        name: instance.name.clone(),
        hostname: instance.hostname.clone(),
        project_id: instance.project_id.to_string(),
        user_id: instance.user_id.to_string(),
        state: state(instance.state).into(),
        launch_index: instance.launch_index,
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
    message.root_volume_id = instance.root_volume().map(|id| id.to_string()).unwrap_or_default();
    if view == InstanceView::Full {
        message.block_devices = instance.block_devices.iter().map(block_device).collect();
        message.metadata = BTreeMap::clone(&instance.metadata);
        message.task = instance.task.as_ref().and_then(task);
    }
    message
}

/// Adds the record, which an instance shares with others.
fn add_record(message: &mut pb::Instance, record: &Record, view: InstanceView) {
    message.image_id = image_id(record.image_id);
    message.image_revision = record.image_revision;
    message.kernel_id.clone_from(&record.kernel_id);
    message.ramdisk_id.clone_from(&record.ramdisk_id);
    message.auto_disk_config = record.inherited.auto_disk_config;
    if view == InstanceView::Full {
        let inherited = record.inherited.clone();
        message.flavor = Some(flavor(record.flavor.clone()));
        message.os_type = inherited.os_type;
        message.architecture = inherited.architecture;
        message.vm_mode = inherited.vm_mode;
        message.root_device_name = inherited.root_device_name;
        message.system_metadata = record.system_metadata.entries.clone();
        message.truncated_keys = record.system_metadata.truncated.iter().cloned().collect();
    }
}

/// The id of an image, or empty: a root volume need not remember any.
pub(super) fn image_id(id: Id) -> String {
    if id == Id::from(NIL) { String::new() } else { id.to_string() }
}

/// A disk of an instance.
pub(super) fn block_device(device: &BlockDevice) -> pb::BlockDevice {
    use pb::block_device_mapping::{Destination, Source as Message};
    let id = |id: Option<Id>| id.map(|id| id.to_string()).unwrap_or_default();
    let mapping = &device.mapping;
    let source = match mapping.source {
        Source::Image(id) => Message::ImageId(id.to_string()),
        Source::Volume(id) => Message::VolumeId(id.to_string()),
        Source::Snapshot(id) => Message::SnapshotId(id.to_string()),
        Source::Blank => Message::Blank(true),
    };
    let destination = match mapping.destination {
        block_device::Destination::Volume => Destination::Volume,
        block_device::Destination::Local => Destination::Local,
    };
    pb::BlockDevice {
        volume_id: id(device.volume_id),
        attachment_id: id(device.attachment_id),
        detaching: device.detaching,
        mapping: Some(pb::BlockDeviceMapping {
            source: Some(source),
            destination: destination.into(),
            boot_index: mapping.boot_index.and_then(|index| i32::try_from(index).ok()),
            volume_size_gib: mapping.size_gib.unwrap_or(0),
            volume_type: mapping.volume_type.clone(),
            delete_on_termination: mapping.delete_on_termination,
            tag: mapping.tag.clone(),
            device_name: mapping.device_name.clone(),
            disk_bus: mapping.disk_bus.clone(),
            device_type: mapping.device_type.clone(),
            guest_format: mapping.guest_format.clone(),
        }),
    }
}

/// A snapshot that an image of an instance stands for.
pub(super) fn volume_snapshot(snapshot: &DeviceSnapshot) -> pb::VolumeSnapshot {
    let device = &snapshot.device;
    pb::VolumeSnapshot {
        volume_id: snapshot.volume_id.to_string(),
        snapshot_id: snapshot.snapshot_id.map(|id| id.to_string()).unwrap_or_default(),
        boot_index: device.boot_index.and_then(|index| i32::try_from(index).ok()),
        volume_size_gib: device.volume_size.unwrap_or(0),
        delete_on_termination: device.delete_on_termination,
        device_name: device.device_name.clone(),
        disk_bus: device.disk_bus.clone(),
        device_type: device.device_type.clone(),
    }
}

impl From<StoredFlavor> for pb::Flavor {
    fn from(stored: StoredFlavor) -> Self {
        Self { create_time: Some(timestamp(stored.create_time)), ..flavor(stored.flavor) }
    }
}

/// A flavor; an instance's copy does not say when the flavor was added.
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

/// The task of an instance, if something has to be done.
fn task(task: &Task) -> Option<pb::InstanceTask> {
    let image = task.rebuilt_from();
    let target = task.target.as_ref();
    Some(pb::InstanceTask {
        state: task_state(task.state?).into(),
        image_id: image.map(|record| image_id(record.image_id)).unwrap_or_default(),
        image_revision: image.map_or(0, |record| record.image_revision),
        flavor: task.resized_to().cloned().map(flavor),
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
