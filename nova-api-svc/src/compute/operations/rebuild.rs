//! Rebuilding an instance from another image, or from the current revision of its own.

use std::sync::Arc;

use common::{
    id::{Id, NIL},
    image::{Image, devices::root_snapshot},
    violations::Violations,
};

use super::{ActionRequest, Plan};
use crate::{
    compute::ComputeApi,
    error::{Error, VolumeError},
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
    /// The size of the volume that it boots from, if it does.
    volume_gib: Option<i32>,
}

impl Source {
    /// Whether it is `image_id`, or the instance's own image if that is `None`.
    fn is_of(&self, image_id: Option<Id>, before: &Instance) -> bool {
        self.image.id == image_id.unwrap_or(before.record.image_id)
    }

    /// Refuses an image that does not fit the flavor of the instance, or the volume that it boots from (Nova,
    /// `_validate_flavor_image_nostatus`).
    fn check(&self, before: &Instance) -> Result<(), Error> {
        let (image, flavor) = (&self.image, &before.record.flavor);
        let Some(size_gib) = self.volume_gib.map(i64::from) else {
            return checks::check_requested_image(image, flavor);
        };
        checks::check_image_for_volume(image, flavor, None)?;
        let needed = image.min_volume_gib();
        if needed > size_gib {
            return Err(VolumeError::SmallerThanMinDisk { id: image.id, needed, size_gib }.into());
        }
        Ok(())
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
        let id = image_id.unwrap_or(record.image_id);
        if id == Id::from(NIL) {
            let problem = "must be given: the volume that the instance boots from remembers no image";
            return Err(Violations::one("image_id", problem).into());
        }
        let volume_gib = match before.root_volume() {
            Some(id) => Some(self.cinder()?.volume(id, caller, deadline).await?.size_gib),
            None => None,
        };
        let image = self.glance.image(id, caller, deadline).await?;
        checks::check_auto_disk_config(auto_disk_config, image.id, &image.meta.properties)?;
        if let Some(snapshot_id) = root_snapshot(&image.meta.properties) {
            return Err(VolumeError::ImageOfVolume { id, snapshot_id }.into());
        }
        let origin = Origin::Image(Arc::clone(&image));
        let mut source = Source { image, boot: checks::Boot::default(), volume_gib };
        source.check(before)?;
        source.boot = self.kernel_and_ramdisk((None, None), &origin, caller, deadline).await?;
        Ok(source)
    }

    /// The record made from `source`; `None` if glance-svc must be asked, since the instance has another image by now. The
    /// flavor may have changed since the image was checked, so it is checked again. A volume that the instance boots from is
    /// given the data of the image (Nova, since 2.93), and the record changes once that has them.
    pub(super) fn rebuild(
        &self,
        request: &ActionRequest<'_>,
        before: &Instance,
        source: Option<&super::Source>,
        (image_id, auto_disk_config): (Option<Id>, Option<bool>),
    ) -> Result<Option<Plan>, Error> {
        let Some(super::Source::Rebuild(source)) = source else { return Ok(None) };
        if !source.is_of(image_id, before) {
            return Ok(None);
        }
        source.check(before)?;
        // An instance in error may be resized or shelved: it keeps the flavor it has, and starts afresh.
        let record = unshelve(&confirm_resize(&before.record));
        let plan = Plan::to(rebuild(&record, &source.image, &source.boot, auto_disk_config));
        let volumes = before.root_volume().map(|_| self.attach_job(before.id, request.caller));
        Ok(Some(Plan { volumes, ..plan }))
    }
}
