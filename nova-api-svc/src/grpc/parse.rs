//! From messages to the plain data of the use cases. Only what has no such form is refused here: a malformed id, or a
//! number that is no value of its enum.

use common::{id::Id, violations::Violations};
use proto::nova::v1::{self as pb, instance, instance_task, report_instance_state_request as reports};

use crate::{
    compute::{
        NewFlavor,
        operations::{NewVolumeAttachment, Outcome, Report},
    },
    instance::{
        NewInstances, PowerState, State, TaskState,
        block_device::{self, NewBlockDevice, NewSource},
    },
};

/// A text that counts as not given if it is empty.
pub(super) fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// An id that need not be given.
pub(super) fn optional_id(field: &str, text: &str, problems: &mut Violations) -> Option<Id> {
    if text.is_empty() { None } else { problems.take(field, text.parse::<Id>()) }
}

/// Instances to be created.
pub(super) fn instances(message: pb::CreateInstanceRequest) -> NewInstances {
    let count = |count: i32| (count != 0).then(|| count.into());
    NewInstances {
        name: message.name,
        image_id: message.image_id,
        flavor_id: message.flavor_id,
        min_count: count(message.min_count),
        max_count: count(message.max_count),
        metadata: message.metadata,
        kernel_id: given(message.kernel_id),
        ramdisk_id: given(message.ramdisk_id),
        auto_disk_config: message.auto_disk_config,
        request_id: given(message.request_id),
        validate_only: message.validate_only,
        block_device_mapping: message.block_device_mapping.into_iter().map(block_device).collect(),
    }
}

/// A disk of instances to be created.
fn block_device(message: pb::BlockDeviceMapping) -> NewBlockDevice {
    use pb::block_device_mapping::{Destination, Source};
    let destination = match Destination::try_from(message.destination) {
        Ok(Destination::Unspecified | Destination::Volume) => Some(block_device::Destination::Volume),
        Ok(Destination::Local) => Some(block_device::Destination::Local),
        Err(_) => None,
    };
    let source = message.source.map(|source| match source {
        Source::ImageId(id) => NewSource::Image(id),
        Source::VolumeId(id) => NewSource::Volume(id),
        Source::SnapshotId(id) => NewSource::Snapshot(id),
        Source::Blank(blank) => NewSource::Blank(blank),
    });
    NewBlockDevice {
        source,
        destination,
        boot_index: message.boot_index,
        size_gib: message.volume_size_gib,
        volume_type: message.volume_type,
        delete_on_termination: message.delete_on_termination,
        tag: message.tag,
        device_name: message.device_name,
        disk_bus: message.disk_bus,
        device_type: message.device_type,
        guest_format: message.guest_format,
    }
}

/// A volume to be attached.
pub(super) fn volume_attachment(
    message: &pb::AttachVolumeRequest,
    problems: &mut Violations,
) -> NewVolumeAttachment {
    NewVolumeAttachment {
        volume_id: Id::read("volume_id", &message.volume_id, problems),
        device_name: message.device_name.clone(),
        tag: message.tag.clone(),
        delete_on_termination: message.delete_on_termination,
    }
}

/// A flavor to be added.
pub(super) fn flavor(message: pb::Flavor) -> NewFlavor {
    NewFlavor {
        id: given(message.id),
        name: message.name,
        memory_mb: message.memory_mb,
        vcpus: message.vcpus,
        root_gb: message.root_gb,
        ephemeral_gb: message.ephemeral_gb,
        swap: message.swap,
        rxtx_factor: message.rxtx_factor,
        vcpu_weight: message.vcpu_weight,
    }
}

/// A report. One that names no state it is about is refused.
pub(super) fn report(message: &pb::ReportInstanceStateRequest, problems: &mut Violations) -> Report {
    let seen_state = state("seen_state", message.seen_state, problems);
    if seen_state.is_none() && problems.is_empty() {
        problems.add("seen_state", "must be given: the state that the report is about");
    }
    Report {
        seen_state: seen_state.unwrap_or(State::Building),
        state: state("state", message.state, problems),
        seen_task_state: problems.take("seen_task_state", task_state(message.seen_task_state)).flatten(),
        outcome: problems.take("result", outcome(message.result)).flatten(),
        power_state: problems.take("power_state", power_state(message.power_state)).flatten(),
        host: message.host.clone(),
        message: message.message.clone(),
    }
}

fn state(field: &str, number: i32, problems: &mut Violations) -> Option<State> {
    let value = instance::State::try_from(number).map_err(|_| unknown(number));
    match problems.take(field, value)? {
        instance::State::Unspecified => None,
        state => State::from_name(state.as_str_name()),
    }
}

fn task_state(number: i32) -> Result<Option<TaskState>, String> {
    match instance_task::State::try_from(number).map_err(|_| unknown(number))? {
        instance_task::State::Unspecified => Ok(None),
        state => Ok(TaskState::from_name(&state.as_str_name().to_lowercase())),
    }
}

fn outcome(number: i32) -> Result<Option<Outcome>, String> {
    Ok(match reports::Result::try_from(number).map_err(|_| unknown(number))? {
        reports::Result::Unspecified => None,
        reports::Result::Succeeded => Some(Outcome::Succeeded),
        reports::Result::Failed => Some(Outcome::Failed),
    })
}

fn power_state(number: i32) -> Result<Option<PowerState>, String> {
    Ok(match pb::PowerState::try_from(number).map_err(|_| unknown(number))? {
        pb::PowerState::Unspecified => None,
        pb::PowerState::Running => Some(PowerState::Running),
        pb::PowerState::Paused => Some(PowerState::Paused),
        pb::PowerState::Shutdown => Some(PowerState::Shutdown),
        pb::PowerState::Crashed => Some(PowerState::Crashed),
        pb::PowerState::Suspended => Some(PowerState::Suspended),
    })
}

fn unknown(number: i32) -> String {
    format!("{number} is no value of it")
}
