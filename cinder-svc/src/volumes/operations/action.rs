//! What is to be done with a volume, by whom and on which conditions, and the result.

use std::collections::BTreeMap;

use chassis::{
    caller::Caller,
    deadline::Deadline,
    scope::{Scope, check_admin},
    turns::Request,
};
use common::{
    id::Id,
    image::{Properties, Visibility, update::PropertyUpdate},
    text,
    violations::Violations,
    volume_image_metadata::check_update,
};
use serde::Serialize;

use super::{Report, Upload, Uploaded};
use crate::{
    error::Error,
    volume::{
        Operation, Status, Volume,
        access::VOLUMES,
        checks::metadata_violations,
        request::{added_properties, description, gib},
    },
};

/// What is to be done with a volume. Its serialized form identifies a retry and is stored: it must not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Action {
    /// Change what its owner says of it. If nothing changes, nothing is recorded.
    Update(VolumeUpdate),
    /// Set and remove image properties. If nothing changes, nothing is recorded.
    UpdateImageProperties {
        /// Properties to add or overwrite.
        set: Properties,
        /// Names of properties to remove.
        remove: Vec<String>,
        /// Whether everything that is not in `set` is removed.
        purge: bool,
    },
    /// Make it larger.
    Extend {
        /// The new size in GiB.
        size_gib: i64,
    },
    /// Give it another volume type.
    Retype {
        /// Name or id of the type.
        volume_type: String,
    },
    /// Replace its data by that of an image.
    Reimage {
        /// The image.
        image_id: Id,
        /// Its revision; the newest if 0.
        image_revision: i64,
        /// Properties in addition to those of the image, or in their place.
        image_properties: Properties,
        /// Whether it may be reserved.
        reimage_reserved: bool,
    },
    /// Make its data, and what it remembers of them, what they were when its latest snapshot was taken.
    Revert {
        /// The snapshot.
        snapshot_id: Id,
    },
    /// Make an image from it.
    UploadToImage(Upload),
    /// Replace its data by that of a stream, which has no image.
    WriteData,
    /// Delete it with its data. Its history stays.
    Delete {
        /// Delete its snapshots as well.
        cascade: bool,
        /// Delete it whatever its status and its task.
        force: bool,
    },
    /// Record what is reported of it by whatever keeps its data.
    ReportState(Report),
}

/// What its owner says of a volume; `None` for what stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "each is the field of Volume with that name")]
pub struct VolumeUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
    pub metadata: Option<BTreeMap<String, String>>,
    pub bootable: Option<bool>,
    pub read_only: Option<bool>,
}

/// A request to do something with one volume.
#[derive(Debug, Clone)]
pub struct ActionRequest<'a> {
    /// The volume.
    pub volume_id: Id,
    /// What is to be done with it.
    pub action: Action,
    /// Makes a retry safe; empty for a request that is not repeated.
    pub request_id: String,
    /// The etag that the volume must have; empty for any.
    pub etag: String,
    /// Who makes the request.
    pub caller: &'a Caller,
    /// Until when it must be answered.
    pub deadline: Option<Deadline>,
}

/// What became of a volume.
#[derive(Debug, Clone)]
pub struct ActionResult {
    /// Its id.
    pub volume_id: Id,
    /// The volume as it is now; `None` once it is gone.
    pub volume: Option<Volume>,
    /// The image that was made from it.
    pub uploaded: Option<Uploaded>,
}

impl ActionResult {
    /// The volume as it is now.
    pub fn volume(&self) -> Result<&Volume, Error> {
        self.volume.as_ref().ok_or(Error::VolumeNotFound(self.volume_id))
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
            Self::Update(_) => Operation::Update,
            Self::UpdateImageProperties { .. } => Operation::UpdateImageProperties,
            Self::Extend { .. } => Operation::Extend,
            Self::Retype { .. } => Operation::Retype,
            Self::Reimage { .. } => Operation::Reimage,
            Self::Revert { .. } => Operation::Revert,
            Self::UploadToImage(_) => Operation::UploadToImage,
            Self::WriteData => Operation::WriteData,
            Self::Delete { .. } => Operation::Delete,
            Self::ReportState(_) => Operation::ReportState,
        }
    }

    /// The volumes that `caller` may do this with.
    pub(super) fn scope(&self, caller: &Caller) -> Result<Scope, Error> {
        match self {
            Self::ReportState(_) => Ok(Scope::report(caller, VOLUMES)?),
            Self::Delete { force: true, .. } => {
                check_admin(caller, "delete a volume by force")?;
                Ok(Scope::change(caller, VOLUMES)?)
            }
            Self::UploadToImage(Upload { visibility: Visibility::Public, .. }) => {
                check_admin(caller, "upload a volume to a public image")?;
                Ok(Scope::change(caller, VOLUMES)?)
            }
            _ => Ok(Scope::change(caller, VOLUMES)?),
        }
    }

    /// Refuses a volume whose status does not allow it.
    pub(super) fn check(&self, before: &Volume) -> Result<(), Error> {
        match self {
            Self::Delete { force: true, .. } => Ok(()),
            Self::Reimage { reimage_reserved: true, .. } => {
                self.operation().check(before, Some(Status::Reserved))
            }
            Self::UploadToImage(Upload { force: true, .. }) => {
                self.operation().check(before, Some(Status::InUse))
            }
            _ => self.operation().check(before, None),
        }
    }

    /// Everything that is wrong with its arguments.
    fn violations(&self) -> Violations {
        let mut violations = Violations::default();
        match self {
            Self::Update(update) => violations = update.violations(),
            Self::UpdateImageProperties { set, remove, purge } => {
                violations = check_update(&property_update(set, remove, *purge));
                if set.is_empty() && remove.is_empty() && !purge {
                    violations.add("set", "must name a property, or remove must, or purge must be set");
                }
            }
            Self::Extend { size_gib } => {
                violations.take("size_gib", gib(*size_gib));
            }
            Self::Retype { volume_type } => {
                violations.take("volume_type", text::name(volume_type));
            }
            Self::Reimage { image_revision, image_properties, .. } => {
                if *image_revision < 0 {
                    violations.add("image_revision", "must be a revision, from 1; or 0 for the newest");
                }
                violations.append(added_properties(image_properties));
            }
            Self::ReportState(report) => {
                violations.take("host", text::optional_name(report.host.as_deref().unwrap_or_default()));
                violations.take("message", text::optional_name(&report.message));
            }
            Self::UploadToImage(upload) => violations = upload.violations(),
            Self::Revert { .. } | Self::WriteData | Self::Delete { .. } => {}
        }
        violations
    }
}

/// The update of properties that an action requests.
pub(super) fn property_update(set: &Properties, remove: &[String], purge: bool) -> PropertyUpdate {
    PropertyUpdate { set: set.clone(), remove: remove.iter().cloned().collect(), purge }
}

impl VolumeUpdate {
    fn violations(&self) -> Violations {
        let mut violations = Violations::default();
        if let Some(name) = &self.name {
            violations.take("volume.name", text::optional_name(name.trim()));
        }
        if let Some(text) = &self.description {
            violations.take("volume.description", description(text));
        }
        if let Some(metadata) = &self.metadata {
            violations.append(metadata_violations(metadata).within("volume."));
        }
        violations
    }

    /// The volume after the update.
    #[must_use]
    pub fn apply(&self, before: &Volume) -> Volume {
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
        after.bootable = self.bootable.unwrap_or(after.bootable);
        after.read_only = self.read_only.unwrap_or(after.read_only);
        after
    }
}
