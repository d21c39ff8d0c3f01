//! What clients can do with instances and flavors, whichever edge they come in by (Nova, `nova.compute.api`).
//!
//! An edge turns its messages into the plain data of these functions, calls one of them, and renders what it returns.
//! Whatever is refused is refused here. A violation names the field of the request as its RPC does; an edge whose
//! fields have other names translates them ([`Violations::within`](common::violations::Violations::within)).

use peers::{cinder::Cinder, glance::Glance};

use crate::{
    instance::{Compute, names::NameTemplate, snapshot::NonInheritable},
    quota::Quota,
    store::Store,
};

pub mod create;
pub mod drift;
mod flavors;
mod instances;
pub mod operations;
mod volumes;

pub use flavors::NewFlavor;
pub use instances::{Comparison, RootVolume};

/// The compute API: where instances are stored, where their images come from, and the operator's settings. Clones share
/// all of it.
#[derive(Debug, Clone)]
pub struct ComputeApi {
    /// The database.
    pub store: Store,
    /// The image catalogue.
    pub glance: Glance,
    /// The volume service, if there is one.
    pub cinder: Option<Cinder>,
    /// What each project may use.
    pub quota: Quota,
    /// How the instances of a request for several are named.
    pub name_template: NameTemplate,
    /// Who completes operations.
    pub compute: Compute,
    /// Properties that images made from instances do not inherit.
    pub non_inheritable: NonInheritable,
}
