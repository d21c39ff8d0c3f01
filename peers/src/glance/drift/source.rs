//! What drift is found in.

use std::{fmt::Debug, sync::Arc};

use chassis::records::{After, Of};
use chrono::{DateTime, Utc};
use common::{id::Id, image::Image};

use crate::glance::Error;

/// What resources remember of an image.
pub trait Record: Debug + Send + Sync {
    /// Its id.
    fn id(&self) -> Id;

    /// The image and the revision it was made from; `None` if it was made from none.
    fn image(&self) -> Option<(Id, i64)>;

    /// About how many bytes it has.
    fn bytes(&self) -> usize;

    /// What it remembers of a property of the image.
    fn property(&self, name: &str) -> Option<&str>;
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

    /// The next resources of a record or a project, in the order of their creation, at most `limit`.
    fn resources(
        &self,
        of: Of<'_>,
        after: After,
        limit: i64,
    ) -> impl Future<Output = Result<Vec<Self::Summary>, Self::Error>> + Send;

    /// How a record differs from its image, in what the filter asks for.
    fn differences(&self, record: &Self::Record, image: &Image) -> Vec<Self::Difference>;

    /// How many bytes an answer needs for a difference, estimated upwards.
    fn bytes(difference: &Self::Difference) -> usize;
}
