//! Renders images, members and revisions as messages.

use bytes::Bytes;
use common::clock::timestamp;
use prost::Message as _;
use proto::{
    encoded_page,
    glance::{
        EncodedFoundImages, EncodedImage, EncodedImages,
        v1::{self as pb, image_change, image_member, image_revision},
    },
    put_entry,
};

use crate::{
    error::Error,
    image::{
        Image, Status, Visibility,
        cached::CachedImage,
        history::{Action, Change, Revision, Subject},
        listed::ListedImage,
        member::{Member, MemberStatus},
    },
};

impl From<Image> for pb::Image {
    fn from(image: Image) -> Self {
        Self {
            id: image.id.to_string(),
            etag: image.etag(),
            name: image.name,
            status: status(image.status).into(),
            visibility: visibility(image.visibility).into(),
            owner: image.owner,
            protected: image.protected,
            os_hidden: image.os_hidden,
            disk_format: image.disk_format,
            container_format: image.container_format,
            min_ram: image.min_ram,
            min_disk: image.min_disk,
            size: image.size,
            virtual_size: image.virtual_size,
            checksum: image.checksum,
            os_hash_algo: image.os_hash_algo,
            os_hash_value: image.os_hash_value,
            tags: image.tags.into_iter().collect(),
            properties: image.properties,
            revision: image.revision,
            create_time: Some(timestamp(image.create_time)),
            update_time: Some(timestamp(image.update_time)),
        }
    }
}

impl From<&CachedImage> for EncodedImage {
    fn from(image: &CachedImage) -> Self {
        Self::new(image.message(|image| pb::Image::from(image.clone()).encode_to_vec().into()))
    }
}

/// Number of the field `properties` of `Image`.
const PROPERTIES: u32 = 14;

/// An image on a page, encoded; its properties are copied into the message as they are parsed.
pub(super) fn encode(image: &ListedImage) -> Result<Vec<u8>, Error> {
    let properties = image.properties.get().len();
    let mut buffer = Vec::with_capacity(properties + properties / 4 + 512);
    pb::Image::from(image.rest.clone()).encode_raw(&mut buffer);
    image.for_each_property(|name, value| put_entry(&mut buffer, PROPERTIES, name, value))?;
    Ok(buffer)
}

/// Several images, each already encoded.
pub(super) fn found_images(images: &[Bytes], remaining_ids: Vec<String>) -> EncodedFoundImages {
    EncodedFoundImages::new(encoded_page(
        images,
        &pb::GetImagesResponse { images: Vec::new(), remaining_ids },
    ))
}

/// A page of images, each already encoded.
pub(super) fn images(images: &[Vec<u8>], next_page_token: String) -> EncodedImages {
    EncodedImages::new(encoded_page(images, &pb::ListImagesResponse { images: Vec::new(), next_page_token }))
}

impl From<Member> for pb::ImageMember {
    fn from(member: Member) -> Self {
        Self {
            image_id: member.image_id.to_string(),
            member_id: member.member_id,
            status: member_status(member.status).into(),
            create_time: Some(timestamp(member.create_time)),
            update_time: Some(timestamp(member.update_time)),
        }
    }
}

impl From<Revision> for pb::ImageRevision {
    fn from(revision: Revision) -> Self {
        Self {
            image_id: revision.image_id.to_string(),
            revision: revision.revision,
            create_time: Some(timestamp(revision.create_time)),
            user_id: revision.actor.user_id,
            project_id: revision.actor.project_id,
            action: action(revision.action).into(),
            changes: revision.changes.into_iter().map(change).collect(),
        }
    }
}

fn change(change: Change) -> pb::ImageChange {
    let subject = match change.subject {
        Subject::Attribute(name) => image_change::Subject::Attribute(name),
        Subject::Property(name) => image_change::Subject::Property(name),
    };
    pb::ImageChange { subject: Some(subject), old_value: change.old, new_value: change.new }
}

fn status(status: Status) -> pb::image::Status {
    match status {
        Status::Queued => pb::image::Status::Queued,
        Status::Saving => pb::image::Status::Saving,
        Status::Uploading => pb::image::Status::Uploading,
        Status::Importing => pb::image::Status::Importing,
        Status::Active => pb::image::Status::Active,
        Status::Deactivated => pb::image::Status::Deactivated,
        Status::Killed => pb::image::Status::Killed,
        Status::PendingDelete => pb::image::Status::PendingDelete,
        Status::Deleted => pb::image::Status::Deleted,
    }
}

fn visibility(visibility: Visibility) -> pb::image::Visibility {
    match visibility {
        Visibility::Public => pb::image::Visibility::Public,
        Visibility::Private => pb::image::Visibility::Private,
        Visibility::Shared => pb::image::Visibility::Shared,
        Visibility::Community => pb::image::Visibility::Community,
    }
}

fn member_status(status: MemberStatus) -> image_member::Status {
    match status {
        MemberStatus::Pending => image_member::Status::Pending,
        MemberStatus::Accepted => image_member::Status::Accepted,
        MemberStatus::Rejected => image_member::Status::Rejected,
    }
}

fn action(action: Action) -> image_revision::Action {
    match action {
        Action::Create => image_revision::Action::Create,
        Action::Update => image_revision::Action::Update,
        Action::Delete => image_revision::Action::Delete,
    }
}
