//! A volume becomes larger.

use super::Plan;
use crate::{
    error::Error,
    quota::Growth,
    volume::{Target, Volume, checks},
    volumes::VolumeApi,
};

impl VolumeApi {
    /// A larger volume.
    pub(super) async fn extend(&self, before: &Volume, size_gib: i64) -> Result<Plan, Error> {
        let requested = i32::try_from(size_gib).unwrap_or(i32::MAX);
        if requested <= before.size_gib {
            return Err(Error::NotLarger { id: before.id, size_gib: before.size_gib, requested });
        }
        let id = before.volume_type_id.to_string();
        if let Some(volume_type) = self.store.volume_type(&id).await? {
            checks::check_size_for_type(&volume_type, requested)?;
        }
        let growth = Growth::extension(before.size_gib, requested, &before.volume_type);
        let target = Target { size_gib: Some(requested), ..Target::default() };
        Ok(Plan::Task { target, image: None, snapshot_id: None, growth })
    }
}
