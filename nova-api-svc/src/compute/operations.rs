//! What is done with existing instances. Each action reads the instance, decides as a pure function what becomes of
//! it, and writes that in one transaction. Actions on the same instance queue up for that.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chassis::caller::Caller;
use common::{clock, id::Id, violations::Violations};
use peers::glance::jobs::{ImageAction, Job};

use super::ComputeApi;
use crate::{
    error::Error,
    instance::{
        BlockDevices, Compute, Instance, Needs, Operation, Record, RecordChange, Scope, Step,
        images::orphaned_image,
        transitions::{confirm_resize, shelved_image, unshelve},
    },
    quota::Quota,
    store::{Change, Decided, Entry, VolumeJob},
};

mod action;
mod before;
mod edit;
mod jobs;
mod outcome;
mod rebuild;
mod report;
mod resize;
mod snapshot;
mod volume;

pub use action::{Action, ActionRequest, ActionResult};
pub use report::{Outcome, Report};
pub use volume::NewVolumeAttachment;

use before::{Decision, NoChange};

/// How often an action asks glance-svc again because the image of its instance has been replaced in the meantime.
const TRIES: usize = 10;

/// What glance-svc or cinder-svc answered before an action takes its turn: nobody waits for them while an instance is being
/// changed.
#[derive(Debug)]
enum Source {
    /// What an instance is to be rebuilt from.
    Rebuild(rebuild::Source),
    /// Images of a kernel and a ramdisk, which exist.
    Boot(BTreeSet<Id>),
    /// What the image at a revision requires, if there is such an image.
    Needs(Id, i64, Option<Needs>),
    /// A volume that is reserved.
    Volume(volume::Reserved),
}

/// What an action will change.
#[derive(Debug, Default)]
struct Plan {
    record_change: RecordChange,
    /// What glance-svc must do before the task can be done.
    job: Option<Job>,
    /// The project's quota, if the instance will use more.
    quota: Option<Quota>,
    /// The disks that the instance gets, and the volume for which they change.
    devices: Option<(Id, BlockDevices)>,
    /// What cinder-svc must do.
    volumes: Option<VolumeJob>,
}

/// How an action went.
enum Ran {
    /// It has changed the instance.
    Changed(Box<Change>),
    /// It has not, since this is the answer.
    Answered(Box<ActionResult>),
}

impl Plan {
    /// A change of the record alone.
    fn to(target: Record) -> Self {
        Self {
            record_change: RecordChange { target: Some(Arc::new(target)), ..RecordChange::default() },
            ..Self::default()
        }
    }

    /// Back from the image that the instance was shelved to.
    fn unshelve(record: &Record) -> Self {
        let mut plan = Self::to(unshelve(record));
        plan.record_change.image_id = shelved_image(record);
        plan
    }
}

impl ComputeApi {
    /// Does something with an instance. `problems` are those that the edge found when it read the request; together
    /// with them, everything else that is wrong with it is reported.
    pub async fn run_action(
        &self,
        request: &ActionRequest<'_>,
        problems: Violations,
    ) -> Result<ActionResult, Error> {
        request.check(problems)?;
        let (scope, mut source) = (request.action.scope(request.caller)?, None);
        let done = self.run_checked(request, &scope, &mut source).await;
        if !matches!(done, Ok(Ran::Changed(_))) {
            self.release_volume(request, source.as_ref()).await;
        }
        match done? {
            Ran::Changed(change) => self.complete(*change, request, &scope).await,
            Ran::Answered(result) => Ok(*result),
        }
    }

    async fn run_checked(
        &self,
        request: &ActionRequest<'_>,
        scope: &Scope,
        source: &mut Option<Source>,
    ) -> Result<Ran, Error> {
        for _ in 0..TRIES {
            let decide = || self.decide(request, scope, source.as_ref());
            match self.store.change(request.instance_id, scope, decide).await? {
                Decided::Change(change) => return Ok(Ran::Changed(change)),
                Decided::Nothing(NoChange::Done(result)) => return Ok(Ran::Answered(result)),
                Decided::Nothing(NoChange::Repeated(earlier)) => {
                    let result = self.repeat(request, scope, *earlier).await?;
                    return Ok(Ran::Answered(Box::new(result)));
                }
                Decided::Nothing(NoChange::NeedsPeer(before)) => {
                    *source = Some(self.source(request, &before).await?);
                }
            }
        }
        Err(Error::Contended(request.instance_id))
    }

