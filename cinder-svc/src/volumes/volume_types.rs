//! Volume types: everybody reads those that its project may use, admins change them.

use std::sync::Arc;

use chassis::caller::Caller;

use super::VolumeApi;
use crate::{error::Error, volume::VolumeType};

impl VolumeApi {
    /// The volume type with that name or id, if the caller's project may use it; the default, if nobody names one.
    pub async fn volume_type(&self, name_or_id: &str, caller: &Caller) -> Result<Arc<VolumeType>, Error> {
        let wanted = if name_or_id.is_empty() { &self.default_volume_type } else { name_or_id };
        let found = self.store.volume_type(wanted).await?.filter(|found| found.is_usable_by(caller));
        found.ok_or_else(|| {
            let name = wanted.to_owned();
            if name_or_id.is_empty() {
                Error::DefaultVolumeTypeNotFound(name)
            } else {
                Error::VolumeTypeNotFound(name)
            }
        })
    }
}
