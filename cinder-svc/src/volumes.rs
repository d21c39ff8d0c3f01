//! What clients can do with volumes, whichever edge they come in by (Cinder, `cinder.volume.api`).
//!
//! An edge turns its messages into the plain data of these functions, calls one of them, and renders what it returns.
//! Whatever is refused is refused here. A violation names the field of the request as its RPC does; an edge whose
//! fields have other names translates them ([`Violations::within`](common::violations::Violations::within)).

use peers::glance::Glance;

use crate::{quota::Quota, store::Store, volume::Storage};

pub mod attachments;
mod create;
pub mod data;
pub mod drift;
pub mod operations;
pub mod quotas;
mod reads;
pub mod snapshots;
mod tasks;
pub mod transfers;
mod volume_types;

pub use data::VolumeData;
pub use reads::Comparison;

/// The volume API: where volumes are stored, where their images come from, and the operator's settings. Clones share
/// all of it.
#[derive(Debug, Clone)]
pub struct VolumeApi {
    /// The database.
    pub store: Store,
    /// The image catalogue.
    pub glance: Glance,
    /// What each project may use, unless it has limits of its own.
    pub quota: Quota,
    /// Name or id of the volume type of volumes for which nobody names one.
    pub default_volume_type: String,
    /// Availability zones; the first one is the default.
    pub availability_zones: Vec<String>,
    /// Who keeps the data.
    pub storage: Storage,
    /// The data, if cinder-svc keeps it in a folder.
    pub data: Option<VolumeData>,
}
