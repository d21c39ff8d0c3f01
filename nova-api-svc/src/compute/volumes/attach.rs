//! Holding the volumes of an instance for it: reserved, or attached where a host may use them; and ending the attachments of
//! those that are detached.

use std::{collections::BTreeSet, sync::Arc};

use chassis::deadline::Deadline;
use common::{clock, id::Id, text::clip};
use peers::cinder::{self, AttachmentStatus};

use super::{as_service, is_gone, reservation};
use crate::{
    compute::ComputeApi,
    error::Error,
    instance::{BlockDevice, Compute, INSTANCES, Instance, Operation, Scope, State, Step},
    store::{Change, Decided, Entry, VolumeJob},
};

/// The host that cinder-svc is told where nothing runs instances.
const NO_HOST: &str = r#"{"host":"none"}"#;

/// How often the disks of an instance are looked at again because one of them has just changed.
const ROUNDS: usize = 8;

/// What became of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// Its volume is reserved.
    Reserved(Id),
    /// Its reservation has lapsed, and is to be made again.
    Lapsed,
    /// It is held by this reservation, which takes the place of its attachment.
    Replaced(Id),
    /// The attachment that was replaced has ended.
    Ended,
    /// Its volume has the data of the image that the instance is rebuilt from.
    Reimaged,
    /// Its volume has the data that it had, for that reason.
    NotReimaged(String),
    /// It has been detached.
    Detached,
    /// Its volume cannot be used, for that reason.
    Lost(String),
}

impl News {
    /// What the history of the instance says of it, beside the volume.
    fn message(&self) -> String {
        match self {
            Self::Replaced(id) => format!("attachment {id} reserves it instead"),
            Self::Lost(problem) | Self::NotReimaged(problem) => clip(problem, 255),
            Self::Reserved(_) | Self::Lapsed | Self::Ended | Self::Reimaged | Self::Detached => String::new(),
        }
    }
}

/// How far a disk is.
pub(super) enum Progress {
    /// There is nothing to be done for it.
    Done,
    /// Something else must happen first.
    Waiting,
    /// The instance has to be changed.
    News(News),
}

impl ComputeApi {
    /// Does what is to be done for the disks of an instance; returns whether all of that is done.
    pub(super) async fn attach_volumes(
        &self,
        job: &VolumeJob,
        deadline: Option<Deadline>,
    ) -> Result<bool, Error> {
        let mut lost = BTreeSet::new();
        for _ in 0..ROUNDS {
            let instance = self.store.instance(job.instance_id, &Scope::internal(INSTANCES)).await?;
            // Its deletion has left a job of its own.
            let Some(instance) = instance else { return Ok(true) };
            let (mut is_done, mut has_changed) = (true, false);
            for (index, device) in instance.block_devices.iter().enumerate() {
                let Some(volume_id) = device.volume_id.filter(|id| !lost.contains(id)) else { continue };
                match self.progress(&instance, device, volume_id, (job, index), deadline).await? {
                    Progress::Done => {}
                    Progress::Waiting => is_done = false,
                    Progress::News(news) => {
                        has_changed = true;
                        lost.extend(matches!(news, News::Lost(_)).then_some(volume_id));
                        self.record(job, volume_id, device, news, deadline).await?;
                    }
                }
            }
            if !has_changed {
                return Ok(is_done);
            }
        }
        Ok(false)
    }

    async fn progress(
        &self,
        instance: &Instance,
        device: &BlockDevice,
        volume_id: Id,
        (job, index): (&VolumeJob, usize),
        deadline: Option<Deadline>,
    ) -> Result<Progress, Error> {
        if let Some(former) = device.former_attachment_id {
            let has_ended = self.end_attachment(former, job, deadline).await?;
            return Ok(if has_ended { Progress::News(News::Ended) } else { Progress::Waiting });
        }
        match device.attachment_id {
            None if device.detaching => Ok(Progress::News(News::Detached)),
            None if instance.is_reimaged(device) => self.reimage(instance, volume_id, job, deadline).await,
            None => self.reserve_again(volume_id, (job, index), deadline).await,
            Some(id) if device.detaching => {
                let has_ended = self.end_attachment(id, job, deadline).await?;
                Ok(if has_ended { Progress::News(News::Detached) } else { Progress::Waiting })
            }
            Some(id) if instance.keeps_from_hosts(device) => {
                match self.free(id, volume_id, job, deadline).await? {
                    Progress::Done if instance.is_reimaged(device) => {
                        self.reimage(instance, volume_id, job, deadline).await
                    }
                    progress => Ok(progress),
                }
            }
            Some(id) => self.confirm(id, device, job, deadline).await,
        }
    }

