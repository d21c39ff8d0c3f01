//! Volume types: everybody reads those that its project may use, admins change them.

use std::sync::Arc;

use chassis::{
    caller::Caller,
    page::{Page, Read},
    scope::check_admin,
};
use common::{clock, id::Id};

use super::VolumeApi;
use crate::{
    error::{Error, VolumeTypeError},
    list::VolumeTypeOrder,
    volume::{
        VolumeType,
        volume_type::{NewVolumeType, VolumeTypeUpdate},
    },
};

impl VolumeApi {
    /// The volume type with that name or id, if the caller's project may use it; the default, if nobody names one.
    pub async fn volume_type(&self, name_or_id: &str, caller: &Caller) -> Result<Arc<VolumeType>, Error> {
        let wanted = if name_or_id.is_empty() { &self.default_volume_type } else { name_or_id };
        let found = self.store.volume_type(wanted).await?.filter(|found| found.is_usable_by(caller));
        let not_found =
            if name_or_id.is_empty() { VolumeTypeError::DefaultNotFound } else { VolumeTypeError::NotFound };
        found.ok_or_else(|| not_found(wanted.to_owned()).into())
    }

    /// Adds a volume type; for admins.
    pub async fn create_volume_type(&self, new: NewVolumeType, caller: &Caller) -> Result<VolumeType, Error> {
        check_admin(caller, CHANGE)?;
        let checked = new.check(Id::random(), clock::now());
        let volume_type = checked.map_err(|violations| violations.within("volume_type."))?;
        self.store.insert_volume_type(&volume_type).await?;
        Ok(volume_type)
    }

    /// The volume type with that name or id, as far as the caller may see it; the default, if nobody names one.
    pub async fn get_volume_type(&self, name_or_id: &str, caller: &Caller) -> Result<VolumeType, Error> {
        Ok(self.volume_type(name_or_id, caller).await?.seen_by(caller))
    }

    /// A page of the volume types that the caller's project may use, as far as it fits into an answer; for admins, of all.
    /// With `is_public`, only of those that are, or are not.
    pub async fn list_volume_types(
        &self,
        page: &Page<VolumeTypeOrder>,
        is_public: Option<bool>,
        caller: &Caller,
    ) -> Result<Read<VolumeType>, Error> {
        let read = self.store.list_volume_types(page, is_public, caller).await?;
        read.try_map(|volume_type| Ok(volume_type.seen_by(caller)))
    }

    /// Changes a volume type; for admins. A non-empty `etag` must be its current one.
    pub async fn update_volume_type(
        &self,
        id: Id,
        update: &VolumeTypeUpdate,
        etag: &str,
        caller: &Caller,
    ) -> Result<VolumeType, Error> {
        check_admin(caller, CHANGE)?;
        let now = clock::now();
        let decide = |before: &VolumeType| {
            check_etag(before, etag)?;
            let changed = update.apply(before).map_err(|violations| violations.within("volume_type."))?;
            Ok(VolumeType { update_time: before.update_time.max(now), ..changed })
        };
        self.store.update_volume_type(id, decide).await
    }

    /// Deletes a volume type that nothing has and that is not the default; for admins. A non-empty `etag` must be its
    /// current one.
    pub async fn delete_volume_type(&self, id: Id, etag: &str, caller: &Caller) -> Result<(), Error> {
        check_admin(caller, CHANGE)?;
        let decide = |before: &VolumeType| {
            check_etag(before, etag)?;
            let is_default = [&before.name, &before.id.to_string()].contains(&&self.default_volume_type);
            if is_default { Err(VolumeTypeError::IsDefault(before.name.clone()).into()) } else { Ok(()) }
        };
        self.store.delete_volume_type(id, decide).await
    }
}

/// What only admins may do.
const CHANGE: &str = "change volume types";

fn check_etag(volume_type: &VolumeType, given: &str) -> Result<(), Error> {
    let current = volume_type.etag();
    if given.is_empty() || given == current {
        return Ok(());
    }
    let (kind, id, given) = ("volume type", volume_type.id, given.to_owned());
    Err(Error::StaleEtag { kind, id, given, current })
}
