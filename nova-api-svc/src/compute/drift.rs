//! Drift: instances whose records differ from what their images say now.
//!
//! Instances share records, of which there are few: records are compared, and instances are read only for those that
//! differ. The instances of a single project, however, may be few among many with the same records; these are walked
//! one by one.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chassis::{
    caller::Caller,
    deadline::Deadline,
    page::{Key, MAX_BYTES, Page},
};
use chrono::{DateTime, Utc};
use common::{
    id::{Id, NIL},
    image::Image,
};

use super::ComputeApi;
use crate::{
    error::Error,
    instance::{
        Record, Scope,
        difference::{Difference, Kind, differences},
    },
    list::DriftOrder,
    store::InstanceSummary,
};

mod filter;

pub use filter::DriftFilter;

/// Number of records that are compared at once.
const RECORDS: i64 = 100;

/// Number of records that are compared for a page; then it ends, whatever was found.
const MOST_RECORDS: usize = 1000;

/// Number of instances of a project that are read at once.
const INSTANCES: i64 = 1000;

/// Number of them whose records are compared at once: a record may have some 300 kB.
const STEP: usize = 32;

/// Number of them that are read for a page.
const MOST_INSTANCES: usize = 10_000;

/// An instance that drifted.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// The instance.
    pub instance: InstanceSummary,
    /// How its record differs.
    pub drifted: Arc<Drifted>,
}

/// A record that differs from its image.
#[derive(Debug, PartialEq, Eq)]
pub struct Drifted {
    /// The image.
    pub image_id: Id,
    /// The revision that the record was made from.
    pub image_revision: i64,
    /// The revision that the image has now.
    pub current_revision: i64,
    /// The differences.
    pub differences: Vec<Difference>,
}

/// Instances that drifted, and the keys after which the next page begins, if there is one.
pub type Drifts = (Vec<Drift>, Option<Vec<Key>>);

/// The items of a page so far.
#[derive(Default)]
struct Found {
    drifts: Vec<Drift>,
    bytes: usize,
}

impl Found {
    /// Adds an item, if an answer of `size` items has room for it; `false` if not. The first item always fits.
    fn add(&mut self, size: usize, instance: InstanceSummary, drifted: &Arc<Drifted>) -> bool {
        self.bytes += instance.bytes() + drifted.bytes();
        let is_too_large = self.bytes > MAX_BYTES && !self.drifts.is_empty();
        let has_room = self.drifts.len() < size && !is_too_large;
        if has_room {
            self.drifts.push(Drift { instance, drifted: Arc::clone(drifted) });
        }
        has_room
    }

    /// The page; the next one begins after its last instance.
    fn page(self, keys: impl Fn(&InstanceSummary) -> Vec<Key>) -> Drifts {
        let last = self.drifts.last().map(|drift| keys(&drift.instance));
        (self.drifts, last)
    }
}

impl Drifted {
    /// How many bytes an answer needs for it, estimated upwards.
    fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let each = |found: &Difference| {
            found.property.len() + text(&found.instance_value) + text(&found.image_value) + 32
        };
        self.differences.iter().map(each).sum()
    }
}

/// On whose behalf glance-svc is called, and until when.
type OnBehalf<'a> = (&'a Caller, Option<Deadline>);

impl ComputeApi {
    /// A page of drift within `scope` ([`DriftFilter::scope`]), in the order of [`DriftFilter::order`].
    pub async fn list_drift(
        &self,
        filter: &DriftFilter,
        page: &Page<DriftOrder>,
        scope: &Scope,
        on_behalf: OnBehalf<'_>,
    ) -> Result<Drifts, Error> {
        match filter.project(scope) {
            Some(project_id) => self.drift_of_project(project_id, filter, page, scope, on_behalf).await,
            None => self.drift_of_all(filter, page, scope, on_behalf).await,
        }
    }

    /// The drift of all projects, record by record.
    async fn drift_of_all(
        &self,
        filter: &DriftFilter,
        page: &Page<DriftOrder>,
        scope: &Scope,
        on_behalf: OnBehalf<'_>,
    ) -> Result<Drifts, Error> {
        let (mut first, mut after) = match page.after() {
            Some([Key::Id(record), Key::Micros(time), Key::Id(id)]) => (*record, Some((*time, *id))),
            _ => (Id::from(NIL), None),
        };
        let (wanted, mut found, mut compared) = (filter.records(), Found::default(), 0);
        loop {
            let records = self.store.records_from(&wanted, first, RECORDS, scope).await?;
            let Some(last) = records.last().map(|record| record.id) else { return Ok((found.drifts, None)) };
            let drifted = self.drifted(&records, filter, on_behalf).await?;
            for record in &records {
                let from = after.take().filter(|_| record.id == first);
                let Some(drifted) = drifted.get(&record.id) else { continue };
                let room = i64::try_from(page.size - found.drifts.len() + 1).unwrap_or(i64::MAX);
                for instance in self.store.instances_of_record(record.id, from, room, scope).await? {
                    if !found.add(page.size, instance, drifted) {
                        return Ok(found.page(keys_of_record));
                    }
                }
            }
            let Some(next) = last.next() else { return Ok((found.drifts, None)) };
            compared += records.len();
            if compared >= MOST_RECORDS {
                return Ok((found.drifts, Some(before_record(next))));
            }
            first = next;
        }
    }

