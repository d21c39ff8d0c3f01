//! Resizing an instance to another flavor.

use std::{borrow::Cow, sync::Arc};

use super::{ActionRequest, Plan, Source};
use crate::{
    compute::ComputeApi,
    error::Error,
    instance::{
        Instance, Needs, Record, RecordChange, checks,
        transitions::{image_of, resize},
    },
    quota::Quota,
};

impl ComputeApi {
    /// The new flavor and what it makes of the record; `None` if glance-svc must be asked what the image requires.
    pub(super) async fn resize(
        &self,
        before: &Instance,
        flavor_id: &str,
        source: Option<&Source>,
    ) -> Result<Option<Plan>, Error> {
        let Some(record) = with_needs(&before.record, source) else { return Ok(None) };
        let record = record.as_ref();
        let flavor = self.requested_flavor(flavor_id).await?;
        if flavor.instance_type_id == record.flavor.instance_type_id {
            return Err(Error::SameFlavor { id: before.id, flavor_id: flavor_id.to_owned() });
        }
        if before.root_volume().is_some() {
            // The flavor's root disk is not used.
            checks::check_image_for_volume(&image_of(record), &flavor, None)?;
        } else {
            checks::check_root_disk(before.id, &record.flavor, &flavor)?;
            checks::check_requested_image(&image_of(record), &flavor)?;
        }
        let (during, target) = resize(record, &flavor, before.state);
        let plan = Plan::to(target);
        let record_change = RecordChange { during: Some(Arc::new(during)), ..plan.record_change };
        let quota = Some(self.quota).filter(Quota::is_limited);
        Ok(Some(Plan { record_change, quota, ..plan }))
    }

    /// Asks glance-svc what the image of an instance requires, if it still exists: no action depends on it.
    pub(super) async fn image_needs(&self, request: &ActionRequest<'_>, before: &Instance) -> Source {
        let (id, revision) = (before.record.image_id, before.record.image_revision);
        let image = self.glance.image_at(id, revision, request.caller, request.deadline).await;
        Source::Needs(id, revision, image.ok().map(|image| Needs::from(&*image)))
    }

    /// The record that the instance had before its task.
    pub(super) async fn former_record(&self, instance: &Instance) -> Result<Arc<Record>, Error> {
        let id = instance.task.as_ref().map(|task| task.former_record).ok_or(Error::Corrupt(instance.id))?;
        self.store.records(vec![id]).await?.remove(&id).ok_or(Error::Corrupt(instance.id))
    }
}

/// The record, with what its image requires; `None` if glance-svc must be asked, since records of earlier releases lack
/// that.
fn with_needs<'a>(record: &'a Record, source: Option<&Source>) -> Option<Cow<'a, Record>> {
    if record.needs.is_some() {
        return Some(Cow::Borrowed(record));
    }
    match source {
        Some(Source::Needs(id, revision, needs))
            if (*id, *revision) == (record.image_id, record.image_revision) =>
        {
            Some(Cow::Owned(Record { needs: *needs, ..record.clone() }))
        }
        _ => None,
    }
}