    /// Reserves a volume once it has been created.
    async fn reserve_again(
        &self,
        volume_id: Id,
        (job, index): (&VolumeJob, usize),
        deadline: Option<Deadline>,
    ) -> Result<Progress, Error> {
        let (cinder, caller) = (self.cinder()?, as_service(&job.caller));
        let lost = |problem: String| Ok(Progress::News(News::Lost(problem)));
        let volume = match cinder.volume(volume_id, &caller, deadline).await {
            Ok(volume) => volume,
            Err(cinder::Error::NotFound { .. }) => return lost(format!("volume {volume_id} is gone")),
            Err(error) => return Err(error.into()),
        };
        match volume.status {
            "CREATING" => return Ok(Progress::Waiting),
            "ERROR" => return lost(format!("volume {volume_id} is in ERROR: {}", volume.last_failure)),
            _ => {}
        }
        // One that has lapsed is not found again by its request.
        let request_id = format!("{}-{index}-{}", job.id, job.attempts);
        let new = reservation(volume_id, job.instance_id, request_id);
        match cinder.create_attachment(&new, &caller, deadline).await {
            Ok(attachment) => Ok(Progress::News(News::Reserved(attachment.id))),
            Err(cinder::Error::Refused { problem, .. }) => lost(problem),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps a volume reserved that no host may use. The attachment of a host is replaced first, and ends only then, so that
    /// nobody else gets the volume in between.
    async fn free(
        &self,
        id: Id,
        volume_id: Id,
        job: &VolumeJob,
        deadline: Option<Deadline>,
    ) -> Result<Progress, Error> {
        let (cinder, caller) = (self.cinder()?, as_service(&job.caller));
        let attachment = cinder.attachment(id, &caller, deadline).await;
        if is_gone(&attachment) {
            return Ok(Progress::News(News::Lapsed));
        }
        if attachment?.status == AttachmentStatus::Reserved {
            cinder.confirm_attachment(id, &caller, deadline).await?;
            return Ok(Progress::Done);
        }
        let new = reservation(volume_id, job.instance_id, format!("{id}-next"));
        let next = cinder.create_attachment(&new, &caller, deadline).await?;
        Ok(Progress::News(News::Replaced(next.id)))
    }

    /// Confirms a reservation, so that it does not lapse. Where nothing runs instances, the volume counts as used at once.
    async fn confirm(
        &self,
        id: Id,
        device: &BlockDevice,
        job: &VolumeJob,
        deadline: Option<Deadline>,
    ) -> Result<Progress, Error> {
        let (cinder, caller) = (self.cinder()?, as_service(&job.caller));
        let attachment = cinder.attachment(id, &caller, deadline).await;
        if is_gone(&attachment) {
            return Ok(Progress::News(News::Lapsed));
        }
        let mut status = attachment?.status;
        if status == AttachmentStatus::Reserved && self.compute == Compute::Agent {
            cinder.confirm_attachment(id, &caller, deadline).await?;
        }
        if status == AttachmentStatus::Reserved && self.compute == Compute::None {
            let (connector, device) = (NO_HOST.to_owned(), device.mapping.device_name.clone());
            status = cinder.connect_attachment(id, connector, device, &caller, deadline).await?.status;
        }
        if status == AttachmentStatus::Attaching && self.compute == Compute::None {
            cinder.complete_attachment(id, &caller, deadline).await?;
        }
        Ok(Progress::Done)
    }

    /// Writes what became of a disk.
    async fn record(
        &self,
        job: &VolumeJob,
        volume_id: Id,
        seen: &BlockDevice,
        news: News,
        deadline: Option<Deadline>,
    ) -> Result<(), Error> {
        let decide = || self.decide_news(job, volume_id, seen, &news);
        let decided = self.store.change(job.instance_id, &Scope::internal(INSTANCES), decide).await?;
        if let (News::Reserved(id) | News::Replaced(id), Decided::Nothing(())) = (&news, decided) {
            // The instance was deleted, or the volume detached, in the meantime.
            self.end_attachment(*id, job, deadline).await?;
        }
        Ok(())
    }

    async fn decide_news(
        &self,
        job: &VolumeJob,
        volume_id: Id,
        seen: &BlockDevice,
        news: &News,
    ) -> Result<Decided<()>, Error> {
        let before = self.store.instance(job.instance_id, &Scope::internal(INSTANCES)).await?;
        let ends_rebuild = matches!(news, News::Reimaged | News::NotReimaged(_));
        let is_seen = |before: &Instance| {
            before.block_devices.contains(seen) && (!ends_rebuild || before.is_reimaged(seen))
        };
        let Some(before) = before.filter(is_seen) else { return Ok(Decided::Nothing(())) };
        let entry = Entry {
            operation: match news {
                _ if ends_rebuild => Operation::Rebuild,
                _ if seen.detaching => Operation::DetachVolume,
                _ => Operation::AttachVolume,
            },
            step: if matches!(news, News::Lost(_) | News::NotReimaged(_)) {
                Step::Failed
            } else {
                Step::Finished
            },
            actor: job.caller.actor.clone(),
            time: before.later(clock::now()),
            image_id: None,
            volume_id: Some(volume_id),
            message: news.message(),
            request: None,
        };
        let after = after(&before, seen, news);
        // This job goes on with what is to be done for it.
        let change = self.to_store(&before, Some(after), entry, &job.caller);
        Ok(Decided::Change(Box::new(Change { volumes: None, ..change })))
    }
}

/// The instance once something became of one of its disks. One that cannot have a volume that was created for it, or that it
/// is to start with, is in ERROR and keeps the volume, which is deleted with it.
fn after(before: &Instance, seen: &BlockDevice, news: &News) -> Instance {
    match news {
        News::Reimaged => return before.finish(),
        News::NotReimaged(_) => return before.fail(Arc::clone(&before.record)),
        _ => {}
    }
    let is_needed = before.state == State::Building || seen.mapping.is_new_volume();
    let (attachment_id, is_kept) = match news {
        News::Reserved(id) | News::Replaced(id) => (Some(*id), true),
        News::Ended | News::Reimaged | News::NotReimaged(_) => (seen.attachment_id, true),
        News::Lapsed => (None, true),
        News::Detached => (None, false),
        News::Lost(_) => (None, is_needed),
    };
    let former_attachment_id = seen.attachment_id.filter(|_| matches!(news, News::Replaced(_)));
    let changed = BlockDevice { attachment_id, former_attachment_id, ..seen.clone() };
    let devices = before.block_devices.iter().filter_map(|device| match device {
        device if device != seen => Some(device.clone()),
        _ => is_kept.then(|| changed.clone()),
    });
    let state = if matches!(news, News::Lost(_)) && is_needed { State::Error } else { before.state };
    Instance { state, block_devices: devices.collect(), ..before.clone() }
}
