//! From messages to plain data, with every problem noted.

use std::ops::RangeInclusive;

use common::{flavor::Flavor, id::Id, text, violations::Violations};
use proto::nova::v1 as pb;

use crate::instance::{
    COUNT_LIMIT, CreateInstance,
    checks::{NULL_KERNEL, metadata_violations},
};

/// Network shares that everybody writes in the same way, without an exponent.
const RXTX_FACTORS: RangeInclusive<f64> = 0.0001..=1_000_000.0;

/// The id of a flavor in `field`.
pub(super) fn flavor_id(field: &str, id: String) -> Result<String, Violations> {
    match text::name(&id) {
        Ok(()) => Ok(id),
        Err(problem) => Err(Violations::one(field, problem)),
    }
}

/// The request to create instances.
pub(super) fn create_instance(message: pb::CreateInstanceRequest) -> Result<CreateInstance, Violations> {
    let mut violations = Violations::default();
    let name = message.name.trim().to_owned();
    violations.take("name", text::name(&name));
    let image_id = violations.take("image_id", message.image_id.parse::<Id>());
    violations.take("flavor_id", text::name(&message.flavor_id));
    let (min_count, max_count) = counts(&message, &mut violations);
    let kernel_id = boot_image("kernel_id", message.kernel_id, &mut violations);
    let ramdisk_id = boot_image("ramdisk_id", message.ramdisk_id, &mut violations);
    violations.take("request_id", text::optional_name(&message.request_id));
    if !violations.is_empty() {
        // Metadata alone is checked where Nova checks it; a request that is refused now hears of it now.
        violations.append(metadata_violations(&message.metadata));
    }
    violations.check()?;
    Ok(CreateInstance {
        name,
        image_id: image_id.expect("a malformed id is a violation"),
        flavor_id: message.flavor_id,
        min_count,
        max_count,
        metadata: message.metadata,
        kernel_id,
        ramdisk_id,
        auto_disk_config: message.auto_disk_config,
        request_id: Some(message.request_id).filter(|id| !id.is_empty()),
        validate_only: message.validate_only,
    })
}

/// At least and at most how many instances: 1 unless given, and no more than the minimum unless given.
fn counts(message: &pb::CreateInstanceRequest, violations: &mut Violations) -> (usize, usize) {
    let mut count = |field, value: i32, default| match usize::try_from(value) {
        Ok(0) => default,
        Ok(count) if count <= COUNT_LIMIT => count,
        _ => {
            violations.add(field, format!("{value} is out of range: 1 to {COUNT_LIMIT}"));
            default
        }
    };
    let min_count = count("min_count", message.min_count, 1);
    let max_count = count("max_count", message.max_count, min_count);
    if min_count > max_count {
        violations.add("min_count", format!("{min_count} must not be more than max_count, {max_count}"));
    }
    (min_count, max_count)
}

fn boot_image(field: &str, text: String, violations: &mut Violations) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let is_null = field == "kernel_id" && text == NULL_KERNEL;
    if !is_null && let Err(problem) = text.parse::<Id>() {
        violations.add(field, problem.to_string());
    }
    Some(text)
}

/// The flavor to add; its number is not known yet.
pub(super) fn flavor(request: pb::CreateFlavorRequest) -> Result<Flavor, Violations> {
    let mut violations = Violations::default();
    let message = request.flavor.unwrap_or_default();
    let flavorid = if message.id.is_empty() { Id::random().to_string() } else { message.id };
    violations.take("id", text::name(&flavorid));
    violations.take("name", text::name(&message.name));
    let numbers = [
        ("memory_mb", message.memory_mb, 1),
        ("vcpus", message.vcpus, 1),
        ("root_gb", message.root_gb, 0),
        ("ephemeral_gb", message.ephemeral_gb, 0),
        ("swap", message.swap, 0),
        ("vcpu_weight", message.vcpu_weight.unwrap_or(0), 0),
    ];
    for (field, value, least) in numbers {
        if value < least {
            violations.add(field, format!("{value} is out of range: {least} to {}", i32::MAX));
        }
    }
    let rxtx_factor = message.rxtx_factor.unwrap_or(1.0);
    if !RXTX_FACTORS.contains(&rxtx_factor) {
        let (least, most) = RXTX_FACTORS.into_inner();
        violations.add("rxtx_factor", format!("{rxtx_factor} is out of range: {least} to {most}"));
    }
    violations.within("flavor.").check()?;
    Ok(Flavor {
        instance_type_id: 0,
        flavorid,
        name: message.name,
        memory_mb: message.memory_mb,
        vcpus: message.vcpus,
        root_gb: message.root_gb,
        ephemeral_gb: message.ephemeral_gb,
        swap: message.swap,
        rxtx_factor,
        vcpu_weight: message.vcpu_weight,
    })
}
