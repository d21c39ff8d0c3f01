//! Instances that get another image, or the newest revision of their own.

use std::sync::Arc;

use common::{id::Id, image::Image};

use super::{ActionRequest, Plan};
use crate::{
    compute::ComputeApi,
    error::Error,
    instance::{
        Instance, checks,
        transitions::{confirm_resize, rebuild, unshelve},
    },
};

/// What an instance is made from again.
#[derive(Debug)]
pub(super) struct Source {
    image: Arc<Image>,
    boot: checks::Boot,
}

impl Source {
    /// Whether it is what an instance is to be made from, if that is `image_id`, or else its own image.
    fn is_of(&self, image_id: Option<Id>, before: &Instance) -> bool {
        self.image.id == image_id.unwrap_or(before.record.image_id)
    }
}

impl ComputeApi {
    /// Asks glance-svc for what an instance is to be made from, after the checks of a create.
    pub(super) async fn rebuild_source(
        &self,
        request: &ActionRequest<'_>,
        before: &Instance,
        image_id: Option<Id>,
        auto_disk_config: Option<bool>,
    ) -> Result<Source, Error> {
        let (record, caller, deadline) = (&before.record, request.caller, request.deadline);
        let image = self.glance.image(image_id.unwrap_or(record.image_id), caller, deadline).await?;
        checks::check_auto_disk_config(auto_disk_config, &image)?;
        checks::check_requested_image(&image, &record.flavor)?;
        let boot = self.kernel_and_ramdisk((None, None), &image, caller, deadline).await?;
        Ok(Source { image, boot })
    }
}

/// What becomes of an instance that is made from `source`, unless that is another image by now; its flavor may be another
/// one than when that was checked.
pub(super) fn plan(
    before: &Instance,
    source: Option<&super::Source>,
    image_id: Option<Id>,
    auto_disk_config: Option<bool>,
) -> Result<Option<Plan>, Error> {
    let Some(super::Source::Rebuild(source)) = source else { return Ok(None) };
    if !source.is_of(image_id, before) {
        return Ok(None);
    }
    checks::check_requested_image(&source.image, &before.record.flavor)?;
    // One in error may have been resized or put away: it stays what it is, and begins anew.
    let record = unshelve(&confirm_resize(&before.record));
    Ok(Some(Plan::to(rebuild(&record, &source.image, &source.boot, auto_disk_config))))
}
