//! Images made from volumes (Cinder, `os-volume_upload_image`): what glance-svc has to do for one is written together with
//! the task that waits for it, so that no crash loses it, makes it twice or leaves it behind.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    time::{Duration, Instant},
};

use chassis::{deadline::Deadline, scope::Scope, status::Failure as _, turns::Decided};
use common::{
    clock,
    id::Id,
    image::{NewImage, Properties, Visibility, inheritance::LeftOut, update},
    text,
    violations::Violations,
    volume_image_metadata::{ImageOfVolume, VolumeImageMetadata, image_from_volume},
};
use peers::glance::{
    self,
    jobs::{self, ImageAction, Job},
};
use serde::Serialize;

use super::{ActionRequest, ActionResult, Plan};
use crate::{
    error::Error,
    store::{Change, EarlierAttempt, Entry},
    volume::{Step, Storage, TaskState, Volume, VolumeFailure, access::VOLUMES},
    volumes::VolumeApi,
};

/// An image to be made from a volume. All of it identifies a retry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Upload {
    /// Its name.
    pub name: String,
    /// Format of the data; `raw` if empty.
    pub disk_format: String,
    /// Format of the container around it; `bare` if empty.
    pub container_format: String,
    /// Who may see it.
    pub visibility: Visibility,
    /// Whether it is protected from deletion.
    pub protected: bool,
    /// Properties in addition to those of the volume, or in their place.
    pub image_properties: Properties,
    /// Whether the volume may be in use.
    pub force: bool,
}

/// An image that was made from a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// Its id.
    pub image_id: Id,
    /// Properties of the volume that it does not have, with the reason.
    pub left_out: BTreeMap<String, LeftOut>,
}

impl Upload {
    /// Everything that is wrong with it.
    pub(super) fn violations(&self) -> Violations {
        let mut violations = Violations::default();
        violations.take("name", text::name(&self.name));
        if !["", "raw"].contains(&self.disk_format.as_str()) {
            violations.add("disk_format", "must be raw: cinder-svc does not convert data to other formats");
        }
        if !["", "bare"].contains(&self.container_format.as_str()) {
            violations.add("container_format", "must be bare");
        }
        violations.append(update::check(&self.image_properties, "image_properties"));
        violations
    }

    /// What the image inherits from what a volume remembers.
    fn inherited(&self, metadata: &VolumeImageMetadata, size_gib: i32) -> ImageOfVolume {
        image_from_volume(metadata, size_gib.into(), &self.image_properties)
    }
}

impl VolumeApi {
    /// The task of making an image from a volume, and what glance-svc has to do for it.
    pub(super) fn upload(&self, request: &ActionRequest<'_>, before: &Volume, upload: &Upload) -> Plan {
        let inherited = upload.inherited(&before.record.metadata, before.size_gib);
        let image = NewImage {
            snapshots: Vec::new(),
            name: upload.name.clone(),
            owner: before.project_id.clone(),
            visibility: upload.visibility,
            protected: upload.protected,
            min_ram: inherited.min_ram,
            min_disk: inherited.min_disk,
            disk_format: "raw".to_owned(),
            container_format: "bare".to_owned(),
            properties: inherited.properties,
            truncated: Vec::new(),
            whole_in: None,
        };
        let (id, action) = (Id::random(), ImageAction::Create(Box::new(image)));
        let job = Job::new(id, before.id, action, request.caller, clock::now(), self.job_lease());
        let left_out = inherited.left_out.into_keys().collect();
        Plan::Upload { job: Box::new(job), left_out }
    }

    /// What became of an upload that has just been begun: its image is registered now.
    pub(super) async fn complete_upload(
        &self,
        change: Change,
        job: Job,
        request: &ActionRequest<'_>,
        upload: &Upload,
    ) -> Result<ActionResult, Error> {
        let Change { before, .. } = change;
        let job = Job { revision: before.revision + 1, ..job };
        self.do_job(&job, request.deadline).await.map_err(|error| begun(&job, error))?;
        let left_out = upload.inherited(&before.record.metadata, before.size_gib).left_out;
        self.uploaded(before.id, Uploaded { image_id: job.image_id, left_out }).await
    }

    /// What became of an upload that an earlier attempt of the request has begun; whatever that left undone is done now.
    pub(super) async fn repeat_upload(
        &self,
        earlier: EarlierAttempt,
        request: &ActionRequest<'_>,
        upload: &Upload,
    ) -> Result<ActionResult, Error> {
        let id = request.volume_id;
        let scope = Scope::internal(VOLUMES);
        let Some(image_id) = earlier.entry.image_id else { return Err(Error::Corrupt(id)) };
        if let Some(job) = self.store.jobs().outbox.get(image_id).await?.filter(is_registration) {
            match self.store.jobs().outbox.claim(job.due(), self.job_lease()).await? {
                Some(job) => self.do_job(&job, request.deadline).await.map_err(|error| begun(&job, error))?,
                // Somebody else has just done it, or is about to.
                None => return Err(begun(&job, Error::Contended { kind: "volume", id })),
            }
        }
        let now = self.store.earlier(id, &request.request_id, &scope).await?;
        if let Some(problem) = now.and_then(|now| now.entry.image_problem) {
            return Err(Error::GlanceRefused { id: image_id, problem });
        }
        let past = self.store.volume_at(id, earlier.revision, &scope).await?;
        let (past, _) = past.ok_or(Error::VolumeNotFound(id))?;
        let inherited = upload.inherited(&past.record.metadata, past.attributes.size_gib);
        self.uploaded(id, Uploaded { image_id, left_out: inherited.left_out }).await
    }

