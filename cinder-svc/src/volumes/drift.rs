//! Drift: volumes that remember something different from what their images say now ([`peers::glance::drift`]).

use std::sync::Arc;

use chassis::{
    page::Page,
    records::{After, Of, RecordFilter},
    scope::Scope,
};
use chrono::{DateTime, Utc};
use common::{
    id::Id,
    image::{
        Image,
        change::{Change, Subject},
    },
};
use peers::glance::drift::{self, DriftFilter, DriftOrder, Drifts, OnBehalf};

use super::{VolumeApi, reads::differences};
use crate::{
    error::Error,
    store::{Store, VolumeSummary},
    volume::Record,
};

/// A volume that drifted.
pub type Drift = drift::Drift<VolumeSummary, Change>;

impl VolumeApi {
    /// A page of drift within `scope` ([`DriftFilter::scope`]), in the order of [`DriftFilter::page`].
    pub async fn list_drift(
        &self,
        filter: &DriftFilter,
        page: &Page<DriftOrder>,
        scope: &Scope,
        on_behalf: OnBehalf<'_>,
    ) -> Result<Drifts<VolumeSummary, Change>, Error> {
        let source = Volumes { store: &self.store, wanted: filter.records(""), filter, scope };
        self.glance.drift(&source, (page.size, page.after()), on_behalf).await
    }
}

/// The volumes that are listed.
struct Volumes<'a> {
    store: &'a Store,
    filter: &'a DriftFilter,
    wanted: RecordFilter,
    scope: &'a Scope,
}

impl drift::Source for Volumes<'_> {
    type Record = Record;
    type Summary = VolumeSummary;
    type Difference = Change;
    type Error = Error;

    fn project(&self) -> Option<&str> {
        self.filter.project(self.scope)
    }

    async fn records_from(&self, first: Id, limit: i64) -> Result<Vec<Arc<Record>>, Error> {
        self.store.records_from(&self.wanted, first, limit, self.scope).await
    }

    async fn records(&self, ids: Vec<Id>) -> Result<Vec<Arc<Record>>, Error> {
        let records = self.store.records(ids).await?;
        Ok(records.into_values().filter(|record| self.filter.holds(&**record)).collect())
    }

    async fn resources(&self, of: Of<'_>, after: After, limit: i64) -> Result<Vec<VolumeSummary>, Error> {
        self.store.volume_summaries(of, after, limit, self.scope).await
    }

    fn differences(&self, record: &Record, image: &Image) -> Vec<Change> {
        let mut differences = differences(record, image);
        if self.filter.property.is_some() {
            differences.retain(|change| change.property().is_some_and(|name| self.filter.is_about(name)));
        }
        differences
    }

    fn bytes(change: &Change) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let (Subject::Attribute(name) | Subject::Property(name)) = &change.subject;
        name.len() + text(&change.old) + text(&change.new) + 32
    }
}

impl drift::Record for Record {
    fn id(&self) -> Id {
        self.id
    }

    fn image(&self) -> Option<(Id, i64)> {
        self.metadata.image.as_ref().map(|image| (image.id, image.revision))
    }

    fn bytes(&self) -> usize {
        self.metadata.properties.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    fn property(&self, name: &str) -> Option<&str> {
        self.metadata.properties.get(name).map(String::as_str)
    }
}

impl drift::Summary for VolumeSummary {
    fn id(&self) -> Id {
        self.id
    }

    fn record_id(&self) -> Id {
        self.record_id
    }

    fn create_time(&self) -> DateTime<Utc> {
        self.create_time
    }

    fn bytes(&self) -> usize {
        self.name.len() + self.project_id.len() + 256
    }
}
