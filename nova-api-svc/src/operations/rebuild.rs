//! Instances that get another image, or the newest revision of their own.

use common::id::Id;

use super::{Asked, Operations, Plan};
use crate::{
    error::Error,
    instance::{Instance, afterwards::rebuild},
    pipeline::checks,
};

impl Operations {
    pub(super) async fn rebuild(
        &self,
        asked: &Asked<'_>,
        before: &Instance,
        image_id: Option<Id>,
        auto_disk_config: Option<bool>,
    ) -> Result<Plan, Error> {
        let (record, caller, deadline) = (&before.record, asked.caller, asked.deadline);
        let image = self.pipeline.glance.image(image_id.unwrap_or(record.image_id), caller, deadline).await?;
        checks::check_auto_disk_config(auto_disk_config, &image)?;
        checks::check_requested_image(&image, &record.flavor)?;
        let boot = self.pipeline.kernel_and_ramdisk((None, None), &image, caller, deadline).await?;
        Ok(Plan::to(rebuild(record, &image, &boot, auto_disk_config)))
    }
}
