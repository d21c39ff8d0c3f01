//! Instances that get another image, or the newest revision of their own.

use std::sync::Arc;

use common::id::Id;

use super::{Asked, Operations, Plan, Wish};
use crate::{
    error::Error,
    glance::Image,
    instance::{
        Instance,
        afterwards::{confirm_resize, rebuild, unshelve},
    },
    pipeline::checks,
};

/// What an instance is made from again.
#[derive(Debug)]
pub(super) struct Source {
    image: Arc<Image>,
    boot: checks::Boot,
}

impl Source {
    /// Whether it is what an instance is to be made from, if that is `image_id`, or else its own image.
    pub(super) fn is_of(&self, image_id: Option<Id>, before: &Instance) -> bool {
        self.image.id == image_id.unwrap_or(before.record.image_id)
    }
}

impl Operations {
    /// Asks glance-svc for what an instance is to be made from, after the checks of a create.
    pub(super) async fn source(
        &self,
        wish: &Wish,
        asked: &Asked<'_>,
        before: &Instance,
    ) -> Result<Source, Error> {
        let (image_id, auto_disk_config) = match wish {
            Wish::Rebuild { image_id, auto_disk_config } => (*image_id, *auto_disk_config),
            _ => (None, None),
        };
        let (record, caller, deadline) = (&before.record, asked.caller, asked.deadline);
        let image = self.pipeline.glance.image(image_id.unwrap_or(record.image_id), caller, deadline).await?;
        checks::check_auto_disk_config(auto_disk_config, &image)?;
        checks::check_requested_image(&image, &record.flavor)?;
        let boot = self.pipeline.kernel_and_ramdisk((None, None), &image, caller, deadline).await?;
        Ok(Source { image, boot })
    }
}

/// What becomes of an instance that is made from `source`; its flavor may be another one than when that was checked.
pub(super) fn plan(
    before: &Instance,
    source: &Source,
    auto_disk_config: Option<bool>,
) -> Result<Plan, Error> {
    checks::check_requested_image(&source.image, &before.record.flavor)?;
    // One in error may have been resized or put away: it stays what it is, and begins anew.
    let record = unshelve(&confirm_resize(&before.record));
    Ok(Plan::to(rebuild(&record, &source.image, &source.boot, auto_disk_config)))
}
