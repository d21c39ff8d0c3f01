//! Uploads: how an image gets its data.
//!
//! An upload is recorded in the database before the first byte is written, under a lease that it renews. Whatever ends it
//! early (an error, a caller that leaves, the end of the process), its data is removed and the image is QUEUED again: by the
//! upload itself or, once the lease has expired, by any process of the service.

use std::time::Duration;

use bytes::Bytes;
use chassis::{
    caller::{Actor, Caller},
    data::Lease,
};
use common::{clock, id::Id, violations::Violations};
use futures_util::{Stream, StreamExt as _};

use super::{Etags, Images, sweep::data_store};
use crate::{
    error::Error,
    image::{Image, Status, access, cached::CachedImage},
    store::{DataStep, Edit, VisibleImage},
};

mod digest;
mod sink;

use digest::Digest;
pub use digest::Processors;
use sink::Sink;

/// How long an upload may send nothing.
const STALL: Duration = Duration::from_mins(5);

/// Data to be uploaded.
pub struct Upload<S> {
    /// The bytes.
    pub bytes: S,
    /// How many there are, if the sender announces it.
    pub size: Option<u64>,
    /// The etags of which the image must have one.
    pub etags: Etags,
}

impl Images {
    /// Gives a QUEUED image its data, and makes it ACTIVE.
    pub async fn upload<S, E>(
        &self,
        id: Id,
        mut upload: Upload<S>,
        caller: &Caller,
    ) -> Result<CachedImage, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
    {
        let limit = self.limits.size;
        if upload.size.is_some_and(|size| size > limit) {
            // Whether the caller may upload at all comes first.
            self.check_upload(id, caller).await?;
            return Err(Error::DataTooLarge { limit });
        }
        if let Err(away) = self.check_place().await {
            self.check_upload(id, caller).await?;
            return Err(away);
        }
        let data = Id::random();
        let mut unfinished = Unfinished { images: self, id, data, actor: Some(&caller.actor) };
        if let Err(refused) = self.begin_upload(id, data, std::mem::take(&mut upload.etags), caller).await {
            unfinished.actor = None;
            return Err(refused);
        }
        let mut lease = self.keep_lease(data);
        let received = tokio::select! {
            received = self.receive(id, data, upload) => received,
            () = lease.lost() => Err(Error::UploadLost(id)),
        };
        let finished = match received {
            Ok(digest) => self.finish_upload(id, data, digest, &caller.actor).await,
            Err(Error::DataStore(error)) => Err(self.explain(id, data, error).await),
            Err(error) => Err(error),
        };
        drop(lease);
        unfinished.actor = None;
        if finished.is_err() {
            self.give_up(id, data, &caller.actor).await;
        }
        finished
    }

    async fn begin_upload(&self, id: Id, data: Id, etags: Etags, caller: &Caller) -> Result<(), Error> {
        let step = DataStep::Begin { data, lease: self.store.end_of_lease(self.leases.length).await? };
        self.update_with(id, step, etags, caller, move |image| begin(image, data)).await.map(drop)
    }

    async fn check_upload(&self, id: Id, caller: &Caller) -> Result<(), Error> {
        let image = self.attributes(id, caller).await?;
        access::check_change(caller, &image)
    }

    /// Renews the lease of an upload until the value is dropped.
    fn keep_lease(&self, data: Id) -> Lease {
        let images = self.clone();
        Lease::keep(data, self.leases, move || {
            let images = images.clone();
            async move { images.renewed(data).await }
        })
    }

    /// Renews the lease of an upload; `false` if it is lost.
    async fn renewed(&self, data: Id) -> Result<bool, Error> {
        let lease = self.store.end_of_lease(self.leases.length).await?;
        self.store.renew_lease(data, lease).await
    }

    /// Writes the data to the data store as it arrives.
    async fn receive<S, E>(&self, id: Id, data: Id, upload: Upload<S>) -> Result<Digest, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
    {
        let Upload { mut bytes, size: announced, .. } = upload;
        let (writer, upload_id) = self.data.write(data).await.map_err(data_store)?;
        if !upload_id.is_empty() && !self.store.record_upload(data, &upload_id).await? {
            self.remove_forgotten(data, &upload_id).await;
            return Err(Error::UploadLost(id));
        }
        let mut sink = Sink::new(writer, self.processors.clone());
        let limit = announced.unwrap_or(self.limits.size);
        while sink.received <= limit {
            match tokio::time::timeout(STALL, bytes.next()).await {
                Ok(Some(Ok(chunk))) => sink.push(chunk).await?,
                Ok(None) => break,
                Ok(Some(Err(_))) | Err(_) => return Err(Error::UploadBroken { received: sink.received }),
            }
        }
        match announced {
            Some(announced) if announced != sink.received => {
                Err(Error::SizeMismatch { announced, received: sink.received })
            }
            None if sink.received > limit => Err(Error::DataTooLarge { limit }),
            _ => {
                let digest = sink.finish().await?;
                // Data that was written beside the folder is useless.
                self.check_place().await?;
                Ok(digest)
            }
        }
    }

    /// Why the data store failed: another process may have taken over the upload and removed its data.
    async fn explain(&self, id: Id, data: Id, error: object_store::Error) -> Error {
        match self.renewed(data).await {
            Ok(false) => Error::UploadLost(id),
            _ => Error::DataStore(error),
        }
    }

    async fn finish_upload(
        &self,
        id: Id,
        data: Id,
        digest: Digest,
        actor: &Actor,
    ) -> Result<CachedImage, Error> {
        let change = move |seen: &VisibleImage| {
            let mut image = seen.image.clone();
            if image.status != Status::Saving || image.data != Some(data) {
                return Err(Error::UploadLost(id));
            }
            image.status = Status::Active;
            digest.describe(&mut image);
            Ok(image)
        };
        let step = DataStep::Finish(data);
        let edit = Edit { id, actor: actor.clone(), now: clock::now(), step, change: Box::new(change) };
        self.edit(edit).await.map_err(|error| match error {
            Error::NotFound(id) => Error::UploadLost(id),
            other => other,
        })
    }
}

/// An upload in progress, which is given up when its caller leaves.
struct Unfinished<'a> {
    images: &'a Images,
    id: Id,
    data: Id,
    actor: Option<&'a Actor>,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let Some(actor) = self.actor else { return };
        let (images, id, data, actor) = (self.images.clone(), self.id, self.data, actor.clone());
        // Without a runtime, the process is ending, and the lease will expire.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { images.give_up(id, data, &actor).await });
        }
    }
}

fn begin(image: &mut Image, data: Id) -> Result<(), Error> {
    if image.status != Status::Queued {
        return Err(Error::StatusMove { id: image.id, from: image.status, to: Status::Saving });
    }
    let mut violations = Violations::default();
    for (field, format) in
        [("disk_format", &image.disk_format), ("container_format", &image.container_format)]
    {
        if format.is_empty() {
            violations.add(field, "must be set before the image gets its data");
        }
    }
    violations.check()?;
    image.status = Status::Saving;
    image.data = Some(data);
    Ok(())
}
