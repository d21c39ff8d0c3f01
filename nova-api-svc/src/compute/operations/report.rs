//! What is reported of instances by whatever runs them.

use std::sync::Arc;

use common::{clock, violations::Violations};
use serde::Serialize;

use super::{
    ActionRequest,
    before::{Decision, NoChange},
};
use crate::{
    compute::ComputeApi,
    error::Error,
    instance::{Instance, Operation, PowerState, Record, State, Step, TaskState},
    store::{Change, Decided, Entry},
};

/// What is reported of an instance. All of it identifies a retry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The state that the report is about.
    pub seen_state: State,
    /// The task that the report is about.
    pub seen_task_state: Option<TaskState>,
    /// The state that the instance is in now, if that is reported.
    pub state: Option<State>,
    /// How its task ended, if it did.
    pub outcome: Option<Outcome>,
    /// Where it runs, if that is reported.
    pub host: Option<String>,
    /// Whether it runs, if that is reported.
    pub power_state: Option<PowerState>,
    /// What is recorded in the history.
    pub message: String,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// It was done.
    Succeeded,
    /// It could not be done.
    Failed,
}

/// The states that can be reported of a running instance.
const REPORTED: [State; 5] = [State::Active, State::Stopped, State::Paused, State::Suspended, State::Error];

impl ComputeApi {
    /// What a report changes, if the instance is still in the state that it saw.
    pub(super) async fn decide_report(
        &self,
        request: &ActionRequest<'_>,
        report: &Report,
        before: Instance,
    ) -> Decision {
        let former = match report.outcome(&before) {
            Some(Outcome::Failed) if before.task.is_some() => Some(self.former_record(&before).await?),
            _ => None,
        };
        let after = report.apply(&before, former)?;
        if after == before && report.message.is_empty() {
            return Ok(Decided::Nothing(NoChange::done(before)));
        }
        let entry = entry(request, report, &before);
        let caller = before.task.as_ref().map_or(request.caller, |task| &task.caller);
        let job = self.orphan_job(&entry, &before, Some(&after), caller);
        let change = self.to_store(&before, Some(after), entry, caller);
        Ok(Decided::Change(Box::new(Change { job, ..change })))
    }
}

fn entry(request: &ActionRequest<'_>, report: &Report, before: &Instance) -> Entry {
    let outcome = report.outcome(before);
    let task = before.task.as_ref().filter(|_| outcome.is_some());
    let step = match outcome {
        Some(Outcome::Failed) => Step::Failed,
        _ => Step::Finished,
    };
    Entry {
        operation: task.map_or(Operation::ReportState, |task| task.operation),
        step,
        actor: request.caller.actor.clone(),
        time: before.later(clock::now()),
        image_id: task.and_then(|task| task.image_id),
        volume_id: None,
        message: report.message.clone(),
        request: request.retry_key(),
    }
}

impl Report {
    /// How the task ended: if the instance came to be in error meanwhile, it failed (Nova, `vm_state` ERROR and no
    /// `task_state`).
    fn outcome(&self, before: &Instance) -> Option<Outcome> {
        let is_new_error = self.state == Some(State::Error) && before.state != State::Error;
        let fails = is_new_error && before.task_state().is_some();
        self.outcome.or(fails.then_some(Outcome::Failed))
    }

    /// The instance after the report, or why the report is refused.
    fn apply(&self, before: &Instance, former: Option<Arc<Record>>) -> Result<Instance, Error> {
        let (id, state, task_state) = (before.id, before.state, before.task_state());
        if (self.seen_state, self.seen_task_state) != (state, task_state) {
            return Err(Error::StateChanged { id, state, task_state });
        }
        let is_reimaged = before.block_devices.iter().any(|device| before.is_reimaged(device));
        if is_reimaged && self.outcome(before).is_some() {
            let field = if self.outcome.is_some() { "result" } else { "state" };
            return Err(invalid(
                field,
                "cannot end the task: that ends with the new data of the root volume",
            ));
        }
        let ended = match (self.outcome(before), former) {
            (Some(_), _) if task_state.is_none() => {
                return Err(invalid("result", "needs a task that ends, and the instance has none"));
            }
            (Some(Outcome::Failed), Some(former)) => before.fail(former),
            (Some(_), _) => before.finish(),
            (None, _) => before.clone(),
        };
        let mut after = Instance { state: self.state_after(before, &ended)?, ..ended };
        if let Some(host) = &self.host {
            after.host.clone_from(host);
        }
        after.power_state = self.power_state.unwrap_or(after.power_state);
        Ok(after)
    }

    /// The state after the report. ERROR can follow any state; what the instance was resized from, or shelved to, is then
    /// preserved, and it can only return to that state.
    fn state_after(&self, before: &Instance, ended: &Instance) -> Result<State, Error> {
        let Some(state) = self.state.filter(|state| *state != ended.state) else { return Ok(ended.state) };
        let allowed: &[State] = match (ended.state, ended.former_state_in_error()) {
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
        Err(invalid("state", &problem))
    }
}

fn invalid(field: &str, problem: &str) -> Error {
    Violations::one(field, problem).into()
}