    /// What becomes of the instance, given what glance-svc answered, if it has been asked.
    async fn decide(&self, request: &ActionRequest<'_>, scope: &Scope, source: Option<&Source>) -> Decision {
        let before = match self.instance_before(request, scope).await? {
            Ok(before) => before,
            Err(no_change) => return Ok(Decided::Nothing(no_change)),
        };
        request.action.operation().check(&before)?;
        let plan = match &request.action {
            Action::Snapshot { name, metadata } => Some(self.snapshot(request, &before, name, metadata)),
            Action::Rebuild { image_id, auto_disk_config } => {
                self.rebuild(request, &before, source, (*image_id, *auto_disk_config))?
            }
            Action::Resize { flavor_id } => self.resize(&before, flavor_id, source).await?,
            Action::ConfirmResize => Some(Plan::to(confirm_resize(&before.record))),
            Action::RevertResize => Some(Plan::to(Arc::unwrap_or_clone(self.former_record(&before).await?))),
            Action::UpdateImageProperties { set, remove } => {
                let plan = edit::plan(&before, set, remove, source)?;
                if plan.as_ref().is_some_and(|plan| plan.record_change.changes_nothing(&before)) {
                    return Ok(Decided::Nothing(NoChange::done(before)));
                }
                plan
            }
            Action::Shelve => Some(self.shelve(request, &before)),
            Action::Unshelve => Some(Plan::unshelve(&before.record)),
            Action::AttachVolume(new) => self.attach_volume(request, &before, new, source)?,
            Action::DetachVolume { volume_id } => {
                let Some(plan) = self.detach_volume(request, &before, *volume_id)? else {
                    return Ok(Decided::Nothing(NoChange::done(before)));
                };
                Some(plan)
            }
            Action::Delete => Some(volume::delete(request, &before)),
            Action::ReportState(report) => return self.decide_report(request, report, before).await,
        };
        Ok(match plan {
            Some(plan) => Decided::Change(Box::new(self.change(request, &before, plan))),
            None => Decided::Nothing(NoChange::NeedsPeer(Box::new(before))),
        })
    }

    /// Asks glance-svc for what an action needs to know of an instance as it is, or cinder-svc for the volume that it needs.
    async fn source(&self, request: &ActionRequest<'_>, before: &Instance) -> Result<Source, Error> {
        match &request.action {
            Action::Rebuild { image_id, auto_disk_config } => {
                let source = self.rebuild_source(request, before, *image_id, *auto_disk_config).await?;
                Ok(Source::Rebuild(source))
            }
            Action::UpdateImageProperties { set, remove } => {
                Ok(Source::Boot(self.boot_images(request, before, set, remove).await?))
            }
            Action::AttachVolume(new) => Ok(Source::Volume(self.reserve_volume(request, new).await?)),
            _ => Ok(self.image_needs(request, before).await),
        }
    }

    /// The change that carries out a plan: all of it at once, unless somebody has to do something first.
    fn change(&self, request: &ActionRequest<'_>, before: &Instance, plan: Plan) -> Change {
        let operation = request.action.operation();
        let (now, image_id) = (before.later(clock::now()), plan.record_change.image_id);
        let is_awaited = self.compute == Compute::Agent || plan.job.is_some() || plan.volumes.is_some();
        let begin = |record_change| before.begin(operation, record_change, request.caller, now);
        let (volume_id, devices) = plan.devices.unzip();
        let (after, step) = match plan.record_change {
            _ if operation.deletes() => (None, Step::Finished),
            _ if let Some(block_devices) = devices => {
                let detaches = operation == Operation::DetachVolume;
                let step = if detaches { Step::Started } else { Step::Finished };
                (Some(Instance { block_devices, ..before.clone() }), step)
            }
            record_change if operation.is_immediate() => (Some(before.with(record_change)), Step::Finished),
            record_change if is_awaited => (Some(begin(record_change)), Step::Started),
            record_change => (Some(begin(record_change).finish()), Step::Finished),
        };
        let entry = Entry {
            operation,
            step,
            actor: request.caller.actor.clone(),
            time: now,
            image_id,
            volume_id,
            message: String::new(),
            request: request.retry_key(),
        };
        let job = plan.job.or_else(|| self.orphan_job(&entry, before, after.as_ref(), request.caller));
        let change = self.to_store(before, after, entry, request.caller);
        Change { job, quota: plan.quota, volumes: plan.volumes.or(change.volumes), ..change }
    }

    /// A change as the store takes it, on behalf of `caller`. Volumes leave the host, or come back to it, with their instance.
    pub(super) fn to_store(
        &self,
        before: &Instance,
        after: Option<Instance>,
        entry: Entry,
        caller: &Caller,
    ) -> Change {
        let after = after.map(|after| Instance { compute: self.compute, update_time: entry.time, ..after });
        let moving = after.as_ref().filter(|after| after.moves_volumes(before));
        let volumes = moving.map(|after| self.attach_job(after.id, caller));
        Change { before: before.clone(), after, entry, job: None, done: None, quota: None, volumes }
    }

    /// The job of deleting the image that a change leaves orphaned. After a deletion of the instance, nobody waits for
    /// it: the next replica that looks for jobs does it.
    fn orphan_job(
        &self,
        entry: &Entry,
        before: &Instance,
        after: Option<&Instance>,
        caller: &Caller,
    ) -> Option<Job> {
        let orphan = orphaned_image(before, after, (entry.operation, entry.step))?;
        let lease = after.map_or(Duration::ZERO, |_| self.lease());
        let action = ImageAction::Delete { if_unfinished: orphan.may_be_finished, unregistered: None };
        Some(Job::new(orphan.image_id, before.id, action, caller, entry.time, lease))
    }
}
