//! Registering and changing an image: from the image as it is to the image as it will be.

use common::violations::Violations;

use super::{
    Attribute, Image, Status, TAG_LIMIT,
    properties::{PropertyUpdate, Quota, check},
};
use crate::error::Error;

/// A change of an image.
#[derive(Debug, Clone)]
pub struct Update {
    /// The attributes to change.
    pub attributes: Vec<Attribute>,
    /// Their new values.
    pub values: Box<Image>,
    /// The change of the properties.
    pub properties: PropertyUpdate,
}

/// Checks an image that is to be registered; `problems` are those that parsing the request has found.
pub fn register(image: Image, problems: Violations, quota: Quota) -> Result<Image, Error> {
    let mut violations = problems;
    for attribute in Attribute::ALL {
        attribute.check(&image, &mut violations);
    }
    if !matches!(image.status, Status::Queued | Status::Active) {
        violations.add("status", "a new image is ACTIVE (with its size) or QUEUED");
    }
    violations.append(contradictions(&image));
    violations.append(check(&image.properties, "properties"));
    violations.check()?;
    quota.check(&image.properties)?;
    check_tag_quota(&image, 0)?;
    Ok(image)
}

impl Update {
    /// Applies the update.
    pub fn apply(&self, image: &mut Image) {
        for attribute in &self.attributes {
            attribute.copy(&self.values, image);
        }
        self.properties.apply(&mut image.properties);
    }
}

/// Checks a change from `image` to `next`, and clears what describes data that is gone.
pub fn validate(image: &Image, mut next: Image, quota: Quota) -> Result<Image, Error> {
    check_move(image, &mut next)?;
    check_locks(image, &next)?;
    contradictions(&next).check()?;
    check_tag_quota(&next, image.tags.len())?;
    quota.check_growth(&image.properties, &next.properties)?;
    Ok(next)
}

/// Whether the image may be deleted.
pub fn check_delete(image: &Image) -> Result<(), Error> {
    if image.protected { Err(Error::Protected(image.id)) } else { Ok(()) }
}

/// The status may only make an allowed transition; on the way back to QUEUED, the image loses its data.
fn check_move(image: &Image, next: &mut Image) -> Result<(), Error> {
    if image.status == next.status {
        return Ok(());
    }
    if !image.status.next().contains(&next.status) {
        return Err(Error::StatusMove { id: image.id, from: image.status, to: next.status });
    }
    if image.status == Status::Saving {
        // A caller that ends the upload by hand stores the data elsewhere; what is being uploaded belongs to no image any more.
        next.data = None;
    }
    if next.status == Status::Queued {
        next.forget_data();
    }
    Ok(())
}

/// What describes the data cannot change once there is data.
fn check_locks(image: &Image, next: &Image) -> Result<(), Error> {
    const DATA: [Attribute; 5] = [
        Attribute::Size,
        Attribute::Checksum,
        Attribute::OsHashAlgo,
        Attribute::OsHashValue,
        Attribute::VirtualSize,
    ];
    let locked = |attribute: Attribute, allowed: &'static [Status]| {
        let changed = attribute.read(image) != attribute.read(next);
        if changed && !allowed.contains(&image.status) {
            return Err(Error::Locked { id: image.id, attribute, status: image.status, allowed });
        }
        Ok(())
    };
    locked(Attribute::DiskFormat, Status::ALLOWING_FORMATS)?;
    locked(Attribute::ContainerFormat, Status::ALLOWING_FORMATS)?;
    DATA.into_iter().try_for_each(|attribute| locked(attribute, Status::AWAITING_DATA))
}

/// Attributes that contradict each other.
fn contradictions(image: &Image) -> Violations {
    let mut violations = Violations::default();
    match (image.status, image.size) {
        (Status::Active, None) => violations.add("size", "an ACTIVE image has data: give its size in bytes"),
        (Status::Queued, Some(_)) => {
            violations.add("size", "a QUEUED image has no data; it gets a size when it becomes ACTIVE");
        }
        _ => {}
    }
    violations
}

fn check_tag_quota(image: &Image, before: usize) -> Result<(), Error> {
    let attempted = image.tags.len();
    if attempted > TAG_LIMIT && attempted > before {
        return Err(Error::Quota { resource: "tags", attempted, maximum: TAG_LIMIT });
    }
    Ok(())
}
