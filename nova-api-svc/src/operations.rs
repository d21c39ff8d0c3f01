//! What is done with instances that are there. Each operation reads the instance, decides as a pure function what
//! becomes of it, and writes that in one transaction, if nobody else was faster.

use std::{collections::BTreeMap, sync::Arc};

use common::{caller::Caller, clock, deadline::Deadline, id::Id};
use serde::Serialize;

use crate::{
    error::Error,
    instance::{
        Aim, Compute, Instance, Operation, Record, Scope, Step,
        afterwards::{confirm_resize, edit, shelved_image, unshelve},
        snapshot::NonInheritable,
    },
    pipeline::Pipeline,
    quota::Quota,
    store::{Action, Change, Entry, Job, Request},
};

mod jobs;
mod rebuild;
mod report;
mod resize;
mod snapshot;

pub use report::{Outcome, Report};

/// How often an operation looks again at an instance that others change meanwhile.
const TRIES: usize = 20;

/// What is done with instances.
#[derive(Debug, Clone)]
pub struct Operations {
    /// What creates instances: the same image catalogue, database and rules.
    pub pipeline: Pipeline,
    /// Properties that images of instances do not inherit.
    pub left_out: NonInheritable,
}

/// What is to be done with an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Wish {
    /// Register an image of it (Nova, `snapshot`).
    Snapshot {
        /// Name of the image.
        name: String,
        /// Properties that win over what the instance remembers.
        metadata: BTreeMap<String, String>,
    },
    /// Make it again (Nova, `rebuild`).
    Rebuild {
        /// From this image; from its own, as it is now, unless given.
        image_id: Option<Id>,
        /// What stands in place of the image's property.
        auto_disk_config: Option<bool>,
    },
    /// Give it another flavor, which is to be confirmed or reverted (Nova, `resize`).
    Resize {
        /// The flavor.
        flavor_id: String,
    },
    /// Forget the old flavor (Nova, `confirm_resize`).
    ConfirmResize,
    /// Make it exactly what it was before the resize (Nova, `revert_resize`).
    RevertResize,
    /// Set and remove properties (`nova-manage image_property set`). What changes nothing is no change.
    UpdateImageProperties {
        /// Properties to add or overwrite.
        set: BTreeMap<String, String>,
        /// Names of properties to remove.
        remove: Vec<String>,
    },
    /// Put it away, its record kept (Nova, `shelve`).
    Shelve,
    /// Bring it back with the record it had (Nova, `unshelve`).
    Unshelve,
}

/// Who wants something done, with which instance, and on which conditions.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// The instance.
    pub id: Id,
    /// The request, if a retry of it must be safe.
    pub request: Option<Request>,
    /// The etag that the instance must have, or empty.
    pub etag: &'a str,
    /// Who.
    pub caller: &'a Caller,
    /// Until when.
    pub deadline: Option<Deadline>,
}

/// What became of an instance.
#[derive(Debug, Clone)]
pub struct Done {
    /// The instance as it is now.
    pub instance: Instance,
    /// The image that was made of it.
    pub image_id: Option<Id>,
}

/// What an operation is to do.
#[derive(Debug, Default)]
struct Plan {
    aim: Aim,
    /// What glance-svc is to be asked for before it goes on.
    job: Option<Job>,
    /// What the project may use, where it will use more.
    quota: Option<Quota>,
}

impl Plan {
    /// A change of the record alone.
    fn to(target: Record) -> Self {
        Self { aim: Aim { target: Some(Arc::new(target)), ..Aim::default() }, ..Self::default() }
    }
}

impl Wish {
    /// The operation that fulfils it.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        match self {
            Self::Snapshot { .. } => Operation::Snapshot,
            Self::Rebuild { .. } => Operation::Rebuild,
            Self::Resize { .. } => Operation::Resize,
            Self::ConfirmResize => Operation::ConfirmResize,
            Self::RevertResize => Operation::RevertResize,
            Self::UpdateImageProperties { .. } => Operation::UpdateImageProperties,
            Self::Shelve => Operation::Shelve,
            Self::Unshelve => Operation::Unshelve,
        }
    }
}

impl Operations {
    /// Does something with an instance as it is.
    pub async fn run(&self, wish: &Wish, asked: &Asked<'_>) -> Result<Done, Error> {
        let (operation, scope) = (wish.operation(), Scope::change(asked.caller)?);
        for _ in 0..TRIES {
            if let Some(done) = self.earlier(asked, &scope).await? {
                return Ok(done);
            }
            let before = self.instance(asked.id, &scope).await?;
            check_etag(&before, asked.etag)?;
            operation.check(&before)?;
            let plan = self.plan(wish, asked, &before).await?;
            if operation == Operation::UpdateImageProperties && plan.aim.keeps(&before) {
                return Ok(Done { instance: before, image_id: None });
            }
            let change = self.change(operation, asked, &before, plan);
            if self.pipeline.store.apply(&change).await? {
                return self.settle(change, &scope).await;
            }
        }
        Err(Error::Contended(asked.id))
    }

