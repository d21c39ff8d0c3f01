//! What is done with instances that are there. Each operation reads the instance, decides as a pure function what
//! becomes of it, and writes that in one transaction. Those that are about one instance queue up for that.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chassis::{caller::Caller, deadline::Deadline};
use common::{clock, id::Id};
use serde::Serialize;

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
    store::{Change, Decided, Entry, Job, Request},
};

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

/// What is to be done with an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Action {
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
pub struct Context<'a> {
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
pub struct ActionResult {
    /// The instance as it is now.
    pub instance: Instance,
    /// The image that was made of it.
    pub image_id: Option<Id>,
    /// Properties of that image which have but the beginning of their values.
    pub truncated: Vec<String>,
}

impl ActionResult {
    /// An instance that no image was made of.
    const fn without_image(instance: Instance) -> Self {
        Self { instance, image_id: None, truncated: Vec::new() }
    }
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

impl Action {
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
