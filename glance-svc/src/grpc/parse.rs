//! Parses messages, and collects everything that is wrong with them.

use std::collections::BTreeSet;

use chassis::caller::Actor;
use chrono::{DateTime, Utc};
use common::{id::Id, violations::Violations};
use proto::glance::v1 as pb;

use crate::{
    image::{Attribute, Image, Status, Visibility, properties::PropertyUpdate, update::Update},
    images::initial_status,
};

/// The image to register, and what is wrong with it; fields are named as in `Image`.
pub(super) fn new_image(
    request: pb::CreateImageRequest,
    actor: &Actor,
    now: DateTime<Utc>,
) -> (Image, Violations) {
    let mut problems = Violations::default();
    let message = request.image.unwrap_or_default();
    let id = match message.id.as_str() {
        "" => Id::random(),
        text => problems.take("id", text.parse()).unwrap_or_else(Id::random),
    };
    check_name(&message.name, &mut problems);
    let size = message.size;
    let status_is_given = pb::image::Status::try_from(message.status).is_ok_and(|status| status as i32 != 0);
    let mut image = image(id, message, now, &mut problems);
    if !status_is_given {
        image.status = initial_status(size);
    }
    if image.owner.is_empty() {
        image.owner.clone_from(&actor.project_id);
    }
    (image, problems)
}

/// Over gRPC an image must have a name; Glance's API does not require one.
fn check_name(name: &str, problems: &mut Violations) {
    if name.trim().is_empty() {
        problems.add("name", format!("must not be empty: 1 to {} characters", common::text::NAME_LIMIT));
    }
}

/// The etags of which an image must have one: the given one, if any.
pub(super) fn etags(etag: String) -> Vec<String> {
    if etag.is_empty() { Vec::new() } else { vec![etag] }
}

/// Which image to read, and at which revision.
pub(super) fn get_image(request: &pb::GetImageRequest) -> Result<(Id, Option<i64>), Violations> {
    let mut violations = Violations::default();
    let id = violations.take("id", request.id.parse());
    if request.revision < 0 {
        violations.add("revision", "must not be negative: 1 or more, or 0 for the image as it is now");
    }
    violations.check()?;
    let revision = (request.revision > 0).then_some(request.revision);
    Ok((id.expect("a malformed id is a violation"), revision))
}

/// Which image to change, how, and the etag it must have.
pub(super) fn update_image(
    request: pb::UpdateImageRequest,
    now: DateTime<Utc>,
) -> Result<(Id, Update, Vec<String>), Violations> {
    let mut violations = Violations::default();
    let message = request.image.unwrap_or_default();
    let id = violations.take("image.id", message.id.parse::<Id>());
    let etag = message.etag.clone();
    let attributes = masked(request.update_mask, &message, &mut violations);
    let mut problems = Violations::default();
    if attributes.contains(&Attribute::Name) {
        check_name(&message.name, &mut problems);
    }
    for (attribute, given) in
        [(Attribute::Status, message.status), (Attribute::Visibility, message.visibility)]
    {
        if given == 0 && attributes.contains(&attribute) {
            problems.add(attribute.name(), "is named by update_mask and must have a value");
        }
    }
    let values = image(id.unwrap_or_else(Id::random), message, now, &mut problems);
    for attribute in &attributes {
        attribute.check(&values, &mut problems);
    }
    violations.append(problems.within("image."));
    violations.check()?;
    let update = Update { attributes, values: Box::new(values), properties: PropertyUpdate::default() };
    Ok((id.expect("a malformed id is a violation"), update, etags(etag)))
}

/// Which image to change, the update of its properties, and the etag it must have.
pub(super) fn update_properties(
    request: pb::UpdateImagePropertiesRequest,
    now: DateTime<Utc>,
) -> Result<(Id, Update, Vec<String>), Violations> {
    let mut violations = Violations::default();
    let id = violations.take("image_id", request.image_id.parse::<Id>());
    let properties = PropertyUpdate {
        set: request.set,
        remove: request.remove.into_iter().collect(),
        purge: request.purge,
    };
    violations.append(properties.check());
    violations.check()?;
    let id = id.expect("a malformed id is a violation");
    let values = Box::new(Image::blank(id, now));
    Ok((id, Update { attributes: Vec::new(), values, properties }, etags(request.etag)))
}

