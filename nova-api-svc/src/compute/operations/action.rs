//! What is to be done with an instance, by whom and on which conditions, and the result.

use std::collections::{BTreeMap, BTreeSet};

use chassis::{caller::Caller, deadline::Deadline, turns::Request};
use common::{
    id::Id,
    image::properties::{check_name, check_reserved, check_value},
    metadata, text,
    violations::Violations,
};
use serde::Serialize;

use super::{NewVolumeAttachment, Report};
use crate::{
    error::Error,
    instance::{INSTANCES, Instance, Operation, Scope},
    store::Registration,
};

/// Entries of system metadata that follow from image and flavor, and are not properties to be edited.
const BASE_ENTRIES: [&str; 5] = ["min_ram", "min_disk", "disk_format", "container_format", "base_image_ref"];

/// What is to be done with an instance. Its serialized form identifies a retry and is stored: it must not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Action {
    /// Register an image made from it (Nova, `snapshot`).
    Snapshot {
        /// Name of the image.
        name: String,
        /// Properties that override those of the record.
        metadata: BTreeMap<String, String>,
    },
    /// Make it again (Nova, `rebuild`).
    Rebuild {
        /// From this image; from its own, as that is now, if `None`.
        image_id: Option<Id>,
        /// Overrides the image's property.
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
    /// Set and remove properties (`nova-manage image_property set`). If nothing changes, nothing is recorded.
    UpdateImageProperties {
        /// Properties to add or overwrite.
        set: BTreeMap<String, String>,
        /// Names of properties to remove.
        remove: Vec<String>,
    },
    /// Put it away, keeping its record (Nova, `shelve`).
    Shelve,
    /// Bring it back with the record it had (Nova, `unshelve`).
    Unshelve,
    /// Attach a volume (Nova, `attach_volume`).
    AttachVolume(NewVolumeAttachment),
    /// Detach a volume that it does not boot from (Nova, `detach_volume`).
    DetachVolume {
        /// The volume.
        volume_id: Id,
    },
    /// Delete it with all its metadata, and later the image that it was shelved to, or one that is still being made
    /// from it (Nova, `delete`). Its history stays.
    #[serde(rename = "DeleteInstance")]
    Delete,
    /// Record what is reported of it by whatever runs it.
    #[serde(untagged)]
    ReportState(Report),
}

/// A request to do something with one instance.
#[derive(Debug, Clone)]
pub struct ActionRequest<'a> {
    /// The instance.
    pub instance_id: Id,
    /// What is to be done with it.
    pub action: Action,
    /// Makes a retry safe; empty for a request that is not repeated.
    pub request_id: String,
    /// The etag that the instance must have; empty for any.
    pub etag: String,
    /// Who makes the request.
    pub caller: &'a Caller,
    /// Until when it must be answered.
    pub deadline: Option<Deadline>,
}

/// What became of an instance.
#[derive(Debug, Clone)]
pub struct ActionResult {
    /// Its id.
    pub instance_id: Id,
    /// The instance as it is now; `None` once it has been deleted.
    pub instance: Option<Instance>,
    /// The image that is made from it.
    pub image_id: Option<Id>,
    /// What came of that image.
    pub registration: Registration,
}

impl ActionResult {
    /// An instance that no image is made from.
    pub(super) fn without_image(instance: Instance) -> Self {
        let registration = Registration::default();
        Self { instance_id: instance.id, instance: Some(instance), image_id: None, registration }
    }

    /// The instance as it is now.
    pub fn instance(&self) -> Result<&Instance, Error> {
        self.instance.as_ref().ok_or(Error::InstanceNotFound(self.instance_id))
    }
}

impl ActionRequest<'_> {
    /// Refuses a malformed request, for `problems` that were found before and everything else that is wrong with it.
    pub(super) fn check(&self, problems: Violations) -> Result<(), Violations> {
        let mut violations = problems;
        violations.append(self.action.violations());
        violations.take("request_id", text::optional_name(&self.request_id));
        violations.check()
    }

    /// What identifies a retry of the request, if it has an id.
    pub(super) fn retry_key(&self) -> Option<Request> {
        Request::new(&self.request_id, &self.action)
    }
}

