//! Provisions the instances of a request, or says why that is refused: plain data in, plain data out.

use std::{collections::BTreeMap, sync::Arc};

use chassis::caller::Actor;
use chrono::{DateTime, Utc};
use common::{
    flavor::Flavor,
    id::{Id, NIL},
    text::NAME_LIMIT,
    violations::Violations,
};

use super::populate::{populate_instance_for_create, populate_instance_names};
use crate::{
    error::Error,
    instance::{
        BlockDevices, Compute, CreateInstance, Instance, PowerState, Reservation, checks::Boot,
        names::NameTemplate, origin::Origin,
    },
    quota::{Quota, Usage},
};

/// Everything that determines what the instances will be.
#[derive(Debug)]
pub struct Plan {
    /// The request.
    pub request: CreateInstance,
    /// Who made it.
    pub actor: Actor,
    /// What the instances are made from.
    pub origin: Origin,
    /// The flavor.
    pub flavor: Flavor,
    /// Kernel and ramdisk.
    pub boot: Boot,
    /// How several instances are named.
    pub template: NameTemplate,
    /// What the project may use.
    pub quota: Quota,
    /// Who completes operations.
    pub compute: Compute,
    /// The disks of each instance, by its id, where they were prepared.
    pub devices: BTreeMap<Id, BlockDevices>,
    /// When.
    pub now: DateTime<Utc>,
}

/// Nova's `_provision_instances`: as many instances as the quota allows, all with the same record.
pub fn provision_instances(
    plan: &Plan,
    usage: &Usage,
    reservation_id: &str,
    mut new_id: impl FnMut() -> Id,
) -> Result<Reservation, Error> {
    let request = &plan.request;
    let size = (plan.flavor.vcpus, plan.flavor.memory_mb);
    let count = plan.quota.allow(usage, (request.min_count, request.max_count), size)?;
    // Disks were prepared for no more than the quota allowed then.
    let count = if plan.devices.is_empty() { count } else { count.min(plan.devices.len()) };
    let shared = Instance {
        id: Id::from(NIL),
        name: String::new(),
        hostname: String::new(),
        launch_index: 0,
        reservation_id: reservation_id.into(),
        project_id: plan.actor.project_id.as_str().into(),
        user_id: plan.actor.user_id.as_str().into(),
        state: plan.compute.first_state(),
        metadata: Arc::new(request.metadata.clone()),
        record: Arc::new(populate_instance_for_create(plan)),
        create_time: plan.now,
        update_time: plan.now,
        revision: 1,
        host: String::new(),
        power_state: PowerState::NoState,
        compute: plan.compute,
        task: None,
        block_devices: BlockDevices::default(),
    };
    let instances: Vec<Instance> = (0..count)
        .map(|index| {
            let id = new_id();
            let (name, hostname) = populate_instance_names(plan, id, index, count);
            let launch_index = i32::try_from(index).expect("a request has at most 1000 instances");
            let block_devices = plan.devices.get(&id).cloned().unwrap_or_default();
            Instance { id, name, hostname, launch_index, block_devices, ..shared.clone() }
        })
        .collect();
    check_names(&instances)?;
    Ok(Reservation { id: reservation_id.to_owned(), requested: request.max_count, instances })
}

/// Refuses names that the template makes too long.
fn check_names(instances: &[Instance]) -> Result<(), Violations> {
    let longest = instances.iter().map(|instance| instance.name.chars().count()).max().unwrap_or(0);
    if longest <= NAME_LIMIT {
        return Ok(());
    }
    Err(Violations::one(
        "name",
        format!(
            "is too long for several instances: their names would have {longest} characters, at most \
             {NAME_LIMIT} are allowed"
        ),
    ))
}
