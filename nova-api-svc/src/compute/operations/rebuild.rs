//! Rebuilding an instance from another image, or from the current revision of its own.

use std::sync::Arc;

use common::{id::Id, image::Image};

use super::{ActionRequest, Plan};
use crate::{
    compute::ComputeApi,
    error::Error,
    instance::{
        Instance, checks,
        origin::Origin,
        transitions::{confirm_resize, rebuild, unshelve},
    },
};

/// What an instance is rebuilt from.
#[derive(Debug)]
pub(super) struct Source {
    image: Arc<Image>,
    boot: checks::Boot,
}

impl Source {
    /// Whether it is `image_id`, or the instance's own image if that is `None`.
    fn is_of(&self, image_id: Option<Id>, before: &Instance) -> bool {
        self.image.id == image_id.unwrap_or(before.record.image_id)
    }
}

impl ComputeApi {
    /// Asks glance-svc for the image to rebuild an instance from, and checks it as a create does.
    pub(super) async fn rebuild_source(
        &self,
        request: &ActionRequest<'_>,
        before: &Instance,
        image_id: Option<Id>,
        auto_disk_config: Option<bool>,
    ) -> Result<Source, Error> {
        let (record, caller, deadline) = (&before.record, request.caller, request.deadline);
        let image = self.glance.image(image_id.unwrap_or(record.image_id), caller, deadline).await?;
        checks::check_auto_disk_config(auto_disk_config, image.id, &image.meta.properties)?;
        checks::check_requested_image(&image, &record.flavor)?;
        let origin = Origin::Image(Arc::clone(&image));
        let boot = self.kernel_and_ramdisk((None, None), &origin, caller, deadline).await?;
        Ok(Source { image, boot })
    }
}

/// The record made from `source`; `None` if glance-svc must be asked, since the instance has another image by now. The
/// flavor may have changed since the image was checked, so it is checked again.
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
    // An instance in error may be resized or shelved: it keeps the flavor it has, and starts afresh.
    let record = unshelve(&confirm_resize(&before.record));
    Ok(Some(Plan::to(rebuild(&record, &source.image, &source.boot, auto_disk_config))))
}
