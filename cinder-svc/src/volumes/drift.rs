//! Drift: volumes that remember something different from what their images say now ([`peers::glance::drift`]).

use std::sync::Arc;

use chassis::{caller::Caller, page::Page, scope::Scope};
use chrono::{DateTime, Utc};
use common::{
    id::Id,
    image::{
        Image,
        change::{Change, Subject},
    },
    text,
    violations::Violations,
};
use peers::glance::drift::{self, After, DriftOrder, Drifts, OnBehalf};

use super::{VolumeApi, reads::differences};
use crate::{
    error::Error,
    store::{RecordFilter, Store, VolumeSummary},
    volume::{Record, access::VOLUMES},
};

/// A volume that drifted.
pub type Drift = drift::Drift<VolumeSummary, Change>;

/// Whose drift is listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriftFilter {
    /// The image that volumes were made from.
    pub image_id: Option<Id>,
    /// The image property that differs.
    pub property: Option<String>,
    /// The volume's value of that property.
    pub value: Option<String>,
    /// The project that volumes belong to.
    pub project_id: Option<String>,
}

impl DriftFilter {
    /// Everything that is wrong with it.
    #[must_use]
    pub fn violations(&self) -> Violations {
        let mut violations = Violations::default();
        for (field, name) in [("property", &self.property), ("project_id", &self.project_id)] {
            violations.take(field, text::optional_name(name.as_deref().unwrap_or_default()));
        }
        if self.value.as_ref().is_some_and(|value| value.contains('\0')) {
            violations.add("value", "must not contain NUL");
        }
        if self.value.is_some() && self.property.is_none() {
            violations.add("property", "must be given with value");
        }
        violations
    }

    /// The volumes that are listed for `caller`.
    pub fn scope(&self, all_projects: bool, caller: &Caller) -> Result<Scope, Error> {
        Ok(Scope::list(caller, VOLUMES, all_projects, self.project_id.is_some())?)
    }

    /// The order of the list within `scope`.
    #[must_use]
    pub fn order(&self, scope: &Scope) -> &'static str {
        drift::order(self.project(scope))
    }

    /// The only project whose volumes are listed; `None` for those of all.
    fn project<'a>(&'a self, scope: &'a Scope) -> Option<&'a str> {
        self.project_id.as_deref().or_else(|| scope.project())
    }

    /// The records that are compared.
    fn records(&self) -> RecordFilter {
        RecordFilter { image_id: self.image_id, property: self.property.clone().zip(self.value.clone()) }
    }
}

impl VolumeApi {
    /// A page of drift within `scope` ([`DriftFilter::scope`]), in the order of [`DriftFilter::order`].
    pub async fn list_drift(
        &self,
        filter: &DriftFilter,
        page: &Page<DriftOrder>,
        scope: &Scope,
        on_behalf: OnBehalf<'_>,
    ) -> Result<Drifts<VolumeSummary, Change>, Error> {
        let source = Volumes { store: &self.store, wanted: filter.records(), filter, scope };
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
        Ok(records.into_values().filter(|record| self.wanted.holds(record)).collect())
    }

    async fn of_record(&self, record_id: Id, after: After, limit: i64) -> Result<Vec<VolumeSummary>, Error> {
        self.store.volumes_of_record(record_id, after, limit, self.scope).await
    }

    async fn of_project(
        &self,
        project_id: &str,
        after: After,
        limit: i64,
    ) -> Result<Vec<VolumeSummary>, Error> {
        self.store.volumes_of_project(project_id, after, limit, self.scope).await
    }

    fn differences(&self, record: &Record, image: &Image) -> Vec<Change> {
        let mut differences = differences(record, image);
        if let Some(property) = &self.filter.property {
            differences.retain(|change| change.property() == Some(property));
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
