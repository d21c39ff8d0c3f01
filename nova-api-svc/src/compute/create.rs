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
use common::{clock, flavor::Flavor, id::Id, image::Image};
use peers::glance;

use super::ComputeApi;
use crate::{
    error::Error,
    instance::{CreateInstance, INSTANCES, Reservation, Scope, checks},
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
        request: CreateInstance,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Reservation, Error> {
        let scope = Scope::create(caller, INSTANCES)?;
        let claim = Claim::new(&request, &caller.actor, Id::random());
        if let Some(before) = self.store.find_reservation(&claim, &scope).await? {
            return Ok(before);
        }
        let image = self.glance.image(request.image_id, caller, deadline);
        // Both at once; an error of the flavor goes first.
        let (flavor, image) =
            tokio::try_join!(self.requested_flavor(&request.flavor_id), async { Ok(image.await) })?;
        let image = image?;
        checks::check_auto_disk_config(request.auto_disk_config, &image)?;
        checks::check_metadata(&request.metadata)?;
        checks::check_requested_image(&image, &flavor)?;
        let requested = (request.kernel_id.as_deref(), request.ramdisk_id.as_deref());
        let boot = self.kernel_and_ramdisk(requested, &image, caller, deadline).await?;

        let (validate_only, quota) = (request.validate_only, self.quota);
        let (actor, template, now) = (caller.actor.clone(), self.name_template.clone(), clock::now());
        let compute = self.compute;
        let plan = Plan { request, actor, image, flavor, boot, template, quota, compute, now };
        if validate_only {
            let usage = self.store.usage(&plan.actor.project_id, &quota).await?;
            return provision::provision_instances(&plan, &usage, claim.reservation_id(), Id::now);
        }
        let reservation_id = claim.reservation_id().to_owned();
        let size = plan.request.size();
        let provision: Provision =
            Box::new(move |usage| provision::provision_instances(&plan, usage, &reservation_id, Id::now));
        self.store.create(Creation { claim, scope, quota, size, provision }).await
    }

    /// The flavor that a request names.
    pub(super) async fn requested_flavor(&self, id: &str) -> Result<Flavor, Error> {
        let flavor = self.store.flavor(id).await?;
        Ok(flavor.ok_or_else(|| Error::NoSuchFlavor(id.to_owned()))?.flavor)
    }

    /// Nova's `_handle_kernel_and_ramdisk`: both must exist before anything is written.
    pub(super) async fn kernel_and_ramdisk(
        &self,
        requested: checks::Requested<'_>,
        image: &Image,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<checks::Boot, Error> {
        let boot = checks::kernel_and_ramdisk(requested, image)?;
        let exists = |source: Option<checks::BootImage>| async move {
            match source {
                None => Ok(()),
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