impl Action {
    /// The operation that it is recorded as.
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
            Self::AttachVolume(_) => Operation::AttachVolume,
            Self::DetachVolume { .. } => Operation::DetachVolume,
            Self::Delete => Operation::Delete,
            Self::ReportState(_) => Operation::ReportState,
        }
    }

    /// The instances that `caller` may do this with.
    pub(super) fn scope(&self, caller: &Caller) -> Result<Scope, Error> {
        match self {
            Self::ReportState(_) => Ok(Scope::report(caller, INSTANCES)?),
            _ => Ok(Scope::change(caller, INSTANCES)?),
        }
    }

    /// Everything that is wrong with its arguments.
    fn violations(&self) -> Violations {
        let mut violations = Violations::default();
        match self {
            Self::Snapshot { name, metadata } => {
                violations.take("name", text::name(name));
                violations.append(snapshot_metadata(metadata));
            }
            Self::Resize { flavor_id } => {
                violations.take("flavor_id", text::name(flavor_id));
            }
            Self::UpdateImageProperties { set, remove } => violations = edited_properties(set, remove),
            Self::ReportState(report) => {
                violations.take("host", text::optional_name(report.host.as_deref().unwrap_or_default()));
                violations.take("message", text::optional_name(&report.message));
            }
            Self::AttachVolume(new) => violations = new.violations(),
            Self::Rebuild { .. }
            | Self::DetachVolume { .. }
            | Self::ConfirmResize
            | Self::RevertResize
            | Self::Shelve
            | Self::Unshelve
            | Self::Delete => {}
        }
        violations
    }
}

/// What is wrong with the properties of a new image.
fn snapshot_metadata(metadata: &BTreeMap<String, String>) -> Violations {
    let mut violations = Violations::default();
    for (name, value) in metadata {
        for problem in [check_name(name), check_value(value)].into_iter().filter_map(Result::err) {
            violations.add(text::map_key("metadata", name), problem);
        }
    }
    violations
}

/// What is wrong with properties to be edited.
fn edited_properties(set: &BTreeMap<String, String>, remove: &[String]) -> Violations {
    let mut violations = Violations::default();
    let removed: BTreeSet<_> = remove.iter().collect();
    for (name, value) in set {
        let field = text::map_key("set", name);
        violations.take(&field, check_editable(name));
        metadata::check_value(&field, value, &mut violations);
        if removed.contains(name) {
            violations.add(&field, "is also to be removed; do one or the other");
        }
    }
    for (index, name) in remove.iter().enumerate() {
        violations.take(&format!("remove[{index}]"), check_editable(name));
    }
    if set.is_empty() && remove.is_empty() {
        violations.add("set", "must name a property, or remove must");
    }
    violations
}

fn check_editable(name: &str) -> Result<(), String> {
    text::name(name).map_err(|problem| format!("the name {problem}"))?;
    if BASE_ENTRIES.contains(&name) {
        let problem = "follows from image and flavor and cannot be edited; RebuildInstance and ResizeInstance change it";
        return Err(problem.to_owned());
    }
    check_reserved(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::State;

    #[test]
    fn what_identifies_a_retry_never_changes() {
        let report = Report {
            seen_state: State::Building,
            seen_task_state: None,
            state: Some(State::Active),
            outcome: None,
            host: None,
            power_state: None,
            message: String::new(),
        };
        let reported = r#"{"seen_state":"Building","seen_task_state":null,"state":"Active","outcome":null,"host":null,"power_state":null,"message":""}"#;
        for (action, expected) in [
            (Action::Delete, r#""DeleteInstance""#),
            (Action::Shelve, r#""Shelve""#),
            (Action::Resize { flavor_id: "2".to_owned() }, r#"{"Resize":{"flavor_id":"2"}}"#),
            (Action::ReportState(report), reported),
        ] {
            assert_eq!(serde_json::to_string(&action).unwrap(), expected);
        }
    }
}
