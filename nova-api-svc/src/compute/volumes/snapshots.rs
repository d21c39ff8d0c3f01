//! The snapshots of volumes that an image of an instance stands for. Each is taken by a request whose id follows from the
//! image, so that whoever does the image's job finds those that were taken, even if nobody heard of them.

use chassis::{caller::Caller, deadline::Deadline};
use common::{
    id::Id,
    image::{NewImage, devices::DeviceSnapshot},
    text::clip,
};
use peers::{
    cinder::{self, NewSnapshot, Snapshot},
    glance::jobs::Job,
};

use super::as_service;
use crate::{
    compute::ComputeApi,
    error::{Error, VolumeError},
};

/// Longest name of a snapshot, in characters.
const NAME_LIMIT: usize = 255;

impl ComputeApi {
    /// Takes the snapshots of an image, and writes which they are; returns the image with all of them. One that cannot be
    /// taken is a refusal; as long as one has no data yet, the job has to wait.
    pub(in crate::compute) async fn take_snapshots(
        &self,
        job: &Job,
        image: &NewImage,
        deadline: Option<Deadline>,
    ) -> Result<NewImage, Error> {
        let (mut taken, caller, mut waiting) = (image.clone(), as_service(&job.caller), None);
        for (index, wanted) in taken.snapshots.iter_mut().enumerate() {
            let snapshot = self.volume_snapshot(job, (index, wanted, &image.name), &caller, deadline).await?;
            match snapshot.status {
                "AVAILABLE" => {}
                "CREATING" => waiting = Some(snapshot.id),
                status => {
                    let problem = format!("snapshot {} is in {status}", snapshot.id);
                    return Err(refused("SNAPSHOT_NOT_AVAILABLE", problem));
                }
            }
            wanted.snapshot_id = Some(snapshot.id);
        }
        if taken != *image {
            self.store.jobs().replace_image(job, &taken).await?;
        }
        waiting.map_or(Ok(taken), |id| Err(VolumeError::SnapshotCreating(id).into()))
    }

    /// Deletes the snapshots of an image that there will not be.
    pub(in crate::compute) async fn delete_snapshots(
        &self,
        job: &Job,
        image: &NewImage,
        deadline: Option<Deadline>,
    ) -> Result<(), Error> {
        let caller = as_service(&job.caller);
        for (index, wanted) in image.snapshots.iter().enumerate() {
            // It may have been taken although nobody heard of it.
            let id = match self.volume_snapshot(job, (index, wanted, &image.name), &caller, deadline).await {
                Ok(snapshot) => snapshot.id,
                Err(Error::Volume(VolumeError::Refused { .. })) => continue,
                Err(error) => return Err(error),
            };
            match self.cinder()?.delete_snapshot(id, &caller, deadline).await {
                Ok(()) | Err(cinder::Error::NotFound { .. }) => {}
                // Its data is still being copied.
                Err(cinder::Error::Refused { .. }) => return Err(VolumeError::SnapshotCreating(id).into()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The snapshot as it is now; it is taken unless it has been.
    async fn volume_snapshot(
        &self,
        job: &Job,
        (index, wanted, name): (usize, &DeviceSnapshot, &str),
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Snapshot, Error> {
        let new = NewSnapshot {
            volume_id: wanted.volume_id,
            // Nova's name.
            name: clip(&format!("snapshot for {name}"), NAME_LIMIT),
            quiesced: wanted.quiesced,
            request_id: format!("{}-{index}", job.image_id),
        };
        let answer = self.cinder()?.create_snapshot(&new, caller, deadline).await;
        answer.map_err(|error| match error {
            cinder::Error::NotFound { .. } => gone(wanted.volume_id),
            cinder::Error::Refused { reason, problem } => refused(&reason, problem),
            error => error.into(),
        })
    }
}

fn gone(volume_id: Id) -> Error {
    refused("VOLUME_NOT_FOUND", format!("volume {volume_id} or its snapshot is gone"))
}

fn refused(cause: &str, problem: String) -> Error {
    VolumeError::Refused { cause: cause.to_owned(), problem }.into()
}
