//! From volumes and what belongs to them to messages.

use std::collections::BTreeMap;

use chassis::{caller::Caller, scope::sees_all};
use common::{
    clock::timestamp,
    image::{Properties, inheritance::LeftOut},
    volume_image_metadata::SourceImage,
};
use proto::cinder::v1::{self as pb, VolumeView, attachment, left_out_property, volume, volume_task};

use crate::volume::{
    Attachment, AttachmentStatus, Mode, Status, Storage, Task, TaskState, Volume, VolumeFailure,
};
use crate::{
    error::Error,
    volumes::operations::{ActionResult, Uploaded},
};

/// A volume, as `caller` may see it.
pub(super) fn volume(volume: Volume, view: VolumeView, caller: &Caller) -> pb::Volume {
    let is_full = view != VolumeView::Basic;
    let metadata = &volume.record.metadata;
    pb::Volume {
        id: volume.id.to_string(),
        etag: volume.etag(),
        size_gib: volume.size_gib,
        volume_type_id: volume.volume_type_id.to_string(),
        volume_type: volume.volume_type.to_string(),
        status: status(volume.status).into(),
        task: volume.task.as_ref().map(|task| self::task(task, is_full)),
        last_failure: volume.last_failure.map(failure),
        image: metadata.image.clone().map(source_image),
        image_properties: if is_full { metadata.properties.clone() } else { Properties::new() },
        bootable: volume.bootable,
        snapshot_id: volume.snapshot_id.map(|id| id.to_string()).unwrap_or_default(),
        source_volume_id: volume.source_volume_id.map(|id| id.to_string()).unwrap_or_default(),
        attachments: volume.attachments.into_iter().filter(|_| is_full).map(attachment).collect(),
        multiattach: volume.multiattach,
        read_only: volume.read_only,
        storage: storage(volume.storage).into(),
        host: if sees_all(caller) { volume.host } else { String::new() },
        revision: volume.revision,
        create_time: Some(timestamp(volume.create_time)),
        update_time: Some(timestamp(volume.update_time)),
        metadata: if is_full { volume.metadata } else { BTreeMap::new() },
        name: volume.name,
        description: volume.description,
        project_id: volume.project_id,
        user_id: volume.user_id,
        availability_zone: volume.availability_zone,
    }
}

/// The image that data came from.
pub(super) fn source_image(image: SourceImage) -> pb::SourceImage {
    pb::SourceImage {
        id: image.id.to_string(),
        revision: image.revision,
        name: image.name,
        disk_format: image.disk_format.unwrap_or_default(),
        container_format: image.container_format.unwrap_or_default(),
        checksum: image.checksum.unwrap_or_default(),
        min_disk: image.min_disk.unwrap_or(0),
        min_ram: image.min_ram.unwrap_or(0),
        size: image.size,
    }
}

fn task(task: &Task, is_full: bool) -> pb::VolumeTask {
    let target = task.target.record.as_ref().map(|record| &record.metadata);
    pb::VolumeTask {
        state: task_state(task.state).into(),
        image_id: task.image.map(|(id, _)| id.to_string()).unwrap_or_default(),
        image_revision: task.image.map_or(0, |(_, revision)| revision),
        snapshot_id: task.snapshot_id.map(|id| id.to_string()).unwrap_or_default(),
        source_volume_id: task.source_volume_id.map(|id| id.to_string()).unwrap_or_default(),
        size_gib: task.target.size_gib.unwrap_or(0),
        volume_type_id: task.target.volume_type.as_ref().map(|(id, _)| id.to_string()).unwrap_or_default(),
        image: target.and_then(|target| target.image.clone()).map(source_image),
        image_properties: target
            .filter(|_| is_full)
            .map(|target| target.properties.clone())
            .unwrap_or_default(),
        create_time: Some(timestamp(task.create_time)),
    }
}

/// A failure.
pub(super) fn failure(failure: VolumeFailure) -> pb::VolumeFailure {
    pb::VolumeFailure {
        task_state: failure.task_state.map_or(0, |state| task_state(state).into()),
        reason: failure.reason,
        message: failure.message,
        create_time: Some(timestamp(failure.create_time)),
    }
}

