//! A volume gets another type.

use chassis::caller::Caller;

use super::Plan;
use crate::{
    error::{Error, VolumeTypeError},
    quota::Growth,
    volume::{Target, Volume, checks},
    volumes::VolumeApi,
};

impl VolumeApi {
    /// A volume of another type.
    pub(super) async fn retype(&self, before: &Volume, name: &str, caller: &Caller) -> Result<Plan, Error> {
        let volume_type = self.requested_volume_type(name, caller).await?;
        if volume_type.id == before.volume_type_id {
            return Err(VolumeTypeError::Same { id: before.id, volume_type: volume_type.name.clone() }.into());
        }
        checks::check_size_for_type(&volume_type, before.size_gib)?;
        let multiattach = volume_type.multiattach();
        if multiattach != before.multiattach && !before.attachments.is_empty() {
            return Err(VolumeTypeError::MultiattachInUse {
                id: before.id,
                volume_type: volume_type.name.clone(),
            }
            .into());
        }
        let target = Target {
            volume_type: Some((volume_type.id, volume_type.name.as_str().into())),
            multiattach: Some(multiattach),
            ..Target::default()
        };
        let growth = Growth::retype(before.size_gib, &volume_type.name);
        Ok(Plan::Task { target, image: None, snapshot_id: None, growth })
    }
}
