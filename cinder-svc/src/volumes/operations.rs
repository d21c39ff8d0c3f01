//! What is done with existing volumes. Each action reads the volume, decides as a pure function what becomes of it, and
//! writes that in one transaction. Actions on the same volume queue up for that.

use std::sync::Arc;

use chassis::{scope::Scope, turns::Decided};
use chrono::{DateTime, Utc};
use common::{clock, id::Id, image::Image, violations::Violations, volume_image_metadata::edited};
use peers::glance::jobs::Job;

use super::VolumeApi;
use crate::{
    error::Error,
    quota::Growth,
    store::{Change, Deletion, Entry},
    volume::{Record, Step, Storage, Target, Task, Volume},
};

mod action;
mod before;
mod extend;
mod replace;
mod report;
mod retype;
mod upload;

pub use action::{Action, ActionRequest, ActionResult, VolumeUpdate};
pub use report::{Outcome, Report};
pub use upload::{Upload, Uploaded};

use action::property_update;
use before::{Decision, NoChange};

/// How often an action is decided: again once the image that it needs has been fetched.
const TRIES: usize = 2;

/// What becomes of a volume.
#[derive(Debug)]
enum Plan {
    /// It is like this at once.
    Now(Box<Volume>),
    /// It is like that once that is done with its data.
    Task {
        target: Target,
        /// The image to copy, at a revision.
        image: Option<(Id, i64)>,
        /// The snapshot to copy.
        snapshot_id: Option<Id>,
        /// What more its project will use.
        growth: Growth,
    },
    /// An image is made from it, once glance-svc has registered that; it does not have these properties of the volume.
    Upload { job: Box<Job>, left_out: Vec<String> },
    /// Nothing is left of it but its history, once the data is gone.
    Delete,
}

impl VolumeApi {
    /// Does something with a volume. `problems` are those that the edge found when it read the request; together with
    /// them, everything else that is wrong with it is reported.
    pub async fn run_action(
        &self,
        request: &ActionRequest<'_>,
        problems: Violations,
    ) -> Result<ActionResult, Error> {
        request.check(problems)?;
        let (scope, mut image) = (request.action.scope(request.caller)?, None);
        let volume_id = request.volume_id;
        for _ in 0..TRIES {
            let decide = || self.decide(request, &scope, image.as_deref());
            match self.store.change(volume_id, &scope, decide).await? {
                Decided::Change(mut change) => {
                    if let (Some(job), Action::UploadToImage(upload)) = (change.job.take(), &request.action) {
                        return Box::pin(self.complete_upload(*change, job, request, upload)).await;
                    }
                    let volume = change.after.map(|after| Volume { revision: after.revision + 1, ..after });
                    self.announce_task(volume.as_ref());
                    return Ok(ActionResult { volume_id, volume, uploaded: None });
                }
                Decided::Nothing(NoChange::Done(volume)) => {
                    return Ok(ActionResult { volume_id, volume: Some(*volume), uploaded: None });
                }
                Decided::Nothing(NoChange::Repeated(earlier)) => {
                    if let Action::UploadToImage(upload) = &request.action {
                        return Box::pin(self.repeat_upload(*earlier, request, upload)).await;
                    }
                    let volume = self.store.volume(volume_id, &scope).await?;
                    return Ok(ActionResult { volume_id, volume, uploaded: None });
                }
                Decided::Nothing(NoChange::NeedsImage(id, revision)) => {
                    image = Some(self.image(id, revision, request.caller, request.deadline).await?);
                }
            }
        }
        Err(Error::Contended { kind: "volume", id: volume_id })
    }

    /// What becomes of the volume, given the image, if it has been fetched.
    async fn decide(&self, request: &ActionRequest<'_>, scope: &Scope, image: Option<&Image>) -> Decision {
        let before = match self.volume_before(request, scope).await? {
            Ok(before) => before,
            Err(no_change) => return Ok(Decided::Nothing(no_change)),
        };
        if let Action::ReportState(report) = &request.action {
            return Self::decide_report(request, report, &before);
        }
        request.action.check(&before)?;
        if request.action.operation().task().is_some() {
            self.check_storage("volume", before.id, before.storage)?;
        }
        Ok(match self.plan(request, &before, image).await? {
            Ok(Plan::Now(after)) if *after == before => Decided::Nothing(NoChange::Done(after)),
            Ok(plan) => Decided::Change(Box::new(self.change(request, before, plan))),
            Err(no_change) => Decided::Nothing(no_change),
        })
    }

