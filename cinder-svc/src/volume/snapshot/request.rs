//! Requests about snapshots, before and after they were checked.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use common::{id::Id, text, violations::Violations};
use serde::Serialize;

use super::{Snapshot, SnapshotStatus};
use crate::{
    error::Error,
    volume::{TaskState, VolumeFailure, checks::metadata_violations, request::description},
};

/// A snapshot to be taken, as it was requested.
#[derive(Debug, Clone, Default)]
pub struct NewSnapshot {
    /// The id of the volume.
    pub volume_id: String,
    /// Its name; blanks around it are removed.
    pub name: String,
    /// Its description.
    pub description: String,
    /// The owner's own metadata.
    pub metadata: BTreeMap<String, String>,
    /// Whether whoever writes to the volume has stopped meanwhile.
    pub quiesced: bool,
    /// Makes a retry safe; empty for a request that is not repeated.
    pub request_id: String,
    /// The etag that the volume must have; empty for any.
    pub volume_etag: String,
}

/// A request to take a snapshot that has been checked. Its serialized form identifies a retry and is stored: it must not
/// change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreateSnapshot {
    /// The volume.
    pub volume_id: Id,
    /// Its name, without blanks around it.
    pub name: String,
    /// Its description.
    pub description: String,
    /// The owner's own metadata.
    pub metadata: BTreeMap<String, String>,
    /// Whether whoever writes to the volume has stopped meanwhile.
    pub quiesced: bool,
    /// Makes a retry safe.
    #[serde(skip)]
    pub request_id: String,
    /// The etag that the volume must have; empty for any.
    #[serde(skip)]
    pub volume_etag: String,
}

/// What its owner says of a snapshot; `None` for what stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of Snapshot with that name")]
pub struct SnapshotUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
    pub metadata: Option<BTreeMap<String, String>>,
}

/// What is reported of a snapshot by whatever keeps its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotReport {
    /// The status that the report is about.
    pub seen_status: SnapshotStatus,
    /// The status that it has now; `None` once it is gone.
    pub status: Option<SnapshotStatus>,
    /// What happened.
    pub message: String,
}

impl NewSnapshot {
    /// The request, or everything that is wrong with it.
    pub fn check(self) -> Result<CreateSnapshot, Violations> {
        let mut violations = Violations::default();
        let volume_id = violations.take("volume_id", self.volume_id.parse::<Id>());
        let name = self.name.trim().to_owned();
        violations.take("name", text::optional_name(&name));
        violations.take("description", description(&self.description));
        violations.append(metadata_violations(&self.metadata));
        violations.take("request_id", text::optional_name(&self.request_id));
        violations.check()?;
        Ok(CreateSnapshot {
            volume_id: volume_id.expect("a malformed id is a violation"),
            name,
            description: self.description,
            metadata: self.metadata,
            quiesced: self.quiesced,
            request_id: self.request_id,
            volume_etag: self.volume_etag,
        })
    }
}

impl SnapshotUpdate {
    /// Everything that is wrong with it, in addition to `problems` that were found before.
    pub fn check(&self, problems: Violations) -> Result<(), Violations> {
        let mut violations = problems;
        if let Some(name) = &self.name {
            violations.take("snapshot.name", text::optional_name(name.trim()));
        }
        if let Some(text) = &self.description {
            violations.take("snapshot.description", description(text));
        }
        if let Some(metadata) = &self.metadata {
            violations.append(metadata_violations(metadata).within("snapshot."));
        }
        if *self == Self::default() && violations.is_empty() {
            violations.add("update_mask", "must name a field, or snapshot must have one that is set");
        }
        violations.check()
    }

    /// The snapshot after the update.
    #[must_use]
    pub fn apply(&self, before: &Snapshot) -> Snapshot {
        let mut after = before.clone();
        if let Some(name) = &self.name {
            name.trim().clone_into(&mut after.name);
        }
        if let Some(description) = &self.description {
            after.description.clone_from(description);
        }
        if let Some(metadata) = &self.metadata {
            after.metadata.clone_from(metadata);
        }
        after
    }
}

impl SnapshotReport {
    /// Everything that is wrong with it, in addition to `problems` that were found before.
    pub fn check(&self, problems: Violations) -> Result<(), Violations> {
        use SnapshotStatus::{Available, Creating, Deleting, Error};
        let mut violations = problems;
        let follows: &[Option<SnapshotStatus>] = match self.seen_status {
            Creating => &[Some(Available), Some(Error)],
            Deleting => &[None, Some(Error)],
            Available => &[Some(Error)],
            Error => &[Some(Available)],
        };
        if violations.is_empty() && !follows.contains(&self.status) {
            let name = |status: &Option<SnapshotStatus>| match status {
                Some(status) => status.to_string(),
                None => "unspecified (it is gone)".to_owned(),
            };
            let possible: Vec<_> = follows.iter().map(name).collect();
            let problem = format!("must be {} after {}", possible.join(" or "), self.seen_status);
            violations.add("status", problem);
        }
        violations.take("message", text::optional_name(&self.message));
        violations.check()
    }

    /// The snapshot after the report, `None` once it is gone; or why the report is refused.
    pub fn apply(&self, before: &Snapshot, now: DateTime<Utc>) -> Result<Option<Snapshot>, Error> {
        let (id, status) = (before.id, before.status);
        if self.seen_status != status {
            return Err(Error::SnapshotChanged { id, status });
        }
        if before.storage.is_own() && status == SnapshotStatus::Creating {
            let problem = "CREATING is over once cinder-svc, which keeps the data, has copied them";
            return Err(Violations::one("seen_status", problem).into());
        }
        let task_state = match status {
            SnapshotStatus::Creating => Some(TaskState::Creating),
            SnapshotStatus::Deleting => Some(TaskState::Deleting),
            SnapshotStatus::Available | SnapshotStatus::Error => None,
        };
        let failure = (self.status == Some(SnapshotStatus::Error)).then(|| VolumeFailure {
            task_state,
            reason: "REPORTED".to_owned(),
            message: self.message.clone(),
            create_time: now,
        });
        Ok(self.status.map(|status| before.with_status(status, failure)))
    }
}
