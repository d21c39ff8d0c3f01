//! What is to be done with an instance, for whom, and what came of it.

use std::collections::BTreeMap;

use chassis::{caller::Caller, deadline::Deadline};
use common::id::Id;
use serde::Serialize;

use crate::{
    instance::{Instance, Operation},
    store::Request,
};

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
    pub(super) const fn without_image(instance: Instance) -> Self {
        Self { instance, image_id: None, truncated: Vec::new() }
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
