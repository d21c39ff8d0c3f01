//! Drift: instances whose records differ from what their images say now ([`peers::glance::drift`]).

use std::sync::Arc;

use chassis::{
    page::Page,
    records::{After, Of, RecordFilter},
};
use common::{
    id::{Id, NIL},
    image::Image,
    system_metadata::IMAGE_PREFIX,
};
use peers::glance::drift::{self, DriftFilter, DriftOrder, Drifts, OnBehalf};

use super::ComputeApi;
use crate::{
    error::Error,
    instance::{
        Record, Scope,
        difference::{Difference, Kind, differences},
        origin::system_metadata_of,
    },
    store::{InstanceSummary, Store},
};

/// An instance that drifted.
pub type Drift = drift::Drift<InstanceSummary, Difference>;

impl ComputeApi {
    /// A page of drift within `scope` ([`DriftFilter::scope`]), in the order of [`DriftFilter::page`].
    pub async fn list_drift(
        &self,
        filter: &DriftFilter,
        page: &Page<DriftOrder>,
        scope: &Scope,
        on_behalf: OnBehalf<'_>,
    ) -> Result<Drifts<InstanceSummary, Difference>, Error> {
        let source = Instances { store: &self.store, wanted: filter.records(IMAGE_PREFIX), filter, scope };
        self.glance.drift(&source, (page.size, page.after()), on_behalf).await
    }
}

/// The instances that are listed.
struct Instances<'a> {
    store: &'a Store,
    filter: &'a DriftFilter,
    wanted: RecordFilter,
    scope: &'a Scope,
}

impl drift::Source for Instances<'_> {
    type Record = Record;
    type Summary = InstanceSummary;
    type Difference = Difference;
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

    async fn resources(&self, of: Of<'_>, after: After, limit: i64) -> Result<Vec<InstanceSummary>, Error> {
        self.store.instance_summaries(of, after, limit, self.scope).await
    }

    fn differences(&self, record: &Record, image: &Image) -> Vec<Difference> {
        let fresh = system_metadata_of(image, &record.flavor);
        let mut differences = differences(record, &fresh, &image.meta.properties);
        differences.retain(|difference| {
            self.filter.is_about(&difference.property) && difference.kind != Kind::Truncated
        });
        differences
    }

    fn bytes(difference: &Difference) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let Difference { property, instance_value, image_value, .. } = difference;
        property.len() + text(instance_value) + text(image_value) + 32
    }
}

impl drift::Record for Record {
    fn id(&self) -> Id {
        self.id
    }

    fn image(&self) -> Option<(Id, i64)> {
        // A root volume need not remember any.
        Some((self.image_id, self.image_revision)).filter(|(id, _)| *id != Id::from(NIL))
    }

    fn bytes(&self) -> usize {
        self.system_metadata.entries.iter().map(|(key, value)| key.len() + value.len()).sum()
    }

    fn property(&self, name: &str) -> Option<&str> {
        self.system_metadata.entries.get(&format!("{IMAGE_PREFIX}{name}")).map(String::as_str)
    }
}

impl drift::Summary for InstanceSummary {
    fn id(&self) -> Id {
        self.id
    }

    fn record_id(&self) -> Id {
        self.record_id
    }

    fn create_time(&self) -> chrono::DateTime<chrono::Utc> {
        self.create_time
    }

    fn bytes(&self) -> usize {
        self.name.len() + self.project_id.len() + 256
    }
}
