//! What is done with instances that are there. Each operation reads the instance, decides as a pure function what
//! becomes of it, and writes that in one transaction. Those that are about one instance queue up for that.

use std::{collections::BTreeSet, sync::Arc};

use chassis::caller::Caller;
use common::{clock, id::Id};

use crate::{
    error::Error,
    instance::{
        Compute, Instance, Needs, Operation, Record, RecordChange, Scope, Step,
        images::left,
        snapshot::NonInheritable,
        transitions::{confirm_resize, shelved_image, unshelve},
    },
    pipeline::Pipeline,
    quota::Quota,
    store::{Change, Decided, Entry, Job},
};

mod action;
mod delete;
mod earlier;
mod edit;
mod jobs;
mod metrics;
mod outcome;
mod rebuild;
mod report;
mod resize;
mod snapshot;

pub use action::{Action, ActionResult, Context};
pub use metrics::register as register_metrics;
pub use report::{Outcome, Report};

use earlier::{Decision, Instead};

/// How often an operation asks glance-svc again, because the image of its instance became another one meanwhile.
const TRIES: usize = 10;

/// What is done with instances.
#[derive(Debug, Clone)]
pub struct Operations {
    /// What creates instances: the same image catalogue, database and rules.
    pub pipeline: Pipeline,
    /// Properties that images of instances do not inherit.
    pub non_inheritable: NonInheritable,
}

/// What glance-svc said before an operation: nobody waits for it while an instance is being changed.
#[derive(Debug)]
enum Source {
    /// What an instance is to be made from again.
    Rebuild(rebuild::Source),
    /// Images that are there, of a kernel and a ramdisk.
    Boot(BTreeSet<Id>),
    /// What the image at a revision asks for, if it is there.
    Needs(Id, i64, Option<Needs>),
}

/// What an operation is to do.
#[derive(Debug, Default)]
struct Plan {
    record_change: RecordChange,
    /// What glance-svc is to be asked for before it goes on.
    job: Option<Job>,
    /// What the project may use, where it will use more.
    quota: Option<Quota>,
}

impl Plan {
    /// A change of the record alone.
    fn to(target: Record) -> Self {
        Self {
            record_change: RecordChange { target: Some(Arc::new(target)), ..RecordChange::default() },
            ..Self::default()
        }
    }
}

impl Operations {
    /// Does something with an instance as it is.
    pub async fn run(&self, action: &Action, context: &Context<'_>) -> Result<ActionResult, Error> {
        let (scope, mut source) = (Scope::change(context.caller)?, None);
        for _ in 0..TRIES {
            let seen = source.as_ref();
            let decide = || self.decide(action, context, &scope, seen);
            match self.pipeline.store.change(context.id, &scope, decide).await? {
                Decided::Change(change) => return self.complete(*change, context, &scope).await,
                Decided::Nothing(Instead::Done(done)) => return Ok(*done),
                Decided::Nothing(Instead::Earlier(earlier)) => {
                    return self.repeat(context, &scope, *earlier).await;
                }
                Decided::Nothing(Instead::Ask(before)) => {
                    source = Some(self.source(action, context, &before).await?);
                }
            }
        }
        Err(Error::Contended(context.id))
    }

    /// What is to be done with an instance as it is.
    async fn decide(
        &self,
        action: &Action,
        context: &Context<'_>,
        scope: &Scope,
        source: Option<&Source>,
    ) -> Decision {
        let before = match self.look(context, scope).await? {
            Ok(before) => before,
            Err(instead) => return Ok(Decided::Nothing(instead)),
        };
        let operation = action.operation();
        operation.check(&before)?;
        let Some(plan) = self.plan(action, context, &before, source).await? else {
            return Ok(Decided::Nothing(Instead::Ask(Box::new(before))));
        };
        if operation == Operation::UpdateImageProperties && plan.record_change.keeps(&before) {
            return Ok(Decided::Nothing(Instead::done(before)));
        }
        Ok(Decided::Change(Box::new(self.change(operation, context, &before, plan))))
    }

    /// What is to become of an instance; `None` if glance-svc must be asked first.
    async fn plan(
        &self,
        action: &Action,
        context: &Context<'_>,
        before: &Instance,
        source: Option<&Source>,
    ) -> Result<Option<Plan>, Error> {
        Ok(Some(match action {
            Action::Snapshot { name, metadata } => self.snapshot(context, before, name, metadata),
            Action::Rebuild { image_id, auto_disk_config } => {
                match rebuild::plan(before, source, *image_id, *auto_disk_config)? {
                    Some(plan) => plan,
                    None => return Ok(None),
                }
            }
            Action::Resize { flavor_id } => match self.resize(before, flavor_id, source).await? {
                Some(plan) => plan,
                None => return Ok(None),
            },
            Action::ConfirmResize => Plan::to(confirm_resize(&before.record)),
            Action::RevertResize => Plan::to(Arc::unwrap_or_clone(self.former(before).await?)),
            Action::UpdateImageProperties { set, remove } => match edit::plan(before, set, remove, source)? {
                Some(plan) => plan,
                None => return Ok(None),
            },
            Action::Shelve => self.shelve(context, before),
            Action::Unshelve => {
                let plan = Plan::to(unshelve(&before.record));
                let image_id = shelved_image(&before.record);
                Plan { record_change: RecordChange { image_id, ..plan.record_change }, ..plan }
            }
        }))
    }

    /// Asks glance-svc for what an operation needs to know of an instance as it is.
    async fn source(
        &self,
        action: &Action,
        context: &Context<'_>,
        before: &Instance,
    ) -> Result<Source, Error> {
        match action {
            Action::Rebuild { image_id, auto_disk_config } => {
                let made_from = self.rebuild_source(context, before, *image_id, *auto_disk_config).await?;
                Ok(Source::Rebuild(made_from))
            }
            Action::UpdateImageProperties { set, remove } => {
                Ok(Source::Boot(self.boot_images(context, before, set, remove).await?))
            }
            _ => Ok(self.needs(context, before).await),
        }
    }

    async fn instance(&self, id: Id, scope: &Scope) -> Result<Instance, Error> {
        self.pipeline.store.instance(id, scope).await?.ok_or(Error::InstanceNotFound(id))
    }

    /// What an operation changes: where nothing has to be waited for, all of it.
    fn change(&self, operation: Operation, context: &Context<'_>, before: &Instance, plan: Plan) -> Change {
        let (now, image_id) = (before.later(clock::now()), plan.record_change.image_id);
        let is_awaited = self.pipeline.compute == Compute::Agent || plan.job.is_some();
        let begin = |record_change| before.begin(operation, record_change, context.caller, now);
        let (after, step) = match plan.record_change {
            record_change if operation.is_immediate() => (before.with(record_change), Step::Finished),
            record_change if is_awaited => (begin(record_change), Step::Started),
            record_change => (begin(record_change).finish(), Step::Finished),
        };
        let entry = Entry {
            operation,
            step,
            actor: context.caller.actor.clone(),
            time: now,
            image_id,
            message: String::new(),
            request: context.request.clone(),
        };
        let job = plan.job.or_else(|| self.job_at_end(&entry, before, &after, context.caller));
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

    /// What deletes the image that a change leaves to nobody.
    fn job_at_end(&self, entry: &Entry, before: &Instance, after: &Instance, caller: &Caller) -> Option<Job> {
        let left = left(before, Some(after), (entry.operation, entry.step))?;
        Some(Job::deletion(before.id, left, caller, entry.time, self.lease()))
    }
}
