//! Creating a volume: what its data comes from decides what it remembers.
//!
//! | Cinder (`flows/api/create_volume.py`) | here |
//! |---|---|
//! | the request's schema | [`NewVolume::check`](crate::volume::NewVolume::check) |
//! | `ExtractVolumeRequestTask` | [`VolumeApi::create_volume`], [`checks`] |
//! | `get_volume_image_metadata` | [`common::volume_image_metadata::volume_image_metadata_from_image`] |
//! | `QuotaReserveTask`, `EntryCreateTask`, `QuotaCommitTask` | [`Store::create`](crate::store::Store::create), one transaction |

use std::sync::Arc;

use chassis::{caller::Caller, deadline::Deadline, scope::Scope};
use common::{
    clock,
    id::Id,
    image::{Image, devices::root_snapshot},
    volume_image_metadata::VolumeImageMetadata,
};
use peers::glance;

use super::VolumeApi;
use crate::{
    error::{Error, VolumeTypeError},
    quota::Growth,
    store::{Claim, Creation},
    volume::{
        CreateVolume, Record, Source, Status, Storage, Target, Task, TaskState, Volume, VolumeType,
        access::{SNAPSHOTS, VOLUMES},
        checks,
    },
};

/// What a volume gets from what its data comes from.
#[derive(Debug, Default)]
struct Origin {
    /// What it remembers, before properties are added.
    metadata: VolumeImageMetadata,
    bootable: bool,
    /// The smallest size that holds the data, in GiB.
    least_gib: Option<i32>,
    /// The volume type of the source.
    volume_type_id: Option<Id>,
    availability_zone: Option<String>,
    image: Option<Arc<Image>>,
    snapshot_id: Option<Id>,
    source_volume_id: Option<Id>,
}

