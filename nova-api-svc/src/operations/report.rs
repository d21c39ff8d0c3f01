//! What whatever runs the instances says of them.

use std::sync::Arc;

use common::{clock, violations::Violations};
use serde::Serialize;

use super::{
    ActionResult, Context, Operations,
    earlier::{Decision, Instead},
};
use crate::{
    error::Error,
    instance::{Instance, Operation, PowerState, Record, Scope, State, Step, TaskState},
    store::{Decided, Entry},
};

/// What is said of an instance. A retry is told by all of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The state that it is about.
    pub seen_state: State,
    /// The task that it is about.
    pub seen_task_state: Option<TaskState>,
    /// The state that the instance is in now, if that is said.
    pub state: Option<State>,
    /// How its task ended, if it did.
    pub outcome: Option<Outcome>,
    /// Where it runs, if that is said.
    pub host: Option<String>,
    /// Whether it runs, if that is said.
    pub power_state: Option<PowerState>,
    /// What history is to say.
    pub message: String,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// It was done.
    Succeeded,
    /// It was not.
    Failed,
}

/// The states that reports can lead to.
const REPORTED: [State; 5] = [State::Active, State::Stopped, State::Paused, State::Suspended, State::Error];

impl Operations {
    /// Takes a report, if the instance still is where it was seen.
    pub async fn report(&self, context: &Context<'_>, report: &Report) -> Result<ActionResult, Error> {
        let scope = Scope::report(context.caller)?;
        let decide = || self.decide_report(context, &scope, report);
        match self.pipeline.store.change(context.id, &scope, decide).await? {
            Decided::Change(change) => self.complete(*change, context, &scope).await,
            Decided::Nothing(Instead::Done(done)) => Ok(*done),
            Decided::Nothing(Instead::Earlier(earlier)) => self.repeat(context, &scope, *earlier).await,
            Decided::Nothing(Instead::Ask(_)) => Err(Error::Contended(context.id)),
        }
    }

    async fn decide_report(&self, context: &Context<'_>, scope: &Scope, report: &Report) -> Decision {
        let before = match self.look(context, scope).await? {
            Ok(before) => before,
            Err(instead) => return Ok(Decided::Nothing(instead)),
        };
        let former = match report.outcome(&before) {
            Some(Outcome::Failed) if before.task.is_some() => Some(self.former(&before).await?),
            _ => None,
        };
        let after = report.apply(&before, former)?;
        if after == before && report.message.is_empty() {
            return Ok(Decided::Nothing(Instead::done(before)));
        }
        let entry = entry(context, report, &before);
        let caller = before.task.as_ref().map_or(context.caller, |task| &task.caller);
        let job = self.job_at_end(&entry, &before, &after, caller);
        Ok(Decided::Change(Box::new(self.written(&before, after, entry, job, None))))
    }
}

fn entry(context: &Context<'_>, report: &Report, before: &Instance) -> Entry {
    let outcome = report.outcome(before);
    let task = before.task.as_ref().filter(|_| outcome.is_some());
    let step = match outcome {
        Some(Outcome::Failed) => Step::Failed,
        _ => Step::Finished,
    };
    Entry {
        operation: task.map_or(Operation::ReportState, |task| task.operation),
        step,
        actor: context.caller.actor.clone(),
        time: before.later(clock::now()),
        image_id: task.and_then(|task| task.image_id),
        message: report.message.clone(),
        request: context.request.clone(),
    }
}

impl Report {
    /// How a task ended: one during which the instance comes to be in error has failed (Nova, `vm_state` ERROR and no
    /// `task_state`).
    fn outcome(&self, before: &Instance) -> Option<Outcome> {
        let breaks = self.state == Some(State::Error) && before.state != State::Error;
        let fails = breaks && before.task_state().is_some();
        self.outcome.or(fails.then_some(Outcome::Failed))
    }

    /// The instance after it, or why it cannot be.
    fn apply(&self, before: &Instance, former: Option<Arc<Record>>) -> Result<Instance, Error> {
        let (id, state, task_state) = (before.id, before.state, before.task_state());
        if (self.seen_state, self.seen_task_state) != (state, task_state) {
            return Err(Error::StateChanged { id, state, task_state });
        }
        let ended = match (self.outcome(before), former) {
            (Some(_), _) if task_state.is_none() => {
                return Err(wrong("result", "needs a task that ends, and the instance has none"));
            }
            (Some(Outcome::Failed), Some(former)) => before.fail(former),
            (Some(_), _) => before.finish(),
            (None, _) => before.clone(),
        };
        let mut after = Instance { state: self.arrive(before, &ended)?, ..ended };
        if let Some(host) = &self.host {
            after.host.clone_from(host);
        }
        after.power_state = self.power_state.unwrap_or(after.power_state);
        Ok(after)
    }

    /// The state after it. An instance can be in error wherever it was; what it was resized from, or put away in, is
    /// kept, and so it only comes back to there.
    fn arrive(&self, before: &Instance, ended: &Instance) -> Result<State, Error> {
        let Some(state) = self.state.filter(|state| *state != ended.state) else { return Ok(ended.state) };
        let allowed: &[State] = match (ended.state, ended.broken()) {
            _ if before.task_state().is_some() && self.outcome(before).is_none() => &[State::Error],
            (State::Building, _) => &[State::Active, State::Error],
            (State::Resized | State::ShelvedOffloaded, _) => &[State::Error],
            (_, Some(State::Resized)) => &[State::Resized],
            (_, Some(_)) => &[State::ShelvedOffloaded],
            (_, None) => &REPORTED,
        };
        if allowed.contains(&state) {
            return Ok(state);
        }
        let possible: Vec<_> = allowed.iter().map(ToString::to_string).collect();
        let problem = format!("{state} does not follow {}: {} would", ended.state, possible.join(", "));
        Err(wrong("state", &problem))
    }
}

fn wrong(field: &str, problem: &str) -> Error {
    Violations::one(field, problem).into()
}
