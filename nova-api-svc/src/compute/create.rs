//! Turns a request into stored instances: create → provision → populate.
//!
//! | the article (Nova, Icehouse)         | here                                                          |
//! |--------------------------------------|---------------------------------------------------------------|
//! | #1 `create`                          | [`NewInstances::check`](crate::instance::NewInstances::check) |
//! | #2 `_create_instance`                | [`ComputeApi::create_instances`]                              |
//! | #3 `_provision_instances`            | [`provision::provision_instances`]                            |
//! | #4 `create_db_entry_for_new_instance`| [`Store::create`](crate::store::Store::create)                |
//! | #5 `_populate_instance_for_create`   | [`populate::populate_instance_for_create`]                    |
//! | #6 `get_system_metadata_from_image`  | [`common::system_metadata::system_metadata_from_image`]       |
//!
//! Only reading (the image, over gRPC) and writing (one transaction) wait; everything in between is plain functions
//! over plain data.

use chassis::{caller::Caller, deadline::Deadline};
use common::{clock, flavor::Flavor, id::Id};
use peers::glance;

use super::{ComputeApi, volumes::Prepared};
use crate::{
    error::Error,
    instance::{
        CreateInstance, INSTANCES, Reservation, Scope, block_device::check_local, checks, origin::Origin,
    },
    store::{Claim, Creation, Provision},
};

pub mod populate;
pub mod provision;

use provision::Plan;

impl ComputeApi {
    /// Creates as many instances as requested and allowed, all or none of them, or only reports what it would create
    /// (`validate_only`). A retry with the same `request_id` is answered with what the first one created.
    pub async fn create_instances(
        &self,
        mut request: CreateInstance,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Reservation, Error> {
        let scope = Scope::create(caller, INSTANCES)?;
        let claim = Claim::new(&request, &caller.actor, Id::random());
        if let Some(before) = self.store.find_reservation(&claim, &scope).await? {
            return Ok(before);
        }
        let flavor_id = request.flavor_id.clone();
        let origin = self.origin(&mut request, caller, deadline);
        // Both at once; an error of the flavor goes first.
        let (flavor, origin) =
            tokio::try_join!(self.requested_flavor(&flavor_id), async { Ok(origin.await) })?;
        let (origin, image_revision) = origin?;
        let (image_id, _) = origin.image();
        checks::check_auto_disk_config(request.auto_disk_config, image_id, &origin.properties())?;
        checks::check_metadata(&request.metadata)?;
        origin.check(&flavor, request.root().map(|root| root.size_gib))?;
        let requested = (request.kernel_id.as_deref(), request.ramdisk_id.as_deref());
        let boot = self.kernel_and_ramdisk(requested, &origin, caller, deadline).await?;
        check_local(&request.block_device_mapping, &flavor)?;

        let (actor, template, now) = (caller.actor.clone(), self.name_template.clone(), clock::now());
        let (quota, compute, devices) = (self.quota, self.compute, [].into());
        let plan = Plan { request, actor, origin, flavor, boot, template, quota, compute, devices, now };
        if plan.request.validate_only {
            return self.planned_instances(plan, &claim).await;
        }
        if plan.request.block_device_mapping.is_empty() {
            return self.write_instances(plan, &Prepared::default(), claim, scope).await;
        }
        self.create_with_devices(plan, image_revision, (claim, scope), caller, deadline).await
    }

    /// What would be created.
    async fn planned_instances(&self, mut plan: Plan, claim: &Claim) -> Result<Reservation, Error> {
        let project_id = plan.actor.project_id.clone();
        let usage = self.store.usage(&project_id, &self.quota).await?;
        let planned = Prepared::planned(&plan.request, &project_id, plan.request.max_count);
        plan.devices = planned.devices;
        let mut ids = planned.ids.into_iter();
        let new_id = || ids.next().unwrap_or_else(Id::now);
        provision::provision_instances(&plan, &usage, claim.reservation_id(), new_id)
    }

    /// Creates instances with disks of their own: volumes are created and reserved first, and taken back from every instance
    /// that does not come to be.
    async fn create_with_devices(
        &self,
        mut plan: Plan,
        image_revision: i64,
        (claim, scope): (Claim, Scope),
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Reservation, Error> {
        let (request, size) = (&plan.request, (plan.flavor.vcpus, plan.flavor.memory_mb));
        let usage = self.store.usage(&plan.actor.project_id, &self.quota).await?;
        let count = self.quota.allow(&usage, (request.min_count, request.max_count), size)?;
        let prepared = self.prepare_volumes(request, image_revision, count, caller, deadline).await?;
        plan.devices.clone_from(&prepared.devices);
        let reservation_id = claim.reservation_id().to_owned();
        let written = self.write_instances(plan, &prepared, claim, scope).await;
        let created = written.as_ref().ok().filter(|created| created.id == reservation_id);
        let exists = |id| created.is_some_and(|created| created.instances.iter().any(|one| one.id == id));
        self.take_back(&prepared, exists).await;
        if let Some(created) = created {
            self.hold_volumes(&prepared, created, deadline).await;
        }
        written
    }

    /// Writes the instances of a plan: no more than volumes were prepared for.
    async fn write_instances(
        &self,
        plan: Plan,
        prepared: &Prepared,
        claim: Claim,
        scope: Scope,
    ) -> Result<Reservation, Error> {
        let (reservation_id, quota) = (claim.reservation_id().to_owned(), self.quota);
        let (size, ids, jobs) = (plan.request.size(), prepared.ids.clone(), prepared.jobs.clone());
        let provision: Provision = Box::new(move |usage| {
            let mut ids = ids.iter().copied();
            let new_id = || ids.next().unwrap_or_else(Id::now);
            provision::provision_instances(&plan, usage, &reservation_id, new_id)
        });
        self.store.create(Creation { claim, scope, quota, size, provision, jobs }).await
    }

    /// The flavor that a request names.
    pub(super) async fn requested_flavor(&self, id: &str) -> Result<Flavor, Error> {
        let flavor = self.store.flavor(id).await?;
        Ok(flavor.ok_or_else(|| Error::NoSuchFlavor(id.to_owned()))?.flavor)
    }

    /// Nova's `_handle_kernel_and_ramdisk`: both must exist before anything is written, except those that a volume remembers:
    /// it needs no image any more.
    pub(super) async fn kernel_and_ramdisk(
        &self,
        requested: checks::Requested<'_>,
        origin: &Origin,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<checks::Boot, Error> {
        let boot = checks::kernel_and_ramdisk(requested, &origin.properties())?;
        let is_volume = matches!(origin, Origin::Volume(_));
        let exists = |source: Option<checks::BootImage>| async move {
            match source {
                None => Ok(()),
                Some(source) if is_volume && !source.is_requested() => Ok(()),
                Some(source) => match self.glance.image(source.id, caller, deadline).await {
                    Err(glance::Error::NotFound(_)) => Err(source.missing()),
                    other => Ok(other.map(drop)?),
                },
            }
        };
        let (kernel, ramdisk) = tokio::join!(exists(boot.kernel.clone()), exists(boot.ramdisk.clone()));
        kernel.and(ramdisk)?;
        Ok(boot)
    }
}
