//! How instances end.

use std::time::Duration;

use common::clock;

use super::{Context, Operations, earlier::Decision};
use crate::{
    error::Error,
    instance::{Instance, Operation, Scope, Step, images::left},
    store::{Change, Decided, Entry, Job},
};

impl Operations {
    /// Deletes an instance with all its metadata, the image it was put away in, and one that is still being made of it,
    /// both later. Its history stays, so that a retry is told by its request id.
    pub async fn delete(&self, context: &Context<'_>) -> Result<(), Error> {
        let scope = Scope::change(context.caller)?;
        self.pipeline
            .store
            .change(context.id, &scope, || self.decide_deletion(context, &scope))
            .await
            .map(drop)
    }

    async fn decide_deletion(&self, context: &Context<'_>, scope: &Scope) -> Decision {
        Ok(match self.look(context, scope).await? {
            Ok(before) => Decided::Change(Box::new(deletion(context, before))),
            Err(earlier) => Decided::Nothing(earlier),
        })
    }
}

fn deletion(context: &Context<'_>, before: Instance) -> Change {
    let time = before.later(clock::now());
    let left = left(&before, None, (Operation::Delete, Step::Finished));
    let job = left.map(|left| Job::deletion(before.id, left, context.caller, time, Duration::ZERO));
    let entry = Entry {
        operation: Operation::Delete,
        step: Step::Finished,
        actor: context.caller.actor.clone(),
        time,
        image_id: None,
        message: String::new(),
        request: context.request.clone(),
    };
    Change { before, after: None, entry, job, done: None, quota: None }
}
