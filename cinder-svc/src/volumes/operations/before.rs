//! What is read before a volume is changed: the volume, or what an earlier attempt of the request did.

use chassis::{scope::Scope, turns::Decided};
use common::id::Id;

use super::ActionRequest;
use crate::{
    error::Error,
    store::{Change, EarlierAttempt},
    volume::Volume,
    volumes::VolumeApi,
};

/// What is decided about a request.
pub(super) type Decision = Result<Decided<Change, NoChange>, Error>;

/// Why a volume is not changed.
#[derive(Debug)]
pub(super) enum NoChange {
    /// It is already as it was requested.
    Done(Box<Volume>),
    /// An earlier attempt of the request has changed it.
    Repeated(Box<EarlierAttempt>),
    /// An image must be fetched first, at a revision: nobody waits for glance-svc while a volume is being changed.
    NeedsImage(Id, i64),
}

impl VolumeApi {
    /// The volume, if it has the etag that the request names, or what an earlier attempt of the request did.
    pub(super) async fn volume_before(
        &self,
        request: &ActionRequest<'_>,
        scope: &Scope,
    ) -> Result<Result<Volume, NoChange>, Error> {
        let id = request.volume_id;
        // First the volume, then its history: an attempt that ends in between makes another revision of it, which is
        // noticed when the change is written.
        let volume = self.store.volume(id, scope).await?;
        if let Some((key, allowed)) = request.retry_key().zip(scope.allowed())
            && let Some(earlier) = self.store.earlier(id, &key.id, &allowed).await?
        {
            if earlier.entry.request.as_ref() != Some(&key) {
                return Err(Error::RequestIdTaken(key.id));
            }
            return Ok(Err(NoChange::Repeated(Box::new(earlier))));
        }
        let volume = volume.ok_or(Error::VolumeNotFound(id))?;
        volume.check_etag(&request.etag)?;
        Ok(Ok(volume))
    }
}