    /// What is to become of an instance.
    async fn plan(&self, wish: &Wish, asked: &Asked<'_>, before: &Instance) -> Result<Plan, Error> {
        match wish {
            Wish::Snapshot { name, metadata } => Ok(self.snapshot(asked, before, name, metadata)),
            Wish::Rebuild { image_id, auto_disk_config } => {
                self.rebuild(asked, before, *image_id, *auto_disk_config).await
            }
            Wish::Resize { flavor_id } => self.resize(before, flavor_id).await,
            Wish::ConfirmResize => Ok(Plan::to(confirm_resize(&before.record))),
            Wish::RevertResize => Ok(Plan::to(Arc::unwrap_or_clone(self.former(before).await?))),
            Wish::UpdateImageProperties { set, remove } => Ok(Plan::to(edit(&before.record, set, remove))),
            Wish::Shelve => Ok(self.shelve(asked, before)),
            Wish::Unshelve => {
                let plan = Plan::to(unshelve(&before.record));
                let image_id = shelved_image(&before.record);
                Ok(Plan { aim: Aim { image_id, ..plan.aim }, ..plan })
            }
        }
    }

    async fn instance(&self, id: Id, scope: &Scope) -> Result<Instance, Error> {
        self.pipeline.store.instance(id, scope).await?.ok_or(Error::InstanceNotFound(id))
    }

    /// What an earlier try of the request has done; what it left to be done is done now.
    async fn earlier(&self, asked: &Asked<'_>, scope: &Scope) -> Result<Option<Done>, Error> {
        let Some((request, scope)) = asked.request.as_ref().zip(scope.allowed()) else { return Ok(None) };
        let store = &self.pipeline.store;
        let Some(entry) = store.earlier(asked.id, &request.id, &scope).await? else { return Ok(None) };
        if entry.request.as_ref() != Some(request) {
            return Err(Error::RequestIdTaken(request.id.clone()));
        }
        if let Some(image_id) = entry.image_id {
            if let Some(job) = store.job(image_id).await? {
                self.do_job(&job).await?;
            }
            if let Some(problem) = store.failure(asked.id, image_id, &scope).await? {
                return Err(Error::GlanceRefused { id: image_id, problem });
            }
        }
        Ok(Some(Done { instance: self.instance(asked.id, &scope).await?, image_id: entry.image_id }))
    }

    /// What an operation changes: where nothing has to be waited for, all of it.
    fn change(&self, operation: Operation, asked: &Asked<'_>, before: &Instance, plan: Plan) -> Change {
        let (now, image_id) = (clock::now(), plan.aim.image_id);
        let begun = before.begin(operation, plan.aim, asked.caller, now);
        let is_awaited = self.pipeline.compute == Compute::Agent && begun.task_state().is_some();
        let (after, step) = if is_awaited || plan.job.is_some() {
            (begun, Step::Started)
        } else {
            (begun.finish(), Step::Finished)
        };
        let entry = Entry {
            operation,
            step,
            actor: asked.caller.actor.clone(),
            time: now,
            image_id,
            message: String::new(),
            request: asked.request.clone(),
        };
        let job = plan.job.or_else(|| Self::job_at_end(&entry, before, asked.caller));
        self.written(before, after, entry, job, plan.quota)
    }

    /// A change as the store takes it.
    fn written(
        &self,
        before: &Instance,
        after: Instance,
        entry: Entry,
        job: Option<Job>,
        quota: Option<Quota>,
    ) -> Change {
        let after = Instance { compute: self.pipeline.compute, update_time: entry.time, ..after };
        Change { before: before.clone(), after: Some(after), entry, job, done: None, quota }
    }

    /// What becomes of the image at the end of an operation: that of an instance that is back has served, that of a
    /// snapshot which failed is none.
    fn job_at_end(entry: &Entry, before: &Instance, caller: &Caller) -> Option<Job> {
        let is_left = matches!(
            (entry.operation, entry.step),
            (Operation::Unshelve, Step::Finished) | (Operation::Snapshot | Operation::Shelve, Step::Failed)
        );
        let image_id = entry.image_id.filter(|_| is_left)?;
        let (caller, create_time) = (caller.clone(), entry.time);
        Some(Job { image_id, instance_id: before.id, action: Action::Delete, caller, create_time })
    }

    /// Does what a change has left for glance-svc. An image that was to be deleted can wait.
    async fn settle(&self, change: Change, scope: &Scope) -> Result<Done, Error> {
        let image_id = change.entry.image_id;
        match &change.job {
            Some(job @ Job { action: Action::Create(_), .. }) => self.do_job(job).await?,
            Some(job) => self.do_job_later(job).await,
            None => {
                let after = change.after.map(|after| Instance { revision: after.revision + 1, ..after });
                let instance = after.ok_or(Error::InstanceNotFound(change.before.id))?;
                return Ok(Done { instance, image_id });
            }
        }
        Ok(Done { instance: self.instance(change.before.id, scope).await?, image_id })
    }
}

fn check_etag(instance: &Instance, given: &str) -> Result<(), Error> {
    let current = instance.etag();
    if given.is_empty() || given == current {
        return Ok(());
    }
    Err(Error::StaleEtag { id: instance.id, given: given.to_owned(), current })
}
