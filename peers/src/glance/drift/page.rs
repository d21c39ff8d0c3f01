//! Pages of what has drifted.

use std::sync::Arc;

use chassis::page::{Key, MAX_BYTES, SortKey};
use chrono::{DateTime, Utc};
use common::id::{Id, NIL};

use super::{Source, Summary};

/// What drift is sorted by: the record, or within one project the time of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriftOrder {
    /// The record that resources share.
    Record,
    /// When they were created.
    CreateTime,
    /// Their id.
    Id,
}

impl SortKey for DriftOrder {
    const ALL: &'static [(&'static str, Self)] =
        &[("record_id", Self::Record), ("create_time", Self::CreateTime), ("id", Self::Id)];
    const ID: Self = Self::Id;

    fn kind(self) -> Key {
        match self {
            Self::Record | Self::Id => Key::Id(Id::from(NIL)),
            Self::CreateTime => Key::Micros(DateTime::UNIX_EPOCH),
        }
    }
}

/// A resource that drifted.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift<S, D> {
    /// The resource.
    pub resource: S,
    /// How its record differs.
    pub drifted: Arc<Drifted<D>>,
}

/// A record that differs from its image.
#[derive(Debug, PartialEq, Eq)]
pub struct Drifted<D> {
    /// The image.
    pub image_id: Id,
    /// The revision that the record was made from.
    pub image_revision: i64,
    /// The revision that the image has now.
    pub current_revision: i64,
    /// The differences.
    pub differences: Vec<D>,
}

/// Resources that drifted, and the keys after which the next page begins, if there is one.
pub type Drifts<S, D> = (Vec<Drift<S, D>>, Option<Vec<Key>>);

/// Those of a source.
pub type DriftsOf<T> = Drifts<<T as Source>::Summary, <T as Source>::Difference>;

/// The items of a page so far.
pub(super) struct Found<S, D> {
    pub(super) drifts: Vec<Drift<S, D>>,
    bytes: usize,
}

impl<S: Summary, D> Found<S, D> {
    pub(super) const fn new() -> Self {
        Self { drifts: Vec::new(), bytes: 0 }
    }

    /// Adds an item, if an answer of `size` items has room for it; `false` if not. The first item always fits.
    pub(super) fn add(
        &mut self,
        size: usize,
        resource: S,
        (drifted, bytes): (&Arc<Drifted<D>>, usize),
    ) -> bool {
        self.bytes += resource.bytes() + bytes;
        let is_too_large = self.bytes > MAX_BYTES && !self.drifts.is_empty();
        let has_room = self.drifts.len() < size && !is_too_large;
        if has_room {
            self.drifts.push(Drift { resource, drifted: Arc::clone(drifted) });
        }
        has_room
    }

    /// The page; the next one begins after its last resource.
    pub(super) fn page(self, keys: impl Fn(&S) -> Vec<Key>) -> Drifts<S, D> {
        let last = self.drifts.last().map(|drift| keys(&drift.resource));
        (self.drifts, last)
    }
}

/// The keys of a resource in the order of records.
pub(super) fn keys_of_record(resource: &impl Summary) -> Vec<Key> {
    vec![Key::Id(resource.record_id()), Key::Micros(resource.create_time()), Key::Id(resource.id())]
}

/// The keys of a resource in the order of its project.
pub(super) fn keys_of_project(resource: &impl Summary) -> Vec<Key> {
    vec![Key::Micros(resource.create_time()), Key::Id(resource.id())]
}

/// The keys that come before every resource of a record.
pub(super) fn before_record(id: Id) -> Vec<Key> {
    vec![Key::Id(id), Key::Micros(DateTime::<Utc>::UNIX_EPOCH), Key::Id(Id::from(NIL))]
}
