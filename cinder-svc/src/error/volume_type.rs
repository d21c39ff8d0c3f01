//! What can go wrong with volume types.

use chassis::status::{Description, StatusCode};
use common::id::Id;

use super::{
    describe::{image, volume},
    quoted,
};
use crate::volume::volume_type::VOLUME_TYPE_LIMIT;

/// The type of the resource.
const VOLUME_TYPE: &str = "cinder.v1.VolumeType";

/// Why a request failed that is about volume types.
#[derive(Debug, Clone, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the values of the sentence")]
pub enum VolumeTypeError {
    /// There is no such volume type, or the caller's project may not use it.
    #[error("there is no volume type {}", quoted(.0))]
    NotFound(String),
    /// The name is in use.
    #[error("there already is a volume type {}", quoted(.0))]
    Exists(String),
    /// There are as many volume types as there may be.
    #[error("there are {VOLUME_TYPE_LIMIT} volume types, and there may not be more; delete one first")]
    TooMany,
    /// Volumes or snapshots have the type.
    #[error("volume type {} is in use; retype or delete its volumes and delete its snapshots first", quoted(.0))]
    InUse(String),
    /// It is the type of volumes for which nobody names one.
    #[error("volume type {} is the default and cannot be deleted", quoted(.0))]
    IsDefault(String),
    /// Nobody names a volume type, and the default does not exist, or the caller's project may not use it.
    #[error(
        "volume type {}, which is the default, does not exist or is not for this project; name another one in \
         volume_type",
        quoted(.0)
    )]
    DefaultNotFound(String),
    /// The volume type that the request names does not exist.
    #[error("volume_type: there is no volume type {}; ListVolumeTypes lists them all", quoted(.0))]
    NoSuch(String),
    /// The volume type that the image asks for does not exist.
    #[error(
        "image {image_id} asks for volume type {} (property cinder_img_volume_type), which does not exist; name another \
         one in volume_type",
        quoted(.volume_type)
    )]
    NotFoundForImage { image_id: Id, volume_type: String },
    /// The volume type does not allow that size.
    #[error(
        "volume type {} does not allow {size_gib} GiB, only {}",
        quoted(.volume_type), range(*.minimum, *.maximum)
    )]
    Size { volume_type: String, size_gib: i32, minimum: Option<i32>, maximum: Option<i32> },
    /// The volume already has that type.
    #[error("volume_type: volume {id} already has volume type {}", quoted(.volume_type))]
    Same { id: Id, volume_type: String },
    /// Something uses the volume as its present type allows, and the new type does not.
    #[error(
        "volume_type: volume {id} is attached, and volume type {} differs in whether several instances may use it",
        quoted(.volume_type)
    )]
    MultiattachInUse { id: Id, volume_type: String },
}

impl VolumeTypeError {
    pub(super) fn describe(&self) -> Description {
        match self {
            Self::NotFound(name) => {
                Description::not_found("VOLUME_TYPE_NOT_FOUND", VOLUME_TYPE, "volume_type", name)
            }
            Self::DefaultNotFound(name) => volume_type("DEFAULT_VOLUME_TYPE_NOT_FOUND", name),
            Self::Exists(name) => {
                Description::already_exists("VOLUME_TYPE_EXISTS", VOLUME_TYPE, "volume_type", name)
            }
            Self::TooMany => {
                let (reason, limit) = ("VOLUME_TYPE_LIMIT_EXCEEDED", VOLUME_TYPE_LIMIT);
                Description::limit_exceeded(reason, "volume types", limit + 1, limit)
            }
            Self::InUse(name) => volume_type("VOLUME_TYPE_IN_USE", name),
            Self::IsDefault(name) => volume_type("VOLUME_TYPE_IS_DEFAULT", name),
            Self::NoSuch(name) => Description::bad_field("VOLUME_TYPE_NOT_FOUND", "volume_type", self)
                .http(StatusCode::NOT_FOUND)
                .with("volume_type", name),
            Self::NotFoundForImage { image_id, volume_type } => {
                image("VOLUME_TYPE_NOT_FOUND", image_id).with("volume_type", volume_type)
            }
            Self::Size { volume_type, size_gib, minimum, maximum } => {
                Description::bad_field("VOLUME_TYPE_SIZE", "size_gib", self)
                    .with("volume_type", volume_type)
                    .with("size_gib", size_gib)
                    .with("minimum_gib", limit(*minimum))
                    .with("maximum_gib", limit(*maximum))
            }
            Self::Same { id, volume_type } => Description::bad_field("SAME_VOLUME_TYPE", "volume_type", self)
                .with("volume_id", id)
                .with("volume_type", volume_type),
            Self::MultiattachInUse { id, volume_type } => {
                volume("MULTIATTACH_IN_USE", id).with("volume_type", volume_type)
            }
        }
    }
}

/// A range of sizes, of which at least one end is limited.
fn range(minimum: Option<i32>, maximum: Option<i32>) -> String {
    match (minimum, maximum) {
        (Some(least), Some(most)) => format!("{least} to {most} GiB"),
        (Some(least), None) => format!("{least} GiB and more"),
        (None, Some(most)) => format!("{most} GiB and less"),
        (None, None) => "any size".to_owned(),
    }
}

fn limit(size: Option<i32>) -> String {
    size.map(|size| size.to_string()).unwrap_or_default()
}

/// The volume type does not allow it.
fn volume_type(reason: &'static str, name: &str) -> Description {
    Description::precondition(reason, reason, "volume_type", name)
}
