//! Registering and deleting images: doing either twice does no harm.

use std::time::{Duration, Instant};

use chassis::caller::Caller;
use common::{id::Id, image::NewImage};
use proto::glance::v1 as pb;
use tonic::Code;

use super::{Client, Error, Glance, NAME, is_timeout, request};
use crate::{
    Failure,
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
        let credentials = self.credentials(caller, timeout).await?;
        let message = pb::CreateImageRequest { image: Some(new_image(id, image)) };
        let call = |mut client: Client, timeout| {
            let request = request(message.clone(), &credentials, timeout);
            async move { client.create_image(request).await }
        };
        let started = Instant::now();
        match self.replicas.call(timeout, call).await {
            Ok(_) => Ok(()),
            Err(Failure::Status(status)) if status.code() == Code::AlreadyExists => Ok(()),
            Err(failure) => match refused(&failure, OF_A_CHANGE) {
                Some(problem) => Err(Error::Refused { id, problem }),
                None => Err(for_now(failure, started.elapsed())),
            },
        }
    }

    /// Deletes an image.
    pub async fn delete(&self, id: Id, caller: &Caller, timeout: Duration) -> Result<Deleted, Error> {
        self.delete_at(id, String::new(), caller, timeout).await
    }

    /// Deletes an image if nobody has uploaded its data.
    pub async fn delete_unfinished(
        &self,
        id: Id,
        caller: &Caller,
        timeout: Duration,
    ) -> Result<Deleted, Error> {
        let started = Instant::now();
        let credentials = self.credentials(caller, timeout).await?;
        let message = pb::GetImageRequest { id: id.to_string(), revision: 0 };
        let call = |mut client: Client, timeout| {
            let request = request(message.clone(), &credentials, timeout);
            async move { client.get_image(request).await }
        };
        match self.replicas.call(timeout, call).await {
            Ok(image) if matches!(image.status(), pb::image::Status::Queued | pb::image::Status::Saving) => {
                let left = timeout.saturating_sub(started.elapsed());
                self.delete_at(id, image.etag, caller, left).await
            }
            Ok(_) => Ok(Deleted::LeftAlone),
            Err(Failure::Status(status)) if status.code() == Code::NotFound => Ok(Deleted::WasNotThere),
            Err(failure) => Err(for_now(failure, started.elapsed())),
        }
    }

    /// Deletes an image if it has that etag; without an etag, whatever its state.
    async fn delete_at(
        &self,
        id: Id,
        etag: String,
        caller: &Caller,
        timeout: Duration,
    ) -> Result<Deleted, Error> {
        let credentials = self.credentials(caller, timeout).await?;
        let message = pb::DeleteImageRequest { id: id.to_string(), etag };
        let call = |mut client: Client, timeout| {
            let request = request(message.clone(), &credentials, timeout);
            async move { client.delete_image(request).await }
        };
        let started = Instant::now();
        match self.replicas.call(timeout, call).await {
            Ok(()) => Ok(Deleted::Yes),
            Err(Failure::Status(status)) if status.code() == Code::NotFound => Ok(Deleted::WasNotThere),
            Err(failure) if refused(&failure, OF_A_DELETION).is_some() => Ok(Deleted::LeftAlone),
            Err(failure) => Err(for_now(failure, started.elapsed())),
        }
    }
}

fn refused(failure: &Failure, codes: &[Code]) -> Option<String> {
    match failure {
        Failure::Timeout => None,
        Failure::Status(status) => refusal(status, NAME, codes),
    }
}

/// Why a change failed that may well succeed later.
fn for_now(failure: Failure, elapsed: Duration) -> Error {
    let status = match failure {
        Failure::Timeout => return Error::Timeout(elapsed.as_millis()),
        Failure::Status(status) => status,
    };
    match status.code() {
        Code::DeadlineExceeded => Error::Timeout(elapsed.as_millis()),
        Code::Cancelled if is_timeout(&status) => Error::Timeout(elapsed.as_millis()),
        code if is_passing(code) => Error::Unavailable(Some(status)),
        _ => Error::Answer(Some(status)),
    }
}

/// Whether a code is about load or the connection, and not about the request itself.
pub(super) const fn is_passing(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::ResourceExhausted | Code::Aborted | Code::Cancelled)
}

fn new_image(id: Id, image: &NewImage) -> pb::Image {
    pb::Image {
        id: id.to_string(),
        name: image.name.clone(),
        visibility: pb::image::Visibility::Private.into(),
        owner: image.owner.clone(),
        min_ram: image.min_ram,
        min_disk: image.min_disk,
        disk_format: image.disk_format.clone(),
        container_format: image.container_format.clone(),
        properties: image.properties.clone(),
        ..pb::Image::default()
    }
}