    /// The result: the volume as it is now, and its image.
    async fn uploaded(&self, volume_id: Id, uploaded: Uploaded) -> Result<ActionResult, Error> {
        let volume = self.store.volume(volume_id, &Scope::internal(VOLUMES)).await?;
        self.announce_task(volume.as_ref());
        Ok(ActionResult { volume_id, volume, uploaded: Some(uploaded) })
    }

    /// Does jobs that nobody else is doing, for ever.
    pub async fn do_jobs(&self) -> Infallible {
        self.store.jobs().outbox.do_jobs(self.job_lease(), |job| self.do_found_job(job)).await
    }

    /// Does jobs that nobody else is doing and whose pause is over, oldest first; returns how many were tried.
    pub async fn do_due_jobs(&self) -> Result<usize, Error> {
        Ok(self.store.jobs().outbox.do_due_jobs(self.job_lease(), |job| self.do_found_job(job)).await?)
    }

    async fn do_found_job(&self, job: Job) {
        if let Err(error) = self.do_job(&job, None).await {
            let (image_id, volume_id) = (job.image_id.to_string(), job.resource_id.to_string());
            let (attempts, reason) = (job.attempts, error.describe().reason);
            let error = &error as &dyn std::error::Error;
            tracing::warn!(image_id, volume_id, attempts, reason, error, "an image job is left for later");
        }
    }

    /// How long a job that somebody has begun is left alone by others.
    fn job_lease(&self) -> Duration {
        jobs::lease(self.glance.timeout())
    }

    /// Does a job that was claimed, and ends the task that waits for it, if that needs no data. A job that fails for now
    /// is postponed.
    async fn do_job(&self, job: &Job, deadline: Option<Deadline>) -> Result<(), Error> {
        let end = Instant::now() + Deadline::share(deadline, self.glance.timeout());
        let done = match &job.action {
            ImageAction::Create(image) => Box::pin(self.register(job, image, end)).await,
            ImageAction::Delete { if_unfinished, unregistered } => {
                let unregistered = unregistered.as_deref();
                let deleted =
                    self.glance.delete_for_good(job.image_id, *if_unfinished, unregistered, &job.caller, end);
                match Box::pin(deleted).await {
                    Ok(_) => self.store.end_job(job, None).await,
                    Err(error) => Err(error.into()),
                }
            }
        };
        self.store.jobs().outbox.tried(job.due(), &done).await;
        done
    }

    /// Registers an image, whose data is uploaded by whoever keeps that of the volume.
    async fn register(&self, job: &Job, image: &NewImage, end: Instant) -> Result<(), Error> {
        let left = end.saturating_duration_since(Instant::now());
        match self.glance.create(job.image_id, image, &job.caller, left).await {
            Ok(()) => self.end_upload(job, None).await,
            Err(glance::Error::Refused { id, problem }) => {
                self.end_upload(job, Some(&problem)).await?;
                Err(Error::GlanceRefused { id, problem })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the job of registering an image, and together with it the task that waits for the image: because of a problem,
    /// or because there is no data that could be uploaded.
    async fn end_upload(&self, job: &Job, problem: Option<&str>) -> Result<(), Error> {
        let decide = || self.decide_end_of_upload(job, problem);
        let decided = self.store.change(job.resource_id, &Scope::internal(VOLUMES), decide).await?;
        match decided {
            Decided::Change(_) => Ok(()),
            Decided::Nothing(()) => self.store.end_job(job, problem).await,
        }
    }

    async fn decide_end_of_upload(
        &self,
        job: &Job,
        problem: Option<&str>,
    ) -> Result<Decided<Change, ()>, Error> {
        let found = self.store.volume(job.resource_id, &Scope::internal(VOLUMES)).await?;
        let ends = |volume: &Volume| {
            volume.uploads_to() == Some(job.image_id)
                && (problem.is_some() || volume.storage == Storage::None)
        };
        let Some(before) = found.filter(ends) else { return Ok(Decided::Nothing(())) };
        let now = before.later(clock::now());
        let (after, step) = match problem {
            None => (before.finish(), Step::Finished),
            Some(problem) => {
                let failure = VolumeFailure {
                    task_state: Some(TaskState::Uploading),
                    reason: "IMAGE_REFUSED".to_owned(),
                    message: problem.to_owned(),
                    create_time: now,
                };
                (Some(before.fail(failure)), Step::Failed)
            }
        };
        let after = after.map(|after| Volume { update_time: now, ..after });
        let entry = Entry::new(TaskState::Uploading.operation(), step, job.caller.actor.clone(), now);
        let message = problem.unwrap_or_default().to_owned();
        let entry = Entry { image_id: Some(job.image_id), message, ..entry };
        let done = Some((job.clone(), problem.map(str::to_owned)));
        Ok(Decided::Change(Box::new(Change { done, ..Change::new(before, after, entry) })))
    }
}

impl Volume {
    /// The image that is being made from it.
    #[must_use]
    pub(crate) fn uploads_to(&self) -> Option<Id> {
        let task = self.task.as_ref().filter(|task| task.state == TaskState::Uploading)?;
        task.image.map(|(id, _)| id)
    }
}

/// Whether a job registers an image.
fn is_registration(job: &Job) -> bool {
    matches!(job.action, ImageAction::Create(_))
}

/// Why an upload that has begun is not complete.
fn begun(job: &Job, error: Error) -> Error {
    if !error.is_temporary() {
        return error;
    }
    Error::Begun { id: job.resource_id, image_id: job.image_id, cause: Box::new(error) }
}
