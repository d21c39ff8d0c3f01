//! Instances that get another flavor.

use std::sync::Arc;

use super::{Operations, Plan};
use crate::{
    error::Error,
    instance::{
        Aim, Instance, Record,
        afterwards::{image_of, resize},
    },
    pipeline::checks,
    quota::Quota,
};

impl Operations {
    pub(super) async fn resize(&self, before: &Instance, flavor_id: &str) -> Result<Plan, Error> {
        let record = &before.record;
        let flavor = self.pipeline.flavor(flavor_id).await?;
        if flavor.instance_type_id == record.flavor.instance_type_id {
            return Err(Error::SameFlavor { id: before.id, flavor_id: flavor_id.to_owned() });
        }
        checks::check_requested_image(&image_of(record), &flavor)?;
        let (meanwhile, target) = resize(record, &flavor, before.state);
        let plan = Plan::to(target);
        let aim = Aim { meanwhile: Some(Arc::new(meanwhile)), ..plan.aim };
        let quota = Some(self.pipeline.quota).filter(Quota::is_limited);
        Ok(Plan { aim, quota, ..plan })
    }

    /// The record that the task of an instance goes back to.
    pub(super) async fn former(&self, instance: &Instance) -> Result<Arc<Record>, Error> {
        let id = instance.task.as_ref().map(|task| task.former_record).ok_or(Error::Corrupt(instance.id))?;
        self.pipeline.store.records(vec![id]).await?.remove(&id).ok_or(Error::Corrupt(instance.id))
    }
}
