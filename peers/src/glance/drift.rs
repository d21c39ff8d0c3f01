//! Drift: instances and volumes whose records differ from what their images say now.
//!
//! Many resources share a record, of which there are few: records are compared, and resources are read only for those
//! that differ. The resources of a single project, however, may be few among many with the same records; these are
//! walked one by one.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Debug,
    sync::Arc,
};

use chassis::{
    caller::Caller,
    deadline::Deadline,
    page::{Key, MAX_BYTES, SortKey},
};
use chrono::{DateTime, Utc};
use common::{
    id::{Id, NIL},
    image::Image,
};

use super::{Error, Glance};

/// Number of records that are compared at once.
const RECORDS: i64 = 100;

/// Number of records that are compared for a page; then it ends, whatever was found.
const MOST_RECORDS: usize = 1000;

/// Number of resources of a project that are read at once.
const RESOURCES: i64 = 1000;

/// Number of them whose records are compared at once: a record may have some 1.5 MB.
const STEP: usize = 32;

/// Number of them that are read for a page.
const MOST_RESOURCES: usize = 10_000;

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

/// What resources remember of an image.
pub trait Record: Debug + Send + Sync {
    /// Its id.
    fn id(&self) -> Id;

    /// The image and the revision it was made from; `None` if it was made from none.
    fn image(&self) -> Option<(Id, i64)>;
}

/// A resource as a list of drift shows it.
pub trait Summary: Debug + Clone + Send + Sync {
    /// Its id.
    fn id(&self) -> Id;

    /// Its record.
    fn record_id(&self) -> Id;

    /// When it was created.
    fn create_time(&self) -> DateTime<Utc>;

    /// How many bytes an answer needs for it, estimated upwards.
    fn bytes(&self) -> usize;
}

/// After which resource a list of resources goes on: its time of creation and its id.
pub type After = Option<(DateTime<Utc>, Id)>;

/// Resources and their records, as far as the filter of a list and its caller's scope go.
pub trait Source: Sync {
    /// What resources remember.
    type Record: Record;
    /// A resource.
    type Summary: Summary;
    /// A difference between a record and its image.
    type Difference: Debug + Send + Sync;
    /// Why something cannot be read.
    type Error: From<Error> + Send;

    /// The only project whose resources are listed; `None` for those of all.
    fn project(&self) -> Option<&str>;

    /// The next records by id, from `first` on: at most `limit`, or fewer if they are large.
    fn records_from(
        &self,
        first: Id,
        limit: i64,
    ) -> impl Future<Output = Result<Vec<Arc<Self::Record>>, Self::Error>> + Send;

    /// Those of these records that the filter is about.
    fn records(
        &self,
        ids: Vec<Id>,
    ) -> impl Future<Output = Result<Vec<Arc<Self::Record>>, Self::Error>> + Send;

    /// The next resources of a record, in the order of their creation, at most `limit`.
    fn of_record(
        &self,
        record_id: Id,
        after: After,
        limit: i64,
    ) -> impl Future<Output = Result<Vec<Self::Summary>, Self::Error>> + Send;

    /// The next resources of a project, likewise.
    fn of_project(
        &self,
        project_id: &str,
        after: After,
        limit: i64,
    ) -> impl Future<Output = Result<Vec<Self::Summary>, Self::Error>> + Send;

    /// How a record differs from its image, in what the filter asks for.
    fn differences(&self, record: &Self::Record, image: &Image) -> Vec<Self::Difference>;

    /// How many bytes an answer needs for a difference, estimated upwards.
    fn bytes(difference: &Self::Difference) -> usize;
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

/// The drift of records, by their ids.
type DriftedOf<T> = HashMap<Id, Arc<Drifted<<T as Source>::Difference>>>;

/// The page to read: its size, and the keys of the last resource of the page before.
pub type DriftPage<'a> = (usize, Option<&'a [Key]>);

/// On whose behalf glance-svc is called, and until when.
pub type OnBehalf<'a> = (&'a Caller, Option<Deadline>);