/// An attachment, without how its host reaches the data.
pub(super) fn attachment(one: Attachment) -> pb::Attachment {
    pb::Attachment {
        id: one.id.to_string(),
        etag: one.etag(),
        volume_id: one.volume_id.to_string(),
        instance_id: one.instance_id.map(|id| id.to_string()).unwrap_or_default(),
        status: attachment_status(one.status).into(),
        mode: mode(one.mode).into(),
        host: one.host,
        mountpoint: one.mountpoint,
        user_id: one.user_id,
        project_id: one.project_id,
        expire_time: one.lease_time.map(timestamp),
        create_time: Some(timestamp(one.create_time)),
        attach_time: one.attach_time.map(timestamp),
        ..pb::Attachment::default()
    }
}

/// A status.
pub(super) const fn status(status: Status) -> volume::Status {
    match status {
        Status::Creating => volume::Status::Creating,
        Status::Available => volume::Status::Available,
        Status::Reserved => volume::Status::Reserved,
        Status::InUse => volume::Status::InUse,
        Status::AwaitingTransfer => volume::Status::AwaitingTransfer,
        Status::Error => volume::Status::Error,
        Status::Deleting => volume::Status::Deleting,
    }
}

/// Who keeps data.
pub(super) const fn storage(storage: Storage) -> volume::Storage {
    match storage {
        Storage::Directory => volume::Storage::Directory,
        Storage::Objects => volume::Storage::Objects,
        Storage::Agent => volume::Storage::Agent,
        Storage::None => volume::Storage::None,
    }
}

const fn task_state(state: TaskState) -> volume_task::State {
    match state {
        TaskState::Creating => volume_task::State::Creating,
        TaskState::Extending => volume_task::State::Extending,
        TaskState::Retyping => volume_task::State::Retyping,
        TaskState::Reimaging => volume_task::State::Reimaging,
        TaskState::Reverting => volume_task::State::Reverting,
        TaskState::Uploading => volume_task::State::Uploading,
        TaskState::Writing => volume_task::State::Writing,
        TaskState::Deleting => volume_task::State::Deleting,
    }
}

const fn attachment_status(status: AttachmentStatus) -> attachment::Status {
    match status {
        AttachmentStatus::Reserved => attachment::Status::Reserved,
        AttachmentStatus::Attaching => attachment::Status::Attaching,
        AttachmentStatus::Attached => attachment::Status::Attached,
        AttachmentStatus::Detaching => attachment::Status::Detaching,
    }
}

const fn mode(mode: Mode) -> attachment::Mode {
    match mode {
        Mode::ReadWrite => attachment::Mode::ReadWrite,
        Mode::ReadOnly => attachment::Mode::ReadOnly,
    }
}

/// The image that was made from a volume.
pub(super) fn uploaded(
    result: ActionResult,
    caller: &Caller,
) -> Result<pb::UploadVolumeToImageResponse, Error> {
    let ActionResult { volume_id, volume, uploaded } = result;
    let Uploaded { image_id, left_out } = uploaded.ok_or(Error::VolumeNotFound(volume_id))?;
    let left_out = left_out
        .into_iter()
        .map(|(property, reason)| pb::LeftOutProperty { property, reason: left_out_reason(reason).into() });
    Ok(pb::UploadVolumeToImageResponse {
        image_id: image_id.to_string(),
        volume: volume.map(|volume| self::volume(volume, VolumeView::Full, caller)),
        left_out: left_out.collect(),
    })
}

const fn left_out_reason(reason: LeftOut) -> left_out_property::Reason {
    match reason {
        LeftOut::BaseAttribute => left_out_property::Reason::BaseAttribute,
        LeftOut::Reserved => left_out_property::Reason::Reserved,
        LeftOut::Signature => left_out_property::Reason::Signature,
        LeftOut::EncryptionKey => left_out_property::Reason::EncryptionKey,
        LeftOut::DeviceMapping => left_out_property::Reason::DeviceMapping,
        LeftOut::Invalid => left_out_property::Reason::Invalid,
    }
}