    /// What an action that is possible makes of the volume.
    async fn plan(
        &self,
        request: &ActionRequest<'_>,
        before: &Volume,
        image: Option<&Image>,
    ) -> Result<Result<Plan, NoChange>, Error> {
        Ok(Ok(match &request.action {
            Action::Update(update) => Plan::Now(Box::new(update.apply(before))),
            Action::UpdateImageProperties { set, remove, purge } => {
                let metadata = edited(&before.record.metadata, &property_update(set, remove, *purge))?;
                let record = Arc::new(Record::new(metadata));
                Plan::Now(Box::new(Volume { record, ..before.clone() }))
            }
            Action::Extend { size_gib } => self.extend(before, *size_gib).await?,
            Action::Retype { volume_type } => self.retype(before, volume_type, request.caller).await?,
            Action::Reimage { image_id, image_revision, image_properties, .. } => match image {
                Some(image) => self.reimage(before, image, image_properties)?,
                None => return Ok(Err(NoChange::NeedsImage(*image_id, *image_revision))),
            },
            Action::Revert { snapshot_id } => self.revert(before, *snapshot_id).await?,
            Action::UploadToImage(upload) => self.upload(request, before, upload),
            Action::WriteData => Self::other_data(before),
            Action::Delete { .. } | Action::ReportState(_) => Plan::Delete,
        }))
    }

    /// The change that carries out a plan.
    fn change(&self, request: &ActionRequest<'_>, before: Volume, plan: Plan) -> Change {
        let now = before.later(clock::now());
        let (growth, job, left_out) = match &plan {
            Plan::Task { growth, .. } => (Some((self.quota, growth.clone())), None, Vec::new()),
            Plan::Upload { job, left_out } => (None, Some((**job).clone()), left_out.clone()),
            Plan::Now(_) | Plan::Delete => (None, None, Vec::new()),
        };
        let (after, step) = Self::carry_out(plan, request, &before, now);
        let operation = request.action.operation();
        let entry = Entry {
            request: request.retry_key(),
            image_id: job.as_ref().map(|job| job.image_id),
            left_out,
            ..Entry::new(operation, step, request.caller.actor.clone(), now)
        };
        let reverted_to = match request.action {
            Action::Revert { snapshot_id } => Some(snapshot_id),
            _ => None,
        };
        Change { growth, reverted_to, job, ..Self::to_store(before, after, entry, &request.action) }
    }

    /// The volume once a plan is carried out: at once, unless somebody has to do something with its data first.
    fn carry_out(
        plan: Plan,
        request: &ActionRequest<'_>,
        before: &Volume,
        now: DateTime<Utc>,
    ) -> (Option<Volume>, Step) {
        let waits_for_glance = matches!(plan, Plan::Upload { .. });
        let (target, image, snapshot_id) = match plan {
            Plan::Now(after) => return (Some(*after), Step::Finished),
            Plan::Task { target, image, snapshot_id, .. } => (target, image, snapshot_id),
            Plan::Upload { job, .. } => (Target::default(), Some((job.image_id, 0)), None),
            Plan::Delete => (Target::default(), None, None),
        };
        let Some(state) = request.action.operation().task() else {
            return (Some(before.clone()), Step::Finished);
        };
        let begun = before.begin(Task {
            state,
            former_status: before.status,
            target,
            image,
            snapshot_id,
            source_volume_id: None,
            caller: request.caller.clone(),
            create_time: now,
        });
        if before.storage == Storage::None && !waits_for_glance {
            (begun.finish(), Step::Finished)
        } else {
            (Some(begun), Step::Started)
        }
    }

    /// A change as the store takes it.
    fn to_store(before: Volume, after: Option<Volume>, entry: Entry, action: &Action) -> Change {
        let after = after.map(|after| Volume { update_time: entry.time, ..after });
        let deletion = match action {
            Action::Delete { cascade, .. } => Some(Deletion { cascade: *cascade }),
            _ => None,
        };
        Change { deletion, ..Change::new(before, after, entry) }
    }
}
