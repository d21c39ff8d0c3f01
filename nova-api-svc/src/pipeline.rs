//! Turns a request into stored instances: create → provision → populate.
//!
//! | the article (Nova, Icehouse)         | here                                                          |
//! |--------------------------------------|---------------------------------------------------------------|
//! | #1 `create`                          | [`grpc`](crate::grpc), `create_instance`                      |
//! | #2 `_create_instance`                | [`Pipeline::create_instance`]                                 |
//! | #3 `_provision_instances`            | [`provision::provision_instances`]                            |
//! | #4 `create_db_entry_for_new_instance`| [`Store::create`](crate::store::Store::create)                |
//! | #5 `_populate_instance_for_create`   | [`populate::populate_instance_for_create`]                    |
//! | #6 `get_system_metadata_from_image`  | [`common::system_metadata::system_metadata_from_image`]       |
//!
//! It waits to read (the image, over gRPC) and to write (one transaction); in between are plain functions over
//! plain data.

use chassis::{caller::Caller, deadline::Deadline};
use common::{clock, flavor::Flavor, id::Id, image::Image};
use peers::glance::{self, Glance};

use crate::{
    error::Error,
    instance::{Compute, CreateInstance, Reservation, Scope, checks, names::NameTemplate},
    quota::Quota,
    store::{Claim, Creation, Provision, Store},
};

pub mod populate;
pub mod provision;

use provision::Plan;

/// What creates instances.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// The image catalogue.
    pub glance: Glance,
    /// The database.
    pub store: Store,
    /// What each project may use.
    pub quota: Quota,
    /// How several instances are named.
    pub template: NameTemplate,
    /// Who completes operations.
    pub compute: Compute,
}

impl Pipeline {
    /// Nova's `_create_instance`: one read, pure provisioning, one write.
    pub async fn create_instance(
        &self,
        request: CreateInstance,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Reservation, Error> {
        let scope = Scope::create(caller)?;
        let claim = Claim::new(&request, &caller.actor, Id::random());
        if let Some(before) = self.store.find_reservation(&claim, &scope).await? {
            return Ok(before);
        }
        let asking = self.glance.image(request.image_id, caller, deadline);
        // Both at once; what is wrong with the flavor is said first.
        let (flavor, image) = tokio::try_join!(self.flavor(&request.flavor_id), async { Ok(asking.await) })?;
        let image = image?;
        checks::check_auto_disk_config(request.auto_disk_config, &image)?;
        checks::check_metadata(&request.metadata)?;
        checks::check_requested_image(&image, &flavor)?;
        let requested = (request.kernel_id.as_deref(), request.ramdisk_id.as_deref());
        let boot = self.kernel_and_ramdisk(requested, &image, caller, deadline).await?;

        let (validate_only, quota) = (request.validate_only, self.quota);
        let (actor, template, now) = (caller.actor.clone(), self.template.clone(), clock::now());
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

    pub(crate) async fn flavor(&self, id: &str) -> Result<Flavor, Error> {
        let flavor = self.store.flavor(id).await?;
        Ok(flavor.ok_or_else(|| Error::NoSuchFlavor(id.to_owned()))?.flavor)
    }

    /// Nova's `_handle_kernel_and_ramdisk`: both must exist before anything is written.
    pub(crate) async fn kernel_and_ramdisk(
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
