//! The volumes of instances: what instances are made from, what is created and reserved for them, and the jobs that see to
//! it that nothing is left behind.

use std::{sync::Arc, time::Duration};

use chassis::{caller::Caller, deadline::Deadline};
use common::{
    id::Id,
    image::{
        Image,
        devices::{root_snapshot, snapshot_devices},
    },
    violations::Violations,
};
use futures_util::future::try_join_all;
use peers::cinder::{self, Cinder, NewAttachment, Resource, Snapshot, Volume};

use super::ComputeApi;
use crate::{
    error::{Error, VolumeError},
    instance::{
        CreateInstance,
        block_device::{Mapping, Source, with_devices_of_image},
        origin::Origin,
    },
};

mod attach;
mod jobs;
mod prepare;
mod reimage;
mod remove;
mod snapshots;

pub(super) use prepare::Prepared;

/// How long a reservation lasts unless it is confirmed.
const RESERVATION: Duration = Duration::from_mins(10);

/// The role of services, which may end any attachment.
const SERVICE: &str = "service";

/// What a disk is made from, as cinder-svc knows it.
enum Found {
    Volume(Volume),
    Snapshot(Snapshot),
    /// An image, or nothing.
    Elsewhere,
}

impl ComputeApi {
    /// The volume service.
    pub(super) fn cinder(&self) -> Result<&Cinder, Error> {
        self.cinder.as_ref().ok_or_else(|| VolumeError::NoService.into())
    }

    /// What the instances of a request are made from, and the revision of the image that was read for it, if any. The volumes
    /// and snapshots that it names must be usable; the sizes of its disks are completed from them.
    pub(super) async fn origin(
        &self,
        request: &mut CreateInstance,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<(Origin, i64), Error> {
        if request.block_device_mapping.iter().any(Mapping::is_volume) {
            self.cinder()?;
        }
        let image = match request.image_id {
            Some(id) => Some(self.glance.image(id, caller, deadline).await?),
            None => None,
        };
        if let Some(image) = &image {
            stand_for_volumes(request, image)?;
        }
        let mappings = &request.block_device_mapping;
        let finding = mappings.iter().map(|mapping| self.find(mapping, caller, deadline));
        let found = try_join_all(finding).await?;
        let root = mappings.iter().position(Mapping::is_root);
        let origin = match root.map(|root| &found[root]) {
            _ if let Some(image) = image => {
                let revision = image.revision;
                (image.into(), revision)
            }
            Some(Found::Volume(volume)) => {
                bootable(Resource::Volume, volume.id, volume.bootable)?;
                (Origin::Volume(Arc::new(volume.image_metadata.clone())), 0)
            }
            Some(Found::Snapshot(snapshot)) => {
                bootable(Resource::Snapshot, snapshot.id, snapshot.bootable)?;
                (Origin::Volume(Arc::new(snapshot.image_metadata.clone())), 0)
            }
            Some(Found::Elsewhere) | None => self.root_image_origin(request, caller, deadline).await?,
        };
        for (mapping, found) in request.block_device_mapping.iter_mut().zip(found) {
            let size = match found {
                Found::Volume(volume) => Some(volume.size_gib),
                Found::Snapshot(snapshot) => Some(snapshot.size_gib),
                Found::Elsewhere => None,
            };
            mapping.size_gib = mapping.size_gib.or(size);
        }
        Ok(origin)
    }

    /// The origin of instances whose root volume is made from an image. An image that a volume-backed instance was made into
    /// has no data: it names a snapshot, and a volume made from it gets what the snapshot remembers.
    async fn root_image_origin(
        &self,
        request: &CreateInstance,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<(Origin, i64), Error> {
        let id = request.source_image().expect("a disk with boot_index 0 is not blank");
        let image = self.glance.image(id, caller, deadline).await?;
        let revision = image.revision;
        let Some(snapshot_id) = root_snapshot(&image.meta.properties) else {
            return Ok((image.into(), revision));
        };
        let snapshot = self.cinder()?.snapshot(snapshot_id, caller, deadline).await?;
        available(Resource::Snapshot, snapshot_id, snapshot.status)?;
        Ok((Origin::Volume(Arc::new(snapshot.image_metadata)), revision))
    }

    /// What a disk is made from, if it is a volume or a snapshot, which must be usable.
    async fn find(
        &self,
        mapping: &Mapping,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Found, Error> {
        match mapping.source {
            Source::Volume(id) => {
                let volume = self.cinder()?.volume(id, caller, deadline).await?;
                check_usable(&volume)?;
                Ok(Found::Volume(volume))
            }
            Source::Snapshot(id) => {
                let snapshot = self.cinder()?.snapshot(id, caller, deadline).await?;
                available(Resource::Snapshot, id, snapshot.status)?;
                Ok(Found::Snapshot(snapshot))
            }
            Source::Image(_) | Source::Blank => Ok(Found::Elsewhere),
        }
    }
}

/// If the image that a request is to boot stands for volumes, instances get volumes made from its snapshots, as if the
/// request had asked for them (Nova, `_check_and_transform_bdm`).
fn stand_for_volumes(request: &mut CreateInstance, image: &Image) -> Result<(), Error> {
    let Some(devices) = snapshot_devices(&image.meta.properties) else { return Ok(()) };
    let problem = |problem| Violations::one("image_id", format!("stands for volumes, but {problem}"));
    let devices = devices.map_err(problem)?;
    let requested = std::mem::take(&mut request.block_device_mapping);
    request.block_device_mapping = with_devices_of_image(devices, requested, request.max_count)?;
    request.image_id = None;
    Ok(())
}

/// Refuses a volume that an instance cannot use. cinder-svc has the last word, when it is reserved.
pub(super) fn check_usable(volume: &Volume) -> Result<(), Error> {
    let is_shared = volume.multiattach && ["RESERVED", "IN_USE"].contains(&volume.status);
    if is_shared { Ok(()) } else { available(Resource::Volume, volume.id, volume.status) }
}

fn available(resource: Resource, id: Id, status: &'static str) -> Result<(), Error> {
    if status == "AVAILABLE" {
        Ok(())
    } else {
        Err(VolumeError::NotAvailable { resource, id, status }.into())
    }
}

/// Refuses to boot from what is not bootable (Nova, `InvalidBDMVolumeNotBootable`).
fn bootable(resource: Resource, id: Id, is_bootable: bool) -> Result<(), Error> {
    if is_bootable { Ok(()) } else { Err(VolumeError::NotBootable { resource, id }.into()) }
}

/// The reservation of a volume for an instance.
pub(super) const fn reservation(volume_id: Id, instance_id: Id, request_id: String) -> NewAttachment {
    NewAttachment { volume_id, instance_id, lease: RESERVATION, request_id }
}

/// The caller as cinder-svc knows it from a service that acts for it, when its own token may be gone.
fn as_service(caller: &Caller) -> Caller {
    let mut roles = caller.roles.clone();
    if !roles.iter().any(|role| role == SERVICE) {
        roles.push(SERVICE.to_owned());
    }
    Caller { roles, token: None, ..caller.clone() }
}

/// Whether there is no such thing any more.
const fn is_gone<T>(answer: &Result<T, cinder::Error>) -> bool {
    matches!(answer, Err(cinder::Error::NotFound { .. }))
}
