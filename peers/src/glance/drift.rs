//! Drift: instances and volumes whose records differ from what their images say now.
//!
//! Many resources share a record, of which there are few: records are compared, and resources are read only for those
//! that differ. The resources of a single project, however, may be few among many with the same records; these are
//! walked one by one.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chassis::{
    caller::Caller,
    deadline::Deadline,
    page::{Key, MAX_BYTES},
    records::Of,
};
use common::id::{Id, NIL};

use super::Glance;

mod filter;
mod page;
mod source;

pub use filter::DriftFilter;
pub use page::{Drift, DriftOrder, Drifted, Drifts, DriftsOf};
pub use source::{Record, Source, Summary};

use page::{Found, before_record, keys_of_project, keys_of_record};

/// Number of records that are compared at once.
const RECORDS: i64 = 100;

/// Number of records that are compared for a page; then it ends, whatever was found.
const MOST_RECORDS: usize = 1000;

/// Number of resources of a project that are read at once.
const RESOURCES: i64 = 1000;

/// Number of them whose records are compared at once, at first and at most: a record may have some 1.5 MB.
const FIRST_STEP: usize = 2;
const LAST_STEP: usize = 32;

/// Number of them that are read for a page.
const MOST_RESOURCES: usize = 10_000;

/// The drift of records, by their ids.
type DriftedOf<T> = HashMap<Id, Arc<Drifted<<T as Source>::Difference>>>;

/// The page to read: its size, and the keys of the last resource of the page before.
pub type DriftPage<'a> = (usize, Option<&'a [Key]>);

/// On whose behalf glance-svc is called, and until when.
pub type OnBehalf<'a> = (&'a Caller, Option<Deadline>);

/// How many bytes an answer needs for the differences of a record, estimated upwards.
fn bytes_of<T: Source>(drifted: &Drifted<T::Difference>) -> usize {
    drifted.differences.iter().map(T::bytes).sum()
}

/// How many resources to take after `step` of them, whose new records had so many bytes.
const fn next_step(step: usize, bytes: usize) -> usize {
    match bytes {
        // Nothing was read that says how large records are.
        0 => step,
        small if 2 * small <= MAX_BYTES && step < LAST_STEP => 2 * step,
        large if large > MAX_BYTES && step > 1 => step / 2,
        _ => step,
    }
}

impl Glance {
    /// A page of drift of `source`, in the order of [`DriftFilter::page`].
    pub async fn drift<T: Source>(
        &self,
        source: &T,
        page: DriftPage<'_>,
        on_behalf: OnBehalf<'_>,
    ) -> Result<DriftsOf<T>, T::Error> {
        match source.project() {
            Some(project_id) => self.drift_of_project(source, project_id, page, on_behalf).await,
            None => self.drift_of_all(source, page, on_behalf).await,
        }
    }

    /// The drift of all projects, record by record.
    async fn drift_of_all<T: Source>(
        &self,
        source: &T,
        (size, after): DriftPage<'_>,
        on_behalf: OnBehalf<'_>,
    ) -> Result<DriftsOf<T>, T::Error> {
        let (mut first, mut after) = match after {
            Some([Key::Id(record), Key::Micros(time), Key::Id(id)]) => (*record, Some((*time, *id))),
            _ => (Id::from(NIL), None),
        };
        let (mut found, mut compared) = (Found::new(), 0);
        loop {
            let records = source.records_from(first, RECORDS).await?;
            let Some(last) = records.last().map(|record| record.id()) else {
                return Ok((found.drifts, None));
            };
            let drifted = self.drifted(source, &records, on_behalf).await?;
            for record in &records {
                let from = after.take().filter(|_| record.id() == first);
                let Some(drifted) = drifted.get(&record.id()) else { continue };
                let room = i64::try_from(size - found.drifts.len() + 1).unwrap_or(i64::MAX);
                for resource in source.resources(Of::Record(record.id()), from, room).await? {
                    if !found.add(size, resource, (drifted, bytes_of::<T>(drifted))) {
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

    /// The drift of one project, resource by resource.
    async fn drift_of_project<T: Source>(
        &self,
        source: &T,
        project_id: &str,
        (size, after): DriftPage<'_>,
        on_behalf: OnBehalf<'_>,
    ) -> Result<DriftsOf<T>, T::Error> {
        let mut after = match after {
            Some([Key::Micros(time), Key::Id(id)]) => Some((*time, *id)),
            _ => None,
        };
        let (mut found, mut walked) = (Found::new(), 0);
        let (mut compared, mut step) = (HashMap::new(), FIRST_STEP);
        loop {
            let resources = source.resources(Of::Project(project_id), after, RESOURCES).await?;
            let Some(last) = resources.last() else { return Ok((found.drifts, None)) };
            after = Some((last.create_time(), last.id()));
            walked += resources.len();
            let mut rest = resources.as_slice();
            while !rest.is_empty() {
                let (next, later) = rest.split_at(step.min(rest.len()));
                let bytes = self.compare_records(source, next, on_behalf, &mut compared).await?;
                for resource in next {
                    let Some(Some(drifted)) = compared.get(&resource.record_id()) else { continue };
                    if !found.add(size, resource.clone(), (drifted, bytes_of::<T>(drifted))) {
                        return Ok(found.page(keys_of_project));
                    }
                }
                (rest, step) = (later, next_step(step, bytes));
            }
            if walked >= MOST_RESOURCES {
                return Ok((found.drifts, after.map(|(time, id)| vec![Key::Micros(time), Key::Id(id)])));
            }
        }
    }

    /// Compares those records of resources that have not been compared yet; returns how many bytes they have.
    async fn compare_records<T: Source>(
        &self,
        source: &T,
        resources: &[T::Summary],
        on_behalf: OnBehalf<'_>,
        compared: &mut HashMap<Id, Option<Arc<Drifted<T::Difference>>>>,
    ) -> Result<usize, T::Error> {
        let new: BTreeSet<_> =
            resources.iter().map(Summary::record_id).filter(|id| !compared.contains_key(id)).collect();
        if new.is_empty() {
            return Ok(0);
        }
        let records = source.records(new.iter().copied().collect()).await?;
        let mut drifted = self.drifted(source, &records, on_behalf).await?;
        compared.extend(new.into_iter().map(|id| (id, drifted.remove(&id))));
        Ok(records.iter().map(|record| record.bytes()).sum())
    }

    /// Those of the records that differ from their images. A record whose image was deleted does not count.
    async fn drifted<T: Source>(
        &self,
        source: &T,
        records: &[Arc<T::Record>],
        (caller, deadline): OnBehalf<'_>,
    ) -> Result<DriftedOf<T>, T::Error> {
        let mut ids: BTreeSet<_> = records.iter().filter_map(|record| Some(record.image()?.0)).collect();
        let mut drifted = HashMap::new();
        while !ids.is_empty() {
            // Only the images of one answer are in memory at a time.
            let (images, remaining) = self.images(&ids, caller, deadline).await?;
            for record in records {
                let Some((image_id, image_revision)) = record.image() else { continue };
                let Some(image) = images.get(&image_id) else { continue };
                let differences = source.differences(record, image);
                if !differences.is_empty() {
                    let current_revision = image.revision;
                    let found = Drifted { image_id, image_revision, current_revision, differences };
                    drifted.insert(record.id(), Arc::new(found));
                }
            }
            ids = remaining;
        }
        Ok(drifted)
    }
}
