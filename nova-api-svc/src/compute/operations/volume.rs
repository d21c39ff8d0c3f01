//! Volumes of instances that exist: attaching and detaching them, and what becomes of them with the instance.

use std::time::Duration;

use common::{clock, id::Id, violations::Violations};

use super::{ActionRequest, Plan, Source};
use crate::{
    compute::{
        ComputeApi,
        volumes::{check_usable, reservation},
    },
    error::{Error, VolumeError},
    instance::{
        BlockDevice, BlockDevices, Instance,
        block_device::{Mapping, check_device_name, check_tag},
    },
    store::{Removal, VolumeAction, VolumeJob},
};

/// A volume to be attached. Its serialized form identifies a retry.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct NewVolumeAttachment {
    /// The volume.
    pub volume_id: Id,
    /// Name of the device; may be empty.
    pub device_name: String,
    /// How the guest recognizes it; may be empty.
    pub tag: String,
    /// Whether the volume is deleted together with the instance.
    pub delete_on_termination: bool,
}

/// A volume that is reserved for an instance, and how large it is.
#[derive(Debug)]
pub(super) struct Reserved {
    volume_id: Id,
    attachment_id: Id,
    size_gib: i32,
}

impl NewVolumeAttachment {
    /// Everything that is wrong with it.
    pub(super) fn violations(&self) -> Violations {
        let mut violations = Violations::default();
        violations.take("device_name", check_device_name(&self.device_name));
        violations.take("tag", check_tag(&self.tag));
        violations
    }

    /// Refuses an instance that has the volume already, or uses the tag or the name of the device for another one.
    fn check(&self, before: &Instance) -> Result<(), Error> {
        let (id, volume_id) = (before.id, self.volume_id);
        if before.block_devices.iter().any(|device| device.volume_id == Some(volume_id)) {
            return Err(VolumeError::Attached { id, volume_id }.into());
        }
        let mut violations = Violations::default();
        for (field, value) in [("tag", &self.tag), ("device_name", &self.device_name)] {
            let is_taken = before.block_devices.iter().any(|device| match field {
                "tag" => device.mapping.tag == *value,
                _ => device.mapping.device_name == *value,
            });
            if is_taken && !value.is_empty() {
                violations.add(field, "is already that of another disk of the instance");
            }
        }
        Ok(violations.check()?)
    }
}

/// The deletion of an instance, and the job of taking back its volumes. Nobody waits for that.
pub(super) fn delete(request: &ActionRequest<'_>, before: &Instance) -> Plan {
    let removals: Vec<_> = before.block_devices.iter().filter_map(Removal::of).collect();
    let is_needed = !removals.is_empty();
    let action = VolumeAction::Remove(removals);
    let job = || VolumeJob::new(before.id, action, request.caller, clock::now(), Duration::ZERO);
    Plan { volumes: is_needed.then(job), ..Plan::default() }
}

impl ComputeApi {
    /// The instance with a volume that has been reserved for it; `None` if that is still to be done.
    pub(super) fn attach_volume(
        &self,
        request: &ActionRequest<'_>,
        before: &Instance,
        new: &NewVolumeAttachment,
        source: Option<&Source>,
    ) -> Result<Option<Plan>, Error> {
        new.check(before)?;
        let Some(Source::Volume(reserved)) = source else { return Ok(None) };
        let Reserved { volume_id, attachment_id, size_gib } = *reserved;
        let (device_name, tag) = (new.device_name.clone(), new.tag.clone());
        let mapping = Mapping::attached(volume_id, size_gib, device_name, tag, new.delete_on_termination);
        let new = BlockDevice::new(Some(volume_id), mapping);
        let device = BlockDevice { attachment_id: Some(attachment_id), ..new };
        let devices = before.block_devices.iter().cloned().chain([device]).collect();
        Ok(Some(self.with_devices(request, before, (volume_id, devices))))
    }

    /// The instance with a volume that is being detached; `None` if it already is.
    pub(super) fn detach_volume(
        &self,
        request: &ActionRequest<'_>,
        before: &Instance,
        volume_id: Id,
    ) -> Result<Option<Plan>, Error> {
        let id = before.id;
        let device = before.block_devices.iter().find(|device| device.volume_id == Some(volume_id));
        let device = device.ok_or(VolumeError::NotAttached { id, volume_id })?;
        if device.mapping.is_root() {
            return Err(VolumeError::Root { id, volume_id }.into());
        }
        if device.detaching {
            return Ok(None);
        }
        let devices = before
            .block_devices
            .iter()
            .map(|other| BlockDevice { detaching: other.detaching || other == device, ..other.clone() });
        Ok(Some(self.with_devices(request, before, (volume_id, devices.collect()))))
    }

    /// An instance with these disks, of which that of the volume has changed, and what cinder-svc has to do for it.
    fn with_devices(
        &self,
        request: &ActionRequest<'_>,
        before: &Instance,
        devices: (Id, BlockDevices),
    ) -> Plan {
        let volumes = self.attach_job(before.id, request.caller);
        Plan { devices: Some(devices), volumes: Some(volumes), ..Plan::default() }
    }

    /// Reserves a volume that is to be attached to an instance.
    pub(super) async fn reserve_volume(
        &self,
        request: &ActionRequest<'_>,
        new: &NewVolumeAttachment,
    ) -> Result<Reserved, Error> {
        let (cinder, caller, deadline) = (self.cinder()?, request.caller, request.deadline);
        let volume_id = new.volume_id;
        let volume = cinder.volume(volume_id, caller, deadline).await?;
        check_usable(&volume)?;
        let new = reservation(volume_id, request.instance_id, Id::random().to_string());
        let attachment = cinder.create_attachment(&new, caller, deadline).await?;
        Ok(Reserved { volume_id, attachment_id: attachment.id, size_gib: volume.size_gib })
    }

    /// Ends the reservation of a volume that was not attached after all. If that fails, it lapses.
    pub(super) async fn release_volume(&self, request: &ActionRequest<'_>, source: Option<&Source>) {
        let (Some(Source::Volume(reserved)), Some(cinder)) = (source, &self.cinder) else { return };
        if let Err(error) = cinder.delete_attachment(reserved.attachment_id, request.caller, None).await {
            let (volume_id, error) = (reserved.volume_id.to_string(), &error as &dyn std::error::Error);
            tracing::warn!(volume_id, error, "the reservation of a volume is left to lapse");
        }
    }
}
