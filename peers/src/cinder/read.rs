//! Answers of the volume service as plain data; `None` for one that no volume service should send.

use common::{
    image::Properties,
    volume_image_metadata::{SourceImage, VolumeImageMetadata},
};
use proto::cinder::v1 as pb;

use super::{Attachment, AttachmentStatus, Snapshot, Volume};
use crate::client::is_short;

pub(super) fn volume(answer: pb::Volume) -> Option<Volume> {
    let status = pb::volume::Status::try_from(answer.status).ok()?;
    let usable = status != pb::volume::Status::Unspecified && answer.revision >= 1 && answer.size_gib >= 1;
    Some(Volume {
        id: answer.id.parse().ok().filter(|_| usable)?,
        revision: answer.revision,
        size_gib: answer.size_gib,
        status: status.as_str_name(),
        is_busy: answer.task.is_some(),
        last_failure: answer.last_failure.map(|failure| failure.message).unwrap_or_default(),
        bootable: answer.bootable,
        multiattach: answer.multiattach,
        volume_type: answer.volume_type,
        image_metadata: image_metadata(answer.image, answer.image_properties)?,
    })
}

pub(super) fn snapshot(answer: pb::Snapshot) -> Option<Snapshot> {
    let status = pb::snapshot::Status::try_from(answer.status).ok()?;
    let usable = status != pb::snapshot::Status::Unspecified && answer.size_gib >= 1;
    Some(Snapshot {
        id: answer.id.parse().ok().filter(|_| usable)?,
        volume_id: answer.volume_id.parse().ok()?,
        size_gib: answer.size_gib,
        status: status.as_str_name(),
        bootable: answer.bootable,
        image_metadata: image_metadata(answer.image, answer.image_properties)?,
    })
}

pub(super) fn attachment(answer: &pb::Attachment) -> Option<Attachment> {
    let status = match pb::attachment::Status::try_from(answer.status).ok()? {
        pb::attachment::Status::Unspecified => return None,
        pb::attachment::Status::Reserved => AttachmentStatus::Reserved,
        pb::attachment::Status::Attaching => AttachmentStatus::Attaching,
        pb::attachment::Status::Attached => AttachmentStatus::Attached,
        pb::attachment::Status::Detaching => AttachmentStatus::Detaching,
    };
    Some(Attachment { id: answer.id.parse().ok()?, volume_id: answer.volume_id.parse().ok()?, status })
}

fn image_metadata(image: Option<pb::SourceImage>, properties: Properties) -> Option<VolumeImageMetadata> {
    let usable = |(name, value): (&String, &String)| is_short(name) && !value.contains('\0');
    if !properties.iter().all(usable) {
        return None;
    }
    let image = image.map(source_image);
    // An image that makes no sense is not the same as none.
    let image = image.map_or(Some(None), |image| image.map(Some))?;
    Some(VolumeImageMetadata { image, properties })
}

fn source_image(image: pb::SourceImage) -> Option<SourceImage> {
    let text = |text: String| (!text.is_empty()).then_some(text);
    let texts = [&image.name, &image.disk_format, &image.container_format, &image.checksum];
    let usable = image.revision >= 0
        && image.min_disk >= 0
        && image.min_ram >= 0
        && image.size.unwrap_or(0) >= 0
        && texts.into_iter().all(|text| is_short(text));
    Some(SourceImage {
        id: image.id.parse().ok().filter(|_| usable)?,
        revision: image.revision,
        name: image.name,
        disk_format: text(image.disk_format),
        container_format: text(image.container_format),
        checksum: text(image.checksum),
        min_disk: Some(image.min_disk),
        min_ram: Some(image.min_ram),
        size: image.size,
    })
}