impl VolumeApi {
    /// Creates a volume, or only reports what it would create (`validate_only`). A retry with the same `request_id` is
    /// answered with what the first one created, which needs nothing else: not glance-svc, not the image.
    pub async fn create_volume(
        &self,
        request: CreateVolume,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Volume, Error> {
        let (scope, id) = (Scope::create(caller, VOLUMES)?, Id::now());
        let claim = Claim::new("volume", request.request_id.as_deref(), &request, &caller.actor, id);
        if let Some(before) = self.store.created(&claim, &scope).await? {
            return Ok(before);
        }
        let origin = self.origin(request.source, caller, deadline).await?;
        let volume_type = self.type_of_new_volume(&request, &origin, caller).await?;
        let volume = self.new_volume(&request, &origin, &volume_type, (id, caller))?;
        let growth = Growth::volume(volume.size_gib, &volume.volume_type);
        if request.validate_only {
            self.store.check_quota(&self.quota, &volume.project_id, &growth).await?;
            return Ok(volume);
        }
        let (quota, size) = (self.quota, request.size());
        let created = self.store.create(Creation { claim, scope, size, volume, quota, growth }).await;
        if matches!(created, Err(Error::VolumeType(VolumeTypeError::NotFound(_)))) {
            // It has just been deleted: the error is the same as if it had never been there.
            self.type_of_new_volume(&request, &origin, caller).await?;
        }
        let volume = created?;
        self.announce_task(Some(&volume));
        Ok(volume)
    }

    /// What a volume gets from its source, which must be there, visible and usable.
    async fn origin(
        &self,
        source: Source,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Origin, Error> {
        match source {
            Source::Blank => Ok(Origin::default()),
            Source::Image(id, revision) => {
                let image = self.image(id, revision, caller, deadline).await?;
                match root_snapshot(&image.meta.properties) {
                    Some(snapshot_id) => self.origin_in_snapshot(snapshot_id, caller).await,
                    None => {
                        let origin = origin_in_image(Arc::clone(&image))?;
                        self.check_format(self.storage, &image)?;
                        Ok(origin)
                    }
                }
            }
            Source::Snapshot(id) => self.origin_in_snapshot(id, caller).await,
            Source::Volume(id) => self.origin_in_volume(id, caller).await,
        }
    }

    /// An image as it is now, or at a revision.
    pub(super) async fn image(
        &self,
        id: Id,
        revision: i64,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Arc<Image>, Error> {
        if revision == 0 {
            return Ok(self.glance.image(id, caller, deadline).await?);
        }
        // The data is that of the image as it is now: glance-svc never changes it under the same id.
        match self.glance.image_at(id, revision, caller, deadline).await {
            Err(glance::Error::NotFound(_)) => match self.glance.image(id, caller, deadline).await {
                Ok(_) => Err(Error::NoSuchImageRevision { id, revision }),
                Err(error) => Err(error.into()),
            },
            answer => Ok(answer?),
        }
    }

    /// What the volume of the snapshot was at that moment, in the zone where it is.
    async fn origin_in_snapshot(&self, id: Id, caller: &Caller) -> Result<Origin, Error> {
        let source = self.store.snapshot(id, &Scope::read(caller, SNAPSHOTS)?).await?;
        let source = source.ok_or(Error::NoSuchSnapshot(id))?;
        source.check_copied()?;
        self.check_same_storage("snapshot", id, source.storage)?;
        let volume = self.store.volume(source.volume_id, &Scope::internal(VOLUMES)).await?;
        Ok(Origin {
            metadata: source.record.metadata.clone(),
            bootable: source.bootable,
            least_gib: Some(source.size_gib),
            volume_type_id: Some(source.volume_type_id),
            availability_zone: volume.map(|volume| volume.availability_zone),
            snapshot_id: Some(id),
            ..Origin::default()
        })
    }

    async fn origin_in_volume(&self, id: Id, caller: &Caller) -> Result<Origin, Error> {
        let source = self.store.volume(id, &Scope::read(caller, VOLUMES)?).await?;
        let source = source.ok_or(Error::NoSuchSourceVolume(id))?;
        source.check_copied()?;
        self.check_same_storage("volume", id, source.storage)?;
        Ok(Origin {
            metadata: source.record.metadata.clone(),
            bootable: source.bootable,
            least_gib: Some(source.size_gib),
            volume_type_id: Some(source.volume_type_id),
            availability_zone: Some(source.availability_zone),
            source_volume_id: Some(id),
            ..Origin::default()
        })
    }

    /// The type of a new volume: that of the request, else of its source, else the one that its image asks for, else the
    /// default.
    async fn type_of_new_volume(
        &self,
        request: &CreateVolume,
        origin: &Origin,
        caller: &Caller,
    ) -> Result<Arc<VolumeType>, Error> {
        if let Some(name) = &request.volume_type {
            return self.requested_volume_type(name, caller).await;
        }
        if let Some(id) = origin.volume_type_id {
            let found = self.store.volume_type(&id.to_string()).await?;
            return found.ok_or_else(|| VolumeTypeError::NotFound(id.to_string()).into());
        }
        let Some((image, name)) = origin
            .image
            .as_deref()
            .and_then(|image| Some((image, checks::volume_type_of(&image.meta.properties)?)))
        else {
            return self.volume_type("", caller).await;
        };
        self.volume_type(name, caller).await.map_err(|error| match error {
            Error::VolumeType(VolumeTypeError::NotFound(volume_type)) => {
                VolumeTypeError::NotFoundForImage { image_id: image.id, volume_type }.into()
            }
            error => error,
        })
    }

    /// The volume type that a request names.
    pub(super) async fn requested_volume_type(
        &self,
        name: &str,
        caller: &Caller,
    ) -> Result<Arc<VolumeType>, Error> {
        self.volume_type(name, caller).await.map_err(|error| match error {
            Error::VolumeType(VolumeTypeError::NotFound(name)) => VolumeTypeError::NoSuch(name).into(),
            error => error,
        })
    }

    /// The volume, if it passes Cinder's checks in Cinder's order.
    fn new_volume(
        &self,
        request: &CreateVolume,
        origin: &Origin,
        volume_type: &VolumeType,
        (id, caller): (Id, &Caller),
    ) -> Result<Volume, Error> {
        let least = origin.least_gib.unwrap_or(1);
        let size_gib = request.size_gib.unwrap_or(least);
        if let Some(image) = &origin.image {
            checks::check_size_for_image(image, size_gib)?;
        } else if size_gib < least {
            return Err(Error::VolumeSmallerThanSource { needed: least, size_gib });
        }
        checks::check_size_for_type(volume_type, size_gib)?;
        let zone = self.availability_zone(request, origin)?;
        let metadata = checks::with_properties(&origin.metadata, &request.image_properties)?;
        let now = clock::now();
        let status = if self.storage == Storage::None { Status::Available } else { Status::Creating };
        let task = (status == Status::Creating).then(|| Task {
            state: TaskState::Creating,
            former_status: Status::Creating,
            target: Target { data_id: self.storage.new_data(), ..Target::default() },
            image: origin.image.as_ref().map(|image| (image.id, image.revision)),
            snapshot_id: origin.snapshot_id,
            source_volume_id: origin.source_volume_id,
            caller: caller.clone(),
            create_time: now,
        });
        Ok(Volume {
            id,
            name: request.name.clone(),
            description: request.description.clone(),
            project_id: caller.actor.project_id.clone(),
            user_id: caller.actor.user_id.clone(),
            size_gib,
            volume_type_id: volume_type.id,
            volume_type: volume_type.name.as_str().into(),
            availability_zone: zone,
            metadata: request.metadata.clone(),
            status,
            task,
            last_failure: None,
            record: Arc::new(Record::new(metadata)),
            bootable: origin.bootable,
            snapshot_id: origin.snapshot_id,
            source_volume_id: origin.source_volume_id,
            attachments: Vec::new(),
            multiattach: volume_type.multiattach(),
            read_only: false,
            storage: self.storage,
            host: String::new(),
            data_id: None,
            revision: 1,
            create_time: now,
            update_time: now,
        })
    }

    /// The zone of a new volume: that of the request, else of its source, else the default.
    fn availability_zone(&self, request: &CreateVolume, origin: &Origin) -> Result<String, Error> {
        let zones = &self.availability_zones;
        match &request.availability_zone {
            Some(zone) if zones.contains(zone) => Ok(zone.clone()),
            Some(zone) => Err(Error::NoSuchAvailabilityZone { zone: zone.clone(), zones: zones.clone() }),
            None => {
                let default = || zones.first().cloned().unwrap_or_default();
                Ok(origin.availability_zone.clone().unwrap_or_else(default))
            }
        }
    }
}

fn origin_in_image(image: Arc<Image>) -> Result<Origin, Error> {
    checks::check_image(&image)?;
    let least = image.min_volume_gib();
    Ok(Origin {
        metadata: common::volume_image_metadata::volume_image_metadata_from_image(&image),
        bootable: true,
        least_gib: Some(i32::try_from(least).unwrap_or(i32::MAX)),
        image: Some(image),
        ..Origin::default()
    })
}
