//! Instances, their history, and how they compare with their images.

use std::sync::Arc;

use chassis::{
    caller::Caller,
    deadline::Deadline,
    page::{Page, Read},
};
use common::{id::Id, image::Image};
use peers::{cinder, glance};

use super::ComputeApi;
use crate::{
    error::Error,
    instance::{
        INSTANCES, Instance, Scope,
        difference::{Difference, EntryChange, differences, entry_changes},
        origin::{Origin, system_metadata_of},
    },
    list::{HistoryOrder, InstanceFilter, InstanceOrder},
    store::HistoryEntry,
};

/// The record of an instance, compared with its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The image.
    pub image_id: Id,
    /// The revision that the instance was made from.
    pub image_revision: i64,
    /// The image's current revision, and the differences to it; `None` if there is no such image any more.
    pub current: Option<(i64, Vec<Difference>)>,
    /// The differences to the image at `image_revision`; `None` if that can no longer be read.
    pub at_revision: Option<Vec<Difference>>,
    /// The volume that the instance boots from, and what that remembers; `None` for the latter if there is no such volume
    /// any more.
    pub root_volume: Option<(Id, Option<RootVolume>)>,
}

/// What a root volume remembers, compared with the record of its instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootVolume {
    /// The volume's revision.
    pub revision: i64,
    /// The image that its data came from, and the revision of it; the id of all zeros and 0 if they came from none.
    pub image: (Id, i64),
    /// The differences.
    pub differences: Vec<Difference>,
}

impl ComputeApi {
    /// The instance with that id.
    pub async fn get_instance(&self, id: Id, caller: &Caller) -> Result<Instance, Error> {
        self.instance(id, &Scope::read(caller, INSTANCES)?).await
    }

    pub(super) async fn instance(&self, id: Id, scope: &Scope) -> Result<Instance, Error> {
        self.store.instance(id, scope).await?.ok_or(Error::InstanceNotFound(id))
    }

    /// A page of the instances within `scope` ([`InstanceFilter::scope`]). It may be one item too long, which shows
    /// that there is a next page.
    pub async fn list_instances(
        &self,
        filter: &InstanceFilter,
        page: &Page<InstanceOrder>,
        scope: &Scope,
    ) -> Result<Read<Instance>, Error> {
        self.store.list_instances(filter, page, scope).await
    }

    /// A page of the history of an instance within `scope` ([`Scope::read`]), also after its deletion. It may be one
    /// item too long, which shows that there is a next page.
    pub async fn instance_history(
        &self,
        id: Id,
        page: &Page<HistoryOrder>,
        scope: &Scope,
    ) -> Result<Read<HistoryEntry>, Error> {
        let history = self.store.history(id, page, scope).await?;
        if !history.items.is_empty() || page.after().is_some() {
            return Ok(history);
        }
        match self.store.instance(id, scope).await? {
            Some(instance) if instance.revision == 1 => Ok(vec![HistoryEntry::creation(&instance)].into()),
            // It was changed between the two reads, or is gone.
            _ => {
                let history = self.store.history(id, page, scope).await?;
                if history.items.is_empty() { Err(Error::InstanceNotFound(id)) } else { Ok(history) }
            }
        }
    }

    /// Compares an instance with its image, as the image is and as it was.
    pub async fn compare_instance(
        &self,
        id: Id,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Comparison, Error> {
        let instance = self.get_instance(id, caller).await?;
        let record = &instance.record;
        let (image_id, image_revision) = (record.image_id, record.image_revision);
        let (current, original, root_volume) = tokio::join!(
            self.glance.image(image_id, caller, deadline),
            self.glance.image_at(image_id, image_revision, caller, deadline),
            self.compare_root_volume(&instance, caller, deadline),
        );
        let (current, original) = (if_found(current)?, if_found(original)?);
        let of_image = |image: &Image| {
            differences(record, &system_metadata_of(image, &record.flavor), &image.meta.properties)
        };
        Ok(Comparison {
            image_id,
            image_revision,
            current: current.map(|image| (image.revision, of_image(&image))),
            at_revision: original.map(|image| of_image(&image)),
            root_volume: root_volume?,
        })
    }

    /// Compares an instance with the volume that it boots from.
    async fn compare_root_volume(
        &self,
        instance: &Instance,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Option<(Id, Option<RootVolume>)>, Error> {
        let Some(id) = instance.root_volume() else { return Ok(None) };
        let volume = match self.cinder()?.volume(id, caller, deadline).await {
            Ok(volume) => volume,
            Err(cinder::Error::NotFound { .. }) => return Ok(Some((id, None))),
            Err(error) => return Err(error.into()),
        };
        let revision = volume.revision;
        let origin = Origin::Volume(Arc::new(volume.image_metadata));
        let (record, properties) = (&instance.record, origin.properties());
        let differences = differences(record, &origin.system_metadata(&record.flavor), &properties);
        Ok(Some((id, Some(RootVolume { revision, image: origin.image(), differences }))))
    }
}

/// An image, if there is one.
fn if_found<T>(answer: Result<T, glance::Error>) -> Result<Option<T>, glance::Error> {
    match answer {
        Ok(image) => Ok(Some(image)),
        Err(glance::Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl HistoryEntry {
    /// What changed in the system metadata, by key. Of an instance that was deleted, all of it went: that is not
    /// listed.
    #[must_use]
    pub fn system_metadata_changes(&self) -> Vec<EntryChange<'_>> {
        if self.entry.operation.deletes() {
            return Vec::new();
        }
        entry_changes(self.records.0.as_deref(), self.records.1.as_deref())
    }
}