    /// The drift of one project, instance by instance.
    async fn drift_of_project(
        &self,
        project_id: &str,
        filter: &DriftFilter,
        page: &Page<DriftOrder>,
        scope: &Scope,
        on_behalf: OnBehalf<'_>,
    ) -> Result<Drifts, Error> {
        let mut after = match page.after() {
            Some([Key::Micros(time), Key::Id(id)]) => Some((*time, *id)),
            _ => None,
        };
        let (mut found, mut walked) = (Found::default(), 0);
        let mut compared = HashMap::new();
        loop {
            let instances = self.store.instances_of_project(project_id, after, INSTANCES, scope).await?;
            let Some(last) = instances.last() else { return Ok((found.drifts, None)) };
            after = Some((last.create_time, last.id));
            walked += instances.len();
            for step in instances.chunks(STEP) {
                self.compare_records(step, filter, on_behalf, &mut compared).await?;
                for instance in step {
                    let Some(Some(drifted)) = compared.get(&instance.record_id) else { continue };
                    if !found.add(page.size, instance.clone(), drifted) {
                        return Ok(found.page(keys_of_project));
                    }
                }
            }
            if walked >= MOST_INSTANCES {
                return Ok((found.drifts, after.map(|(time, id)| vec![Key::Micros(time), Key::Id(id)])));
            }
        }
    }

    /// Compares those records of instances that have not been compared yet.
    async fn compare_records(
        &self,
        instances: &[InstanceSummary],
        filter: &DriftFilter,
        on_behalf: OnBehalf<'_>,
        compared: &mut HashMap<Id, Option<Arc<Drifted>>>,
    ) -> Result<(), Error> {
        let new: BTreeSet<_> =
            instances.iter().map(|place| place.record_id).filter(|id| !compared.contains_key(id)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let records = self.store.records(new.iter().copied().collect()).await?;
        let wanted = filter.records();
        let records: Vec<_> = records.into_values().filter(|record| wanted.holds(record)).collect();
        let mut drifted = self.drifted(&records, filter, on_behalf).await?;
        compared.extend(new.into_iter().map(|id| (id, drifted.remove(&id))));
        Ok(())
    }

    /// Those of the records that differ from their images. A record whose image was deleted does not count.
    async fn drifted(
        &self,
        records: &[Arc<Record>],
        filter: &DriftFilter,
        (caller, deadline): OnBehalf<'_>,
    ) -> Result<HashMap<Id, Arc<Drifted>>, Error> {
        let mut ids: BTreeSet<_> = records.iter().map(|record| record.image_id).collect();
        let mut drifted = HashMap::new();
        while !ids.is_empty() {
            // Only the images of one answer are in memory at a time.
            let (images, remaining) = self.glance.images(&ids, caller, deadline).await?;
            let compare = |record: &Arc<Record>| {
                let image = images.get(&record.image_id)?;
                Some((record.id, Arc::new(compare(record, image, filter)?)))
            };
            drifted.extend(records.iter().filter_map(compare));
            ids = remaining;
        }
        Ok(drifted)
    }
}

/// How a record differs from its image, in what the filter asks for.
fn compare(record: &Record, image: &Image, filter: &DriftFilter) -> Option<Drifted> {
    let mut differences = differences(record, image);
    differences.retain(|difference| {
        let is_wanted = filter.property.as_ref().is_none_or(|property| *property == difference.property);
        is_wanted && difference.kind != Kind::Truncated
    });
    (!differences.is_empty()).then_some(Drifted {
        image_id: record.image_id,
        image_revision: record.image_revision,
        current_revision: image.revision,
        differences,
    })
}

/// The keys of an instance in the order of records.
fn keys_of_record(place: &InstanceSummary) -> Vec<Key> {
    vec![Key::Id(place.record_id), Key::Micros(place.create_time), Key::Id(place.id)]
}

/// The keys of an instance in the order of its project.
fn keys_of_project(place: &InstanceSummary) -> Vec<Key> {
    vec![Key::Micros(place.create_time), Key::Id(place.id)]
}

/// The keys that come before every instance of a record.
fn before_record(id: Id) -> Vec<Key> {
    vec![Key::Id(id), Key::Micros(DateTime::<Utc>::UNIX_EPOCH), Key::Id(Id::from(NIL))]
}
