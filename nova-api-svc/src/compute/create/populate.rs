//! A new instance: a pure function of request, image and flavor.

use super::provision::Plan;
use crate::instance::{
    Record,
    inherited::inherit_properties_from_image,
    names::{hostname, hostname_of_several},
};
use common::{
    id::{Id, NIL},
    system_metadata::SystemMetadata,
};

/// Nova's `_populate_instance_for_create`: the record of the instances of a request, the image's properties
/// in its system metadata.
#[must_use]
pub fn populate_instance_for_create(plan: &Plan) -> Record {
    let (image_id, image_revision) = plan.origin.image();
    Record {
        id: Id::from(NIL),
        image_id,
        image_revision,
        flavor: plan.flavor.clone(),
        kernel_id: plan.boot.kernel_id(),
        ramdisk_id: plan.boot.ramdisk_id(),
        inherited: inherit_properties_from_image(&plan.origin.properties(), plan.request.auto_disk_config),
        system_metadata: system_metadata(plan),
        needs: Some(plan.origin.needs()),
    }
    .with_id()
}

/// Nova's `_populate_instance_names`: display name and host name of the instance at `index` of `count`.
#[must_use]
pub fn populate_instance_names(plan: &Plan, id: Id, index: usize, count: usize) -> (String, String) {
    let requested = &plan.request.name;
    if count == 1 {
        return (requested.clone(), hostname(requested, id));
    }
    let name = plan.template.apply(requested, id, index + 1);
    let hostname = hostname_of_several(&name, requested, id);
    (name, hostname)
}

/// The system metadata: the image, the base image, and the flavor.
fn system_metadata(plan: &Plan) -> SystemMetadata {
    let mut system_metadata = plan.origin.system_metadata(&plan.flavor);
    system_metadata.entries.extend(plan.flavor.system_metadata());
    system_metadata
}