/// The attributes to update: those of the mask or, without one, those that are set.
fn masked(
    mask: Option<prost_types::FieldMask>,
    message: &pb::Image,
    violations: &mut Violations,
) -> Vec<Attribute> {
    let paths = mask.map(|mask| mask.paths).unwrap_or_default();
    if paths.is_empty() {
        if !message.properties.is_empty() {
            violations.add("image.properties", USE_UPDATE_PROPERTIES);
        }
        return populated(message);
    }
    let all = paths.iter().any(|path| path == "*");
    let mut attributes = if all { Attribute::ALL.to_vec() } else { Vec::new() };
    for path in paths.iter().filter(|path| *path != "*") {
        match Attribute::from_name(path) {
            Some(attribute) if !attributes.contains(&attribute) => attributes.push(attribute),
            Some(_) => {}
            None if path.starts_with("properties") => violations.add("update_mask", USE_UPDATE_PROPERTIES),
            None => violations.add("update_mask", unknown_path(path)),
        }
    }
    attributes
}

const USE_UPDATE_PROPERTIES: &str = "properties are changed with UpdateImageProperties";

fn unknown_path(path: &str) -> String {
    let known: Vec<_> = Attribute::ALL.iter().map(|attribute| attribute.name()).collect();
    let path = common::text::clip(path, 60);
    format!("{path:?} cannot be changed; allowed: {}, or * for all of them", known.join(", "))
}

/// The attributes that are set in a message (AIP-134 on a missing mask).
fn populated(message: &pb::Image) -> Vec<Attribute> {
    let is_set = |attribute: &Attribute| match attribute {
        Attribute::Checksum => !message.checksum.is_empty(),
        Attribute::ContainerFormat => !message.container_format.is_empty(),
        Attribute::DiskFormat => !message.disk_format.is_empty(),
        Attribute::MinDisk => message.min_disk != 0,
        Attribute::MinRam => message.min_ram != 0,
        Attribute::Name => !message.name.is_empty(),
        Attribute::OsHashAlgo => !message.os_hash_algo.is_empty(),
        Attribute::OsHashValue => !message.os_hash_value.is_empty(),
        Attribute::OsHidden => message.os_hidden,
        Attribute::Owner => !message.owner.is_empty(),
        Attribute::Protected => message.protected,
        Attribute::Size => message.size.is_some(),
        Attribute::Status => message.status != 0,
        Attribute::Tags => !message.tags.is_empty(),
        Attribute::VirtualSize => message.virtual_size.is_some(),
        Attribute::Visibility => message.visibility != 0,
    };
    Attribute::ALL.into_iter().filter(is_set).collect()
}

/// The image in a message; fields that are not set have their defaults.
fn image(id: Id, message: pb::Image, now: DateTime<Utc>, problems: &mut Violations) -> Image {
    let blank = Image::blank(id, now);
    let status = match message.status {
        0 => blank.status,
        number => problems.take("status", status(number)).unwrap_or(blank.status),
    };
    let visibility = match message.visibility {
        0 => blank.visibility,
        number => problems.take("visibility", visibility(number)).unwrap_or(blank.visibility),
    };
    Image {
        name: message.name,
        status,
        visibility,
        owner: message.owner,
        protected: message.protected,
        os_hidden: message.os_hidden,
        disk_format: message.disk_format,
        container_format: message.container_format,
        min_ram: message.min_ram,
        min_disk: message.min_disk,
        size: message.size,
        virtual_size: message.virtual_size,
        checksum: message.checksum,
        os_hash_algo: message.os_hash_algo,
        os_hash_value: message.os_hash_value,
        tags: BTreeSet::from_iter(message.tags),
        properties: message.properties,
        ..blank
    }
}

fn status(number: i32) -> Result<Status, String> {
    let known = pb::image::Status::try_from(number).ok();
    known
        .and_then(|status| Status::from_name(status.as_str_name()))
        .ok_or_else(|| format!("{number} is not a status"))
}

fn visibility(number: i32) -> Result<Visibility, String> {
    let known = pb::image::Visibility::try_from(number).ok();
    known
        .and_then(|visibility| Visibility::from_name(visibility.as_str_name()))
        .ok_or_else(|| format!("{number} is not a visibility"))
}
