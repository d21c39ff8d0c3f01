//! Requests to do something with an instance: from messages to plain data, with every problem noted.

use std::collections::{BTreeMap, BTreeSet};

use chassis::{caller::Caller, deadline::Deadline};
use common::{
    id::Id,
    image::properties::{check_name, check_reserved, check_value},
    text::{self, NAME_LIMIT},
    violations::Violations,
};
use proto::nova::v1::{self as pb, instance, instance_task, report_instance_state_request as reports};
use serde::Serialize;

use crate::{
    instance::{PowerState, State, TaskState},
    operations::{Context, Outcome, Report},
    store::Request,
};

/// Entries that follow from image and flavor, and are no properties to be edited.
const BASE: [&str; 5] = ["min_ram", "min_disk", "disk_format", "container_format", "base_image_ref"];

/// What every request has: who asks, of which instance, on which conditions.
pub(super) struct Common<'a> {
    pub(super) id: String,
    pub(super) request_id: String,
    pub(super) etag: &'a str,
    pub(super) caller: &'a Caller,
    pub(super) deadline: Option<Deadline>,
}

impl<'a> Common<'a> {
    /// The conditions, together with the other problems of the request, which says `said`.
    pub(super) fn context(
        self,
        problems: Violations,
        said: &impl Serialize,
    ) -> Result<Context<'a>, Violations> {
        let mut violations = Violations::default();
        let id = violations.take("id", self.id.parse::<Id>());
        violations.append(problems);
        violations.take("request_id", text::optional_name(&self.request_id));
        violations.check()?;
        Ok(Context {
            id: id.expect("a malformed id is a violation"),
            request: Request::new(self.request_id, said),
            etag: self.etag,
            caller: self.caller,
            deadline: self.deadline,
        })
    }
}

/// The problems of the name and the properties of a new image.
pub(super) fn snapshot(name: &str, metadata: &BTreeMap<String, String>) -> Violations {
    let mut violations = Violations::default();
    violations.take("name", text::name(name));
    for (name, value) in metadata {
        // The path is made only for what is wrong.
        for problem in [check_name(name), check_value(value)].into_iter().filter_map(Result::err) {
            violations.add(text::map_key("metadata", name), problem);
        }
    }
    violations
}

/// An image that may be named.
pub(super) fn image_id(text: &str, violations: &mut Violations) -> Option<Id> {
    if text.is_empty() {
        return None;
    }
    violations.take("image_id", text.parse::<Id>())
}

/// The problems of properties to be edited.
pub(super) fn properties(set: &BTreeMap<String, String>, remove: &[String]) -> Violations {
    let mut violations = Violations::default();
    let removed: BTreeSet<_> = remove.iter().collect();
    for (name, value) in set {
        let field = text::map_key("set", name);
        if let Err(problem) = editable(name) {
            violations.add(&field, problem);
        }
        let length = value.chars().count();
        if length > NAME_LIMIT {
            violations
                .add(&field, format!("the value has {length} characters, at most {NAME_LIMIT} are kept"));
        }
        if value.contains('\0') {
            violations.add(&field, "the value must not contain NUL");
        }
        if removed.contains(name) {
            violations.add(&field, "is also to be removed; say one or the other");
        }
    }
    for (index, name) in remove.iter().enumerate() {
        violations.take(&format!("remove[{index}]"), editable(name));
    }
    if set.is_empty() && remove.is_empty() {
        violations.add("set", "must name a property, or remove must");
    }
    violations
}

fn editable(name: &str) -> Result<(), String> {
    text::name(name).map_err(|problem| format!("the name {problem}"))?;
    if BASE.contains(&name) {
        return Err("follows from image and flavor and cannot be edited; RebuildInstance and ResizeInstance change it".to_owned());
    }
    check_reserved(name)
}

/// What is reported of an instance.
pub(super) fn report(message: &pb::ReportInstanceStateRequest) -> Result<Report, Violations> {
    let mut violations = Violations::default();
    let seen_state = state("seen_state", message.seen_state, &mut violations);
    if seen_state.is_none() && violations.is_empty() {
        violations.add("seen_state", "must be given: the state that the report is about");
    }
    let state = state("state", message.state, &mut violations);
    let seen_task_state = violations.take("seen_task_state", task_state(message.seen_task_state)).flatten();
    let outcome = violations.take("result", outcome(message.result)).flatten();
    let power_state = violations.take("power_state", power_state(message.power_state)).flatten();
    for (field, text) in
        [("host", message.host.as_deref().unwrap_or_default()), ("message", &message.message)]
    {
        violations.take(field, text::optional_name(text));
    }
    violations.check()?;
    Ok(Report {
        seen_state: seen_state.expect("a missing state is a violation"),
        seen_task_state,
        state,
        outcome,
        host: message.host.clone(),
        power_state,
        message: message.message.clone(),
    })
}

fn state(field: &str, number: i32, violations: &mut Violations) -> Option<State> {
    let known = instance::State::try_from(number).map_err(|_| unknown(number));
    match violations.take(field, known)? {
        instance::State::Unspecified => None,
        state => State::from_name(state.as_str_name()),
    }
}

fn task_state(number: i32) -> Result<Option<TaskState>, String> {
    match instance_task::State::try_from(number).map_err(|_| unknown(number))? {
        instance_task::State::Unspecified => Ok(None),
        state => Ok(TaskState::from_name(&state.as_str_name().to_lowercase())),
    }
}

fn outcome(number: i32) -> Result<Option<Outcome>, String> {
    Ok(match reports::Result::try_from(number).map_err(|_| unknown(number))? {
        reports::Result::Unspecified => None,
        reports::Result::Succeeded => Some(Outcome::Succeeded),
        reports::Result::Failed => Some(Outcome::Failed),
    })
}

fn power_state(number: i32) -> Result<Option<PowerState>, String> {
    Ok(match pb::PowerState::try_from(number).map_err(|_| unknown(number))? {
        pb::PowerState::Unspecified => None,
        pb::PowerState::Running => Some(PowerState::Running),
        pb::PowerState::Paused => Some(PowerState::Paused),
        pb::PowerState::Shutdown => Some(PowerState::Shutdown),
        pb::PowerState::Crashed => Some(PowerState::Crashed),
        pb::PowerState::Suspended => Some(PowerState::Suspended),
    })
}

fn unknown(number: i32) -> String {
    format!("{number} is no value of it")
}
