//! What is reported of volumes by whatever keeps their data.

use chassis::turns::Decided;
use chrono::{DateTime, Utc};
use common::{clock, violations::Violations};
use serde::Serialize;

use super::{
    ActionRequest,
    before::{Decision, NoChange},
};
use crate::{
    error::Error,
    store::Entry,
    volume::{Operation, Status, Step, TaskState, Volume, VolumeFailure},
    volumes::VolumeApi,
};

/// The reason of a failure that was reported.
const REASON: &str = "REPORTED";

/// What is reported of a volume. All of it identifies a retry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The status that the report is about.
    pub seen_status: Status,
    /// The task that the report is about.
    pub seen_task_state: Option<TaskState>,
    /// The status that the volume has now, if that is reported.
    pub status: Option<Status>,
    /// How its task ended, if it did.
    pub outcome: Option<Outcome>,
    /// Where its data is, if that is reported.
    pub host: Option<String>,
    /// What happened.
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

impl VolumeApi {
    /// What a report changes, if the volume is still as it saw it.
    pub(super) fn decide_report(request: &ActionRequest<'_>, report: &Report, before: &Volume) -> Decision {
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
        Ok(Decided::Change(Box::new(Self::to_store(before.clone(), after, entry, &request.action))))
    }
}

impl Report {
    /// How the task ended: if the volume came to be in error meanwhile, it failed.
    #[must_use]
    pub fn outcome(&self, before: &Volume) -> Option<Outcome> {
        let is_new_error = self.status == Some(Status::Error) && before.status != Status::Error;
        let fails = is_new_error && before.task.is_some();
        self.outcome.or(fails.then_some(Outcome::Failed))
    }

    /// The volume after the report, `None` if it is gone; or why the report is refused.
    pub(super) fn apply(&self, before: &Volume, now: DateTime<Utc>) -> Result<Option<Volume>, Error> {
        let (id, status, task_state) = (before.id, before.status, before.task_state());
        if (self.seen_status, self.seen_task_state) != (status, task_state) {
            return Err(Error::StateChanged { id, status, task_state });
        }
        let ended = match (self.outcome(before), task_state) {
            (Some(_), None) => {
                return Err(invalid("result", "needs a task that ends, and the volume has none"));
            }
            (Some(Outcome::Succeeded), _) if before.storage.is_own() => {
                return Err(invalid(
                    "result",
                    "FAILED is possible: cinder-svc keeps the data, and knows what succeeded",
                ));
            }
            (Some(Outcome::Failed), Some(task_state)) => Some(before.fail(VolumeFailure {
                task_state: Some(task_state),
                reason: REASON.to_owned(),
                message: self.message.clone(),
                create_time: now,
            })),
            (Some(Outcome::Succeeded), _) => before.finish(),
            (None, _) => Some(before.clone()),
        };
        let Some(ended) = ended else { return Ok(None) };
        let mut after = Volume { status: self.status_after(before, &ended)?, ..ended };
        if let Some(host) = &self.host {
            after.host.clone_from(host);
        }
        Ok(Some(after))
    }

    /// The status after the report: ERROR can follow any. AVAILABLE can follow ERROR; where there are attachments, they
    /// decide.
    fn status_after(&self, before: &Volume, ended: &Volume) -> Result<Status, Error> {
        let Some(status) = self.status.filter(|status| *status != ended.status) else {
            return Ok(ended.status);
        };
        let has_task = before.task.is_some() && self.outcome(before).is_none();
        match status {
            Status::Error => Ok(Status::Error),
            Status::Available if ended.status == Status::Error && !has_task => {
                Ok(ended.status_by_attachments())
            }
            _ => {
                let possible = if ended.status == Status::Error { "AVAILABLE" } else { "ERROR" };
                let problem = format!("{status} does not follow {}: {possible} would", ended.status);
                Err(invalid("status", &problem))
            }
        }
    }
}

fn invalid(field: &str, problem: &str) -> Error {
    Violations::one(field, problem).into()
}
