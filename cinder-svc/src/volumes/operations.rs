//! What is done with existing volumes. Each action reads the volume, decides as a pure function what becomes of it, and
//! writes that in one transaction. Actions on the same volume queue up for that.

use std::sync::Arc;

use chassis::{caller::Caller, scope::Scope, turns::Decided};
use chrono::{DateTime, Utc};
use common::{
    clock,
    id::Id,
    image::{Image, Properties},
    violations::Violations,
    volume_image_metadata::{VolumeImageMetadata, edited},
};

use peers::glance::jobs::Job;

use super::VolumeApi;
use crate::{
    error::Error,
    quota::Growth,
    store::{Change, Deletion, EarlierAttempt, Entry},
    volume::{
        Operation, Record, Status, Step, Storage, Target, Task, TaskState, Volume, access::SNAPSHOTS, checks,
    },
};

mod action;
mod report;
mod upload;

pub use action::{Action, ActionRequest, ActionResult, VolumeUpdate};
pub use report::{Outcome, Report};
pub use upload::{Upload, Uploaded};

use action::property_update;

/// How often an action is decided: again once the image that it needs has been fetched.
const TRIES: usize = 2;

/// Why a volume is not changed.
#[derive(Debug)]
enum NoChange {
    /// It is already as it was requested.
    Done(Box<Volume>),
    /// An earlier attempt of the request has changed it.
    Repeated(Box<EarlierAttempt>),
    /// An image must be fetched first, at a revision: nobody waits for glance-svc while a volume is being changed.
    NeedsImage(Id, i64),
}

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

