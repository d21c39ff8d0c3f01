//! Registering and deleting images: doing either twice does no harm.

use std::time::{Duration, Instant};

use chassis::caller::Caller;
use common::{
    id::Id,
    image::{NewImage, Visibility, devices},
};
use prost_types::FieldMask;
use proto::glance::v1 as pb;
use tonic::Code;

use super::{Error, Glance, Images, NAME};
use crate::{
    client::Unanswered,
    refusal::{OF_A_CHANGE, OF_A_DELETION, refusal},
};

/// What happened to an image that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone.
    Yes,
    /// It did not exist.
    WasNotThere,
    /// It is protected, belongs to somebody else by now, or has had its data uploaded, and was left alone.
    LeftAlone,
}

impl Glance {
    /// Registers an image with this id; one that exists or ever existed counts as registered, since ids are random.
    pub async fn create(
        &self,
        id: Id,
        image: &NewImage,
        caller: &Caller,
        timeout: Duration,
    ) -> Result<(), Error> {
        let message = pb::CreateImageRequest { image: Some(new_image(id, image)) };
        let method = |mut images: Images, request| async move { images.create_image(request).await };
        match self.client.call(message, caller, timeout, method).await {
            Ok(_) => Ok(()),
            Err(unanswered) if unanswered.code() == Some(Code::AlreadyExists) => Ok(()),
            Err(unanswered) => match refused(&unanswered, OF_A_CHANGE) {
                Some(problem) => Err(Error::Refused { id, problem }),
                None => Err(unanswered.into()),
            },
        }
    }

    /// Deletes an image.
    pub async fn delete(&self, id: Id, caller: &Caller, timeout: Duration) -> Result<Deleted, Error> {
        self.delete_at(id, String::new(), caller, timeout).await
    }

    /// Deletes an image if nobody has uploaded its data. That it was to be protected once it has some does not matter.
    pub async fn delete_unfinished(
        &self,
        id: Id,
        caller: &Caller,
        timeout: Duration,
    ) -> Result<Deleted, Error> {
        let started = Instant::now();
        let message = pb::GetImageRequest { id: id.to_string(), revision: 0 };
        let method = |mut images: Images, request| async move { images.get_image(request).await };
        match self.client.call(message, caller, timeout, method).await {
            Ok(image) if matches!(image.status(), pb::image::Status::Queued | pb::image::Status::Saving) => {
                let left = || timeout.saturating_sub(started.elapsed());
                let etag = self.unprotected(image, caller, left()).await?;
                self.delete_at(id, etag, caller, left()).await
            }
            Ok(_) => Ok(Deleted::LeftAlone),
            Err(unanswered) if unanswered.code() == Some(Code::NotFound) => Ok(Deleted::WasNotThere),
            Err(unanswered) => Err(unanswered.into()),
        }
    }

    /// The etag of an image once it is not protected from deletion, if the caller may change that.
    async fn unprotected(
        &self,
        image: pb::Image,
        caller: &Caller,
        timeout: Duration,
    ) -> Result<String, Error> {
        if !image.protected {
            return Ok(image.etag);
        }
        let update_mask = Some(FieldMask { paths: vec!["protected".to_owned()] });
        let etag = image.etag.clone();
        let image = pb::Image { id: image.id, etag: image.etag, protected: false, ..pb::Image::default() };
        let message = pb::UpdateImageRequest { image: Some(image), update_mask };
        let method = |mut images: Images, request| async move { images.update_image(request).await };
        match self.client.call(message, caller, timeout, method).await {
            Ok(image) => Ok(image.etag),
            Err(unanswered) if refused(&unanswered, OF_A_DELETION).is_some() => Ok(etag),
            Err(unanswered) => Err(unanswered.into()),
        }
    }

    /// Deletes an image, and makes sure that it cannot be registered later: a request to register it, if it is
    /// `unregistered` for all we know, may still be on its way. It is therefore registered first, since an id that was used
    /// once cannot be used again.
    pub async fn delete_for_good(
        &self,
        id: Id,
        if_unfinished: bool,
        unregistered: Option<&NewImage>,
        caller: &Caller,
        end: Instant,
    ) -> Result<Deleted, Error> {
        let left = || end.saturating_duration_since(Instant::now());
        let deleted = if if_unfinished {
            self.delete_unfinished(id, caller, left()).await?
        } else {
            self.delete(id, caller, left()).await?
        };
        if let (Deleted::WasNotThere, Some(image)) = (deleted, unregistered) {
            match self.create(id, image, caller, left()).await {
                Ok(()) => drop(self.delete(id, caller, left()).await?),
                Err(Error::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(deleted)
    }

    /// Deletes an image if it has that etag; without an etag, whatever its state.
    async fn delete_at(
        &self,
        id: Id,
        etag: String,
        caller: &Caller,
        timeout: Duration,
    ) -> Result<Deleted, Error> {
        let message = pb::DeleteImageRequest { id: id.to_string(), etag };
        let method = |mut images: Images, request| async move { images.delete_image(request).await };
        match self.client.call(message, caller, timeout, method).await {
            Ok(()) => Ok(Deleted::Yes),
            Err(unanswered) if unanswered.code() == Some(Code::NotFound) => Ok(Deleted::WasNotThere),
            Err(unanswered) if refused(&unanswered, OF_A_DELETION).is_some() => Ok(Deleted::LeftAlone),
            Err(unanswered) => Err(unanswered.into()),
        }
    }
}

fn refused(unanswered: &Unanswered, codes: &[Code]) -> Option<String> {
    Some(refusal(unanswered.status()?, NAME, codes)?.problem)
}

const fn visibility(visibility: Visibility) -> pb::image::Visibility {
    match visibility {
        Visibility::Public => pb::image::Visibility::Public,
        Visibility::Private => pb::image::Visibility::Private,
        Visibility::Shared => pb::image::Visibility::Shared,
        Visibility::Community => pb::image::Visibility::Community,
    }
}

/// The image as glance-svc gets it. One that stands for snapshots has no data, and never will.
fn new_image(id: Id, image: &NewImage) -> pb::Image {
    let mut properties = image.properties.clone();
    let stands_for_snapshots = !image.snapshots.is_empty();
    if stands_for_snapshots {
        properties.extend(devices::properties(&image.snapshots));
    }
    pb::Image {
        size: stands_for_snapshots.then_some(0),
        id: id.to_string(),
        name: image.name.clone(),
        visibility: visibility(image.visibility).into(),
        protected: image.protected,
        owner: image.owner.clone(),
        min_ram: image.min_ram,
        min_disk: image.min_disk,
        disk_format: image.disk_format.clone(),
        container_format: image.container_format.clone(),
        properties,
        ..pb::Image::default()
    }
}
