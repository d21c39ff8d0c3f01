//! Taking back the volumes of instances that are deleted, or never came to be.

use chassis::deadline::Deadline;
use common::id::Id;
use peers::cinder::{self, AttachmentStatus};

use super::{as_service, is_gone, prepare::new_volume, reservation};
use crate::{
    compute::ComputeApi,
    error::Error,
    instance::Compute,
    store::{Removal, RemovedVolume, VolumeJob},
};

impl ComputeApi {
    /// Ends attachments, and deletes volumes; returns whether all of that is done.
    pub(super) async fn remove_volumes(
        &self,
        job: &VolumeJob,
        removals: &[Removal],
        deadline: Option<Deadline>,
    ) -> Result<bool, Error> {
        let mut is_done = true;
        for removal in removals {
            is_done &= self.remove_volume(job, removal, deadline).await?;
        }
        Ok(is_done)
    }

    async fn remove_volume(
        &self,
        job: &VolumeJob,
        removal: &Removal,
        deadline: Option<Deadline>,
    ) -> Result<bool, Error> {
        let caller = as_service(&job.caller);
        let id = match &removal.volume {
            RemovedVolume::Known(id) => *id,
            // It may have been created although nobody heard of it: the same request gives the same volume.
            RemovedVolume::Requested(request) => {
                let volume = match self.cinder()?.create_volume(&new_volume(request), &caller, deadline).await
                {
                    Ok(volume) => volume,
                    Err(cinder::Error::Refused { .. } | cinder::Error::NotFound { .. }) => return Ok(true),
                    Err(error) => return Err(error.into()),
                };
                if volume.status == "RESERVED" {
                    self.end_reservation(volume.id, &request.request_id, job, deadline).await?;
                }
                volume.id
            }
            RemovedVolume::Reserved { volume_id, request_id } => {
                self.end_reservation(*volume_id, request_id, job, deadline).await?;
                *volume_id
            }
        };
        for attachment_id in [removal.attachment_id, removal.former_attachment_id].into_iter().flatten() {
            if !self.end_attachment(attachment_id, job, deadline).await? {
                return Ok(false);
            }
        }
        if removal.delete { self.delete_volume(id, job, deadline).await } else { Ok(true) }
    }

    /// Ends a reservation that nobody may have heard of: the same request gives the same attachment. If there was none,
    /// one is made, unless somebody else uses the volume by now.
    async fn end_reservation(
        &self,
        volume_id: Id,
        request_id: &str,
        job: &VolumeJob,
        deadline: Option<Deadline>,
    ) -> Result<(), Error> {
        let (cinder, caller) = (self.cinder()?, as_service(&job.caller));
        let new = reservation(volume_id, job.instance_id, request_id.to_owned());
        match cinder.create_attachment(&new, &caller, deadline).await {
            Ok(attachment) => self.end_attachment(attachment.id, job, deadline).await.map(drop),
            Err(cinder::Error::Refused { .. } | cinder::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends an attachment; returns whether it has ended. One that a host uses ends when whatever runs the instance says so at
    /// cinder-svc: until then, something may be writing.
    pub(super) async fn end_attachment(
        &self,
        id: Id,
        job: &VolumeJob,
        deadline: Option<Deadline>,
    ) -> Result<bool, Error> {
        let (cinder, caller) = (self.cinder()?, as_service(&job.caller));
        let attachment = cinder.attachment(id, &caller, deadline).await;
        if is_gone(&attachment) {
            return Ok(true);
        }
        let status = attachment?.status;
        if status == AttachmentStatus::Reserved || self.compute == Compute::None {
            let deleted = cinder.delete_attachment(id, &caller, deadline).await;
            return if is_gone(&deleted) { Ok(true) } else { Ok(deleted.map(|()| true)?) };
        }
        if status == AttachmentStatus::Attached {
            cinder.begin_detaching(id, &caller, deadline).await?;
        }
        Ok(false)
    }

    /// Deletes a volume; returns whether nothing is left to be done. A volume that cannot be deleted although nothing uses
    /// it, such as one with snapshots, is left to its project.
    async fn delete_volume(
        &self,
        id: Id,
        job: &VolumeJob,
        deadline: Option<Deadline>,
    ) -> Result<bool, Error> {
        let (cinder, caller) = (self.cinder()?, as_service(&job.caller));
        let problem = match cinder.delete_volume(id, &caller, deadline).await {
            Ok(()) | Err(cinder::Error::NotFound { .. }) => return Ok(true),
            Err(cinder::Error::Refused { problem, .. }) => problem,
            Err(error) => return Err(error.into()),
        };
        let volume = cinder.volume(id, &caller, deadline).await;
        if is_gone(&volume) {
            return Ok(true);
        }
        let volume = volume?;
        let is_settled = !volume.is_busy && ["AVAILABLE", "ERROR"].contains(&volume.status);
        if is_settled {
            let (volume_id, instance_id) = (id.to_string(), job.instance_id.to_string());
            tracing::warn!(volume_id, instance_id, problem, "a volume of a deleted instance is kept");
        }
        Ok(is_settled)
    }
}