type Decision = Result<Decided<Change, NoChange>, Error>;

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
        let now = before.later(clock::now());
        if let Action::ReportState(report) = &request.action {
            return Self::decide_report(request, report, &before);
        }
        request.action.check(&before)?;
        let plan = match &request.action {
            Action::Update(update) => Plan::Now(Box::new(update.apply(&before))),
            Action::UpdateImageProperties { set, remove, purge } => {
                let metadata = edited(&before.record.metadata, &property_update(set, remove, *purge))?;
                let record = Arc::new(Record::new(metadata));
                Plan::Now(Box::new(Volume { record, ..before.clone() }))
            }
            Action::Extend { size_gib } => self.extend(&before, *size_gib).await?,
            Action::Retype { volume_type } => self.retype(&before, volume_type, request.caller).await?,
            Action::Reimage { image_id, image_revision, image_properties, .. } => match image {
                Some(image) => self.reimage(&before, image, image_properties)?,
                None => return Ok(Decided::Nothing(NoChange::NeedsImage(*image_id, *image_revision))),
            },
            Action::Revert { snapshot_id } => self.revert(&before, *snapshot_id).await?,
            Action::UploadToImage(upload) => self.upload(request, &before, upload)?,
            Action::WriteData => self.other_data(),
            Action::Delete { .. } | Action::ReportState(_) => Plan::Delete,
        };
        let reverted_to = match request.action {
            Action::Revert { snapshot_id } => Some(snapshot_id),
            _ => None,
        };
        if matches!(&plan, Plan::Now(after) if **after == before) {
            return Ok(Decided::Nothing(NoChange::Done(Box::new(before))));
        }
        let (mut growth, mut job, mut left_out) = (None, None, Vec::new());
        match &plan {
            Plan::Task { growth: more, .. } => growth = Some((self.quota, more.clone())),
            Plan::Upload { job: needed, left_out: names } => {
                job = Some((**needed).clone());
                left_out.clone_from(names);
            }
            Plan::Now(_) | Plan::Delete => {}
        }
        let operation = request.action.operation();
        let (after, step) = self.carry_out(plan, request, &before, now);
        let entry = Entry::new(operation, step, request.caller.actor.clone(), now);
        let image_id = job.as_ref().map(|job| job.image_id);
        let entry = Entry { request: request.retry_key(), image_id, left_out, ..entry };
        let change = Self::change(before, after, entry, &request.action);
        Ok(Decided::Change(Box::new(Change { growth, reverted_to, job, ..change })))
    }

    /// The volume once a plan is carried out: at once, unless somebody has to do something with its data first.
    fn carry_out(
        &self,
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
        if self.storage == Storage::None && !waits_for_glance {
            (begun.finish(), Step::Finished)
        } else {
            (Some(begun), Step::Started)
        }
    }

    /// What a report changes, if the volume is still as it saw it.
    fn decide_report(request: &ActionRequest<'_>, report: &Report, before: &Volume) -> Decision {
        let now = before.later(clock::now());
        let after = report.apply(before, now)?;
        if after.as_ref() == Some(before) && report.message.is_empty() {
            return Ok(Decided::Nothing(NoChange::Done(Box::new(before.clone()))));
        }
        let outcome = report.outcome(before);
        let task = before.task_state().filter(|_| outcome.is_some());
        let step = if outcome == Some(Outcome::Failed) { Step::Failed } else { Step::Finished };
        let operation = task.map_or(Operation::ReportState, TaskState::operation);
        let entry = Entry::new(operation, step, request.caller.actor.clone(), now);
        let entry = Entry { message: report.message.clone(), request: request.retry_key(), ..entry };
        Ok(Decided::Change(Box::new(Self::change(before.clone(), after, entry, &request.action))))
    }

    /// A change as the store takes it.
    fn change(before: Volume, after: Option<Volume>, entry: Entry, action: &Action) -> Change {
        let after = after.map(|after| Volume { update_time: entry.time, ..after });
        let deletion = match action {
            Action::Delete { cascade, .. } => Some(Deletion { cascade: *cascade }),
            _ => None,
        };
        Change { deletion, ..Change::new(before, after, entry) }
    }

    /// The volume, if it has the etag that the request names, or what an earlier attempt of the request did.
    async fn volume_before(
        &self,
        request: &ActionRequest<'_>,
        scope: &Scope,
    ) -> Result<Result<Volume, NoChange>, Error> {
        let id = request.volume_id;
        // First the volume, then its history: an attempt that ends in between makes another revision of it, which is
        // noticed when the change is written.
        let volume = self.store.volume(id, scope).await?;
        if let Some((key, allowed)) = request.retry_key().zip(scope.allowed())
            && let Some(earlier) = self.store.earlier(id, &key.id, &allowed).await?
        {
            if earlier.entry.request.as_ref() != Some(&key) {
                return Err(Error::RequestIdTaken(key.id));
            }
            return Ok(Err(NoChange::Repeated(Box::new(earlier))));
        }
        let volume = volume.ok_or(Error::VolumeNotFound(id))?;
        volume.check_etag(&request.etag)?;
        Ok(Ok(volume))
    }

    /// A larger volume.
    async fn extend(&self, before: &Volume, size_gib: i64) -> Result<Plan, Error> {
        let requested = i32::try_from(size_gib).unwrap_or(i32::MAX);
        if requested <= before.size_gib {
            return Err(Error::NotLarger { id: before.id, size_gib: before.size_gib, requested });
        }
        let id = before.volume_type_id.to_string();
        if let Some(volume_type) = self.store.volume_type(&id).await? {
            checks::check_size_for_type(&volume_type, requested)?;
        }
        let growth = Growth::extension(before.size_gib, requested, &before.volume_type);
        let target = Target { size_gib: Some(requested), ..Target::default() };
        Ok(Plan::Task { target, image: None, snapshot_id: None, growth })
    }

    /// A volume of another type.
    async fn retype(&self, before: &Volume, name: &str, caller: &Caller) -> Result<Plan, Error> {
        let volume_type = self.requested_volume_type(name, caller).await?;
        if volume_type.id == before.volume_type_id {
            return Err(Error::SameVolumeType { id: before.id, volume_type: volume_type.name.clone() });
        }
        checks::check_size_for_type(&volume_type, before.size_gib)?;
        let multiattach = volume_type.multiattach();
        if multiattach != before.multiattach && !before.attachments.is_empty() {
            return Err(Error::MultiattachInUse { id: before.id, volume_type: volume_type.name.clone() });
        }
        let target = Target {
            volume_type: Some((volume_type.id, volume_type.name.as_str().into())),
            multiattach: Some(multiattach),
            ..Target::default()
        };
        let growth = Growth::retype(before.size_gib, &volume_type.name);
        Ok(Plan::Task { target, image: None, snapshot_id: None, growth })
    }

    /// A volume with data that did not come from an image, and remembers none.
    fn other_data(&self) -> Plan {
        let record = Record::new(VolumeImageMetadata::default());
        let target = Target { record: Some(Arc::new(record)), data_id: self.new_data(), ..Target::default() };
        Plan::Task { target, image: None, snapshot_id: None, growth: Growth::default() }
    }

    /// A volume with the data of an image, and everything that it remembers of it: what was edited on the volume goes
    /// with the data it described.
    fn reimage(&self, before: &Volume, image: &Image, added: &Properties) -> Result<Plan, Error> {
        checks::check_image(image)?;
        checks::check_size_for_image(image, before.size_gib)?;
        self.check_format(image)?;
        let record = Record::new(checks::metadata_of_image(image, added)?);
        let (record, data_id) = (Some(Arc::new(record)), self.new_data());
        let target = Target { record, bootable: Some(true), data_id, ..Target::default() };
        let image = Some((image.id, image.revision));
        Ok(Plan::Task { target, image, snapshot_id: None, growth: Growth::default() })
    }

    /// A volume with the data of its latest snapshot, and with what it remembered then.
    async fn revert(&self, before: &Volume, snapshot_id: Id) -> Result<Plan, Error> {
        let snapshot = self.store.snapshot(snapshot_id, &Scope::internal(SNAPSHOTS)).await?;
        let snapshot = snapshot.filter(|snapshot| snapshot.volume_id == before.id);
        let snapshot = snapshot.ok_or(Error::NoSuchSnapshot(snapshot_id))?;
        let latest = self.store.latest_snapshot(before.id).await?.map_or(snapshot_id, |latest| latest.id);
        snapshot.check_reverted_to(before, latest)?;
        let target = Target {
            record: Some(Arc::clone(&snapshot.record)),
            bootable: Some(snapshot.bootable),
            data_id: self.new_data(),
            ..Target::default()
        };
        Ok(Plan::Task { target, image: None, snapshot_id: Some(snapshot_id), growth: Growth::default() })
    }
}

impl Action {
    /// Refuses a volume whose status does not allow it.
    fn check(&self, before: &Volume) -> Result<(), Error> {
        match self {
            Self::Delete { force: true, .. } => Ok(()),
            Self::Reimage { reimage_reserved: true, .. } => {
                self.operation().check(before, Some(Status::Reserved))
            }
            Self::UploadToImage(Upload { force: true, .. }) => {
                self.operation().check(before, Some(Status::InUse))
            }
            _ => self.operation().check(before, None),
        }
    }
}