/// The items of a page so far.
struct Found<S, D> {
    drifts: Vec<Drift<S, D>>,
    bytes: usize,
}

impl<S: Summary, D> Found<S, D> {
    const fn new() -> Self {
        Self { drifts: Vec::new(), bytes: 0 }
    }

    /// Adds an item, if an answer of `size` items has room for it; `false` if not. The first item always fits.
    fn add(&mut self, size: usize, resource: S, (drifted, bytes): (&Arc<Drifted<D>>, usize)) -> bool {
        self.bytes += resource.bytes() + bytes;
        let is_too_large = self.bytes > MAX_BYTES && !self.drifts.is_empty();
        let has_room = self.drifts.len() < size && !is_too_large;
        if has_room {
            self.drifts.push(Drift { resource, drifted: Arc::clone(drifted) });
        }
        has_room
    }

    /// The page; the next one begins after its last resource.
    fn page(self, keys: impl Fn(&S) -> Vec<Key>) -> Drifts<S, D> {
        let last = self.drifts.last().map(|drift| keys(&drift.resource));
        (self.drifts, last)
    }
}

/// How many bytes an answer needs for the differences of a record, estimated upwards.
fn bytes_of<T: Source>(drifted: &Drifted<T::Difference>) -> usize {
    drifted.differences.iter().map(T::bytes).sum()
}

impl Glance {
    /// A page of drift of `source`, in the order of [`order`].
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
                for resource in source.of_record(record.id(), from, room).await? {
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
        let mut compared = HashMap::new();
        loop {
            let resources = source.of_project(project_id, after, RESOURCES).await?;
            let Some(last) = resources.last() else { return Ok((found.drifts, None)) };
            after = Some((last.create_time(), last.id()));
            walked += resources.len();
            for step in resources.chunks(STEP) {
                self.compare_records(source, step, on_behalf, &mut compared).await?;
                for resource in step {
                    let Some(Some(drifted)) = compared.get(&resource.record_id()) else { continue };
                    if !found.add(size, resource.clone(), (drifted, bytes_of::<T>(drifted))) {
                        return Ok(found.page(keys_of_project));
                    }
                }
            }
            if walked >= MOST_RESOURCES {
                return Ok((found.drifts, after.map(|(time, id)| vec![Key::Micros(time), Key::Id(id)])));
            }
        }
    }

    /// Compares those records of resources that have not been compared yet.
    async fn compare_records<T: Source>(
        &self,
        source: &T,
        resources: &[T::Summary],
        on_behalf: OnBehalf<'_>,
        compared: &mut HashMap<Id, Option<Arc<Drifted<T::Difference>>>>,
    ) -> Result<(), T::Error> {
        let new: BTreeSet<_> =
            resources.iter().map(Summary::record_id).filter(|id| !compared.contains_key(id)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let records = source.records(new.iter().copied().collect()).await?;
        let mut drifted = self.drifted(source, &records, on_behalf).await?;
        compared.extend(new.into_iter().map(|id| (id, drifted.remove(&id))));
        Ok(())
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

/// The order of a list of drift, as `order_by` names it: of one project, or of all.
#[must_use]
pub const fn order(project: Option<&str>) -> &'static str {
    if project.is_some() { "create_time" } else { "record_id, create_time" }
}

/// The keys of a resource in the order of records.
fn keys_of_record(resource: &impl Summary) -> Vec<Key> {
    vec![Key::Id(resource.record_id()), Key::Micros(resource.create_time()), Key::Id(resource.id())]
}

/// The keys of a resource in the order of its project.
fn keys_of_project(resource: &impl Summary) -> Vec<Key> {
    vec![Key::Micros(resource.create_time()), Key::Id(resource.id())]
}

/// The keys that come before every resource of a record.
fn before_record(id: Id) -> Vec<Key> {
    vec![Key::Id(id), Key::Micros(DateTime::<Utc>::UNIX_EPOCH), Key::Id(Id::from(NIL))]
}
