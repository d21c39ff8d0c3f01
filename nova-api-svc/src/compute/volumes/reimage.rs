//! Giving the volume that an instance boots from the data of another image, when the instance is rebuilt.
//!
//! | step | if the process dies after it |
//! |---|---|
//! | one transaction begins the task, and writes the job that holds the instance's volumes | the job goes on |
//! | the volume is kept from hosts: a reservation takes the place of its attachment | the job finds that so |
//! | cinder-svc replaces data and image metadata of the volume, at once or not at all | the same request is answered with the volume |
//! | one transaction ends the task: the record becomes that of the image or, if cinder-svc failed, stays | the volume is held as before |

use chassis::deadline::Deadline;
use common::id::Id;
use peers::cinder::{self, Reimage};

use super::{
    as_service,
    attach::{News, Progress},
};
use crate::{
    compute::ComputeApi,
    error::Error,
    instance::{Instance, Task},
    store::VolumeJob,
};

impl ComputeApi {
    /// Has cinder-svc give a volume, which no host may use, the data of the image that its instance is rebuilt from.
    pub(super) async fn reimage(
        &self,
        instance: &Instance,
        volume_id: Id,
        job: &VolumeJob,
        deadline: Option<Deadline>,
    ) -> Result<Progress, Error> {
        let Some(target) = instance.task.as_ref().and_then(Task::rebuilt_from) else {
            return Ok(Progress::Done);
        };
        let (image_id, image_revision) = (target.image_id, target.image_revision);
        let reimage = Reimage { image_id, image_revision, request_id: format!("{}-reimage", job.id) };
        let failed = |problem: String| Ok(Progress::News(News::NotReimaged(problem)));
        let caller = as_service(&job.caller);
        let volume = match self.cinder()?.reimage_volume(volume_id, &reimage, &caller, deadline).await {
            Ok(volume) if volume.is_busy => return Ok(Progress::Waiting),
            Ok(volume) => volume,
            Err(cinder::Error::Refused { problem, .. }) => return failed(problem),
            Err(cinder::Error::NotFound { .. }) => return failed(format!("volume {volume_id} is gone")),
            Err(error) => return Err(error.into()),
        };
        let image = volume.image_metadata.image.map(|image| (image.id, image.revision));
        if !volume.last_failure.is_empty() {
            return failed(volume.last_failure);
        }
        if image != Some((image_id, image_revision)) {
            return failed(format!("volume {volume_id} was given other data"));
        }
        Ok(Progress::News(News::Reimaged))
    }
}
