//! Volumes as they are and as they were, their history, and how they compare with their images.

use chassis::{
    caller::Caller,
    deadline::Deadline,
    page::{Page, Read},
    scope::Scope,
};
use chrono::{DateTime, Utc};
use common::{
    id::Id,
    image::change::{Change, Subject},
    volume_image_metadata::{changes, volume_image_metadata_from_image},
};
use peers::glance;

use super::VolumeApi;
use crate::{
    error::Error,
    list::{HistoryOrder, VolumeFilter, VolumeOrder},
    store::{HistoryEntry, Summary},
    volume::{
        Record, Volume,
        access::VOLUMES,
        history::{Attributes, PastVolume},
    },
};

/// What a volume remembers, compared with its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The image and the revision that the volume was made from; `None` if its data did not come from an image.
    pub image: Option<(Id, i64)>,
    /// The image's current revision, and the differences from the volume to it; `None` if there is no such image any
    /// more.
    pub current: Option<(i64, Vec<Change>)>,
    /// The differences to the image as it was; `None` if that can no longer be read.
    pub at_revision: Option<Vec<Change>>,
}

impl VolumeApi {
    /// The volume with that id.
    pub async fn get_volume(&self, id: Id, caller: &Caller) -> Result<Volume, Error> {
        let scope = Scope::read(caller, VOLUMES)?;
        self.store.volume(id, &scope).await?.ok_or(Error::VolumeNotFound(id))
    }

    /// The volume as it was at `revision`, even after it was deleted.
    pub async fn get_volume_at(&self, id: Id, revision: i64, caller: &Caller) -> Result<Volume, Error> {
        let scope = Scope::read(caller, VOLUMES)?;
        let now = self.store.volume(id, &scope).await?;
        if let Some(now) = now.filter(|now| now.revision == revision) {
            return Ok(now.past());
        }
        let Some((past, time)) = self.store.volume_at(id, revision, &scope).await? else {
            return Err(Error::RevisionNotFound { id, revision });
        };
        let created = match revision {
            1 => time,
            _ => self.store.volume_at(id, 1, &Scope::internal(VOLUMES)).await?.map_or(time, |first| first.1),
        };
        Ok(past.volume((id, revision), (created, time)))
    }

    /// A page of the volumes within `scope` ([`VolumeFilter::scope`]). It may be one item too long, which shows that
    /// there is a next page.
    pub async fn list_volumes(
        &self,
        filter: &VolumeFilter,
        page: &Page<VolumeOrder>,
        scope: &Scope,
    ) -> Result<Read<Volume>, Error> {
        self.store.list_volumes(filter, page, scope).await
    }

    /// How many volumes there are in the caller's project, or in all, and of what size.
    pub async fn summarize_volumes(&self, all_projects: bool, caller: &Caller) -> Result<Summary, Error> {
        let scope = Scope::list(caller, VOLUMES, all_projects, false)?;
        Ok(self.store.summary(&scope).await?)
    }

    /// A page of the history of a volume within `scope` ([`Scope::read`]), also after its deletion. It may be one item
    /// too long, which shows that there is a next page.
    pub async fn volume_history(
        &self,
        id: Id,
        page: &Page<HistoryOrder>,
        scope: &Scope,
    ) -> Result<Read<HistoryEntry>, Error> {
        let history = self.store.history(id, page, scope).await?;
        if !history.items.is_empty() || page.after().is_some() {
            return Ok(history);
        }
        match self.store.volume(id, scope).await? {
            Some(volume) if volume.revision == 1 => Ok(vec![HistoryEntry::creation(&volume)].into()),
            // It was changed between the two reads, or is gone.
            _ => {
                let history = self.store.history(id, page, scope).await?;
                if history.items.is_empty() { Err(Error::VolumeNotFound(id)) } else { Ok(history) }
            }
        }
    }

    /// Compares what a volume remembers with its image, as the image is and as it was.
    pub async fn compare_volume(
        &self,
        id: Id,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Comparison, Error> {
        let record = self.get_volume(id, caller).await?.record;
        let Some(image) = record.metadata.image.as_ref().map(|image| (image.id, image.revision)) else {
            return Ok(Comparison { image: None, current: None, at_revision: None });
        };
        let (current, original) = tokio::join!(
            self.glance.image(image.0, caller, deadline),
            self.glance.image_at(image.0, image.1, caller, deadline),
        );
        let (current, original) = (if_found(current)?, if_found(original)?);
        Ok(Comparison {
            image: Some(image),
            current: current.map(|image| (image.revision, differences(&record, &image))),
            at_revision: original.map(|image| differences(&record, &image)),
        })
    }
}

/// The differences from what a volume remembers to what the image says. The revision, which always differs from a newer
/// image, is not one of them.
pub(super) fn differences(record: &Record, image: &common::image::Image) -> Vec<Change> {
    let mut differences = changes(&record.metadata, &volume_image_metadata_from_image(image));
    let is_revision = |change: &Change| change.subject == Subject::Attribute("image_revision".to_owned());
    differences.retain(|change| !is_revision(change));
    differences
}

/// An image, if there is one.
fn if_found<T>(answer: Result<T, glance::Error>) -> Result<Option<T>, glance::Error> {
    match answer {
        Ok(image) => Ok(Some(image)),
        Err(glance::Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Volume {
    /// The volume without what its history does not have.
    fn past(self) -> Self {
        Self { attachments: Vec::new(), task: None, last_failure: None, host: String::new(), ..self }
    }
}

impl PastVolume {
    /// The volume at that revision, created and last changed at those times.
    fn volume(
        self,
        (id, revision): (Id, i64),
        (create_time, update_time): (DateTime<Utc>, DateTime<Utc>),
    ) -> Volume {
        let storage = self.attributes.storage();
        let Attributes { name, description, project_id, user_id, size_gib, .. } = self.attributes;
        Volume {
            id,
            name,
            description,
            project_id,
            user_id,
            size_gib,
            volume_type_id: self.attributes.volume_type_id,
            volume_type: self.attributes.volume_type,
            availability_zone: self.attributes.availability_zone,
            metadata: self.attributes.metadata,
            status: self.status,
            task: None,
            last_failure: None,
            record: self.record,
            bootable: self.attributes.bootable,
            snapshot_id: self.attributes.snapshot_id,
            source_volume_id: self.attributes.source_volume_id,
            attachments: Vec::new(),
            multiattach: self.attributes.multiattach,
            read_only: self.attributes.read_only,
            storage,
            host: String::new(),
            data_id: None,
            revision,
            create_time,
            update_time,
        }
    }
}
