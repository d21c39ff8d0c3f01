//! From messages to the plain data of the use cases. Only what has no such form is refused here: a malformed id, or a
//! number that is no value of its enum.

use common::{image::Visibility, violations::Violations};
use prost_types::FieldMask;
use proto::cinder::v1::{
    self as pb, create_volume_request, report_volume_state_request as reports,
    upload_volume_to_image_request, volume, volume_task,
};

use crate::{
    volume::{NewVolume, Status, TaskState},
    volumes::operations::{Outcome, Report, Upload, VolumeUpdate},
};

/// A volume to be created.
pub(super) fn new_volume(message: pb::CreateVolumeRequest) -> NewVolume {
    use create_volume_request::Source;
    let (mut image_id, mut snapshot_id, mut source_volume_id) = (None, None, None);
    match message.source {
        Some(Source::ImageId(id)) => image_id = Some(id),
        Some(Source::SnapshotId(id)) => snapshot_id = Some(id),
        Some(Source::SourceVolumeId(id)) => source_volume_id = Some(id),
        None => {}
    }
    NewVolume {
        name: message.name,
        description: message.description,
        size_gib: message.size_gib.map(i64::from),
        image_id,
        snapshot_id,
        source_volume_id,
        image_revision: message.image_revision,
        volume_type: message.volume_type,
        availability_zone: message.availability_zone,
        metadata: message.metadata,
        image_properties: message.image_properties,
        request_id: message.request_id,
        validate_only: message.validate_only,
    }
}

/// The fields that an update can name.
const FIELDS: [&str; 5] = ["name", "description", "metadata", "bootable", "read_only"];

/// What an update changes: the fields of `mask`, or without one those that are set.
pub(super) fn update(
    volume: &pb::Volume,
    mask: Option<&FieldMask>,
    problems: &mut Violations,
) -> VolumeUpdate {
    let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
    for path in paths {
        if path != "*" && !FIELDS.contains(&path.as_str()) {
            let problem = format!("{path:?} cannot be updated; {} can", FIELDS.join(", "));
            problems.add("update_mask", problem);
        }
    }
    let is_named = |field: &str, is_set: bool| match paths {
        [] => is_set,
        paths => paths.iter().any(|path| path == field || path == "*"),
    };
    let text = |field, text: &String| is_named(field, !text.is_empty()).then(|| text.clone());
    let update = VolumeUpdate {
        name: text("name", &volume.name),
        description: text("description", &volume.description),
        metadata: is_named("metadata", !volume.metadata.is_empty()).then(|| volume.metadata.clone()),
        bootable: is_named("bootable", volume.bootable).then_some(volume.bootable),
        read_only: is_named("read_only", volume.read_only).then_some(volume.read_only),
    };
    if update == VolumeUpdate::default() && problems.is_empty() {
        problems.add("update_mask", "must name a field, or volume must have one that is set");
    }
    update
}

/// A report. One that names no status it is about is refused.
pub(super) fn report(message: &pb::ReportVolumeStateRequest, problems: &mut Violations) -> Report {
    let seen_status = problems.take("seen_status", status(message.seen_status)).flatten();
    if seen_status.is_none() && problems.is_empty() {
        problems.add("seen_status", "must be given: the status that the report is about");
    }
    Report {
        seen_status: seen_status.unwrap_or(Status::Creating),
        seen_task_state: problems.take("seen_task_state", task_state(message.seen_task_state)).flatten(),
        status: problems.take("status", status(message.status)).flatten(),
        outcome: problems.take("result", outcome(message.result)).flatten(),
        host: message.host.clone(),
        message: message.message.clone(),
    }
}

fn status(number: i32) -> Result<Option<Status>, String> {
    match volume::Status::try_from(number).map_err(|_| unknown(number))? {
        volume::Status::Unspecified => Ok(None),
        status => Ok(Status::from_name(status.as_str_name())),
    }
}

fn task_state(number: i32) -> Result<Option<TaskState>, String> {
    match volume_task::State::try_from(number).map_err(|_| unknown(number))? {
        volume_task::State::Unspecified => Ok(None),
        state => Ok(TaskState::from_name(state.as_str_name())),
    }
}

fn outcome(number: i32) -> Result<Option<Outcome>, String> {
    Ok(match reports::Result::try_from(number).map_err(|_| unknown(number))? {
        reports::Result::Unspecified => None,
        reports::Result::Succeeded => Some(Outcome::Succeeded),
        reports::Result::Failed => Some(Outcome::Failed),
    })
}

/// The problem with a number that is no value of its enum.
pub(super) fn unknown(number: i32) -> String {
    format!("{number} is no value of it")
}

/// An image to be made from a volume.
pub(super) fn upload(message: &pb::UploadVolumeToImageRequest, problems: &mut Violations) -> Upload {
    let visibility = problems.take("visibility", visibility(message.visibility));
    Upload {
        name: message.name.clone(),
        disk_format: message.disk_format.clone(),
        container_format: message.container_format.clone(),
        visibility: visibility.unwrap_or(Visibility::Private),
        protected: message.protected,
        image_properties: message.image_properties.clone(),
        force: message.force,
    }
}

fn visibility(number: i32) -> Result<Visibility, String> {
    use upload_volume_to_image_request::Visibility as Message;
    Ok(match Message::try_from(number).map_err(|_| unknown(number))? {
        Message::Unspecified | Message::Private => Visibility::Private,
        Message::Public => Visibility::Public,
        Message::Shared => Visibility::Shared,
        Message::Community => Visibility::Community,
    })
}
