//! The data of an image: upload, download, and the removal of what is no image's.
//!
//! An upload is noted in the database before the first byte is written, under a lease that it renews; whatever
//! ends it (an error, a caller who is gone, the end of the process), its data are removed and the image is QUEUED
//! again, by the upload itself or, once the lease has ended, by any process of the service.

use std::{ops::Range, time::Duration};

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, TimeDelta, Utc};
use common::{
    caller::{Actor, Caller},
    clock,
    id::Id,
    violations::Violations,
};
use futures_util::{Stream, StreamExt as _, stream::BoxStream};
use tokio::{task::JoinHandle, time::MissedTickBehavior};

use super::Images;
use crate::{
    data::{Writer, is_full},
    error::Error,
    image::{Image, Status, access},
    store::{DataStep, Seen, Unsettled},
};

mod digest;

use digest::{Digest, Digests};

/// How long an upload is another process's to give up after its own has gone silent.
const LEASE: TimeDelta = TimeDelta::seconds(15);

/// How often an upload renews its lease.
const RENEWAL: Duration = Duration::from_secs(3);

/// How often data are looked for that are no image's.
const SWEEP: Duration = Duration::from_secs(2);

/// How long an upload may send nothing.
const PATIENCE: Duration = Duration::from_mins(5);

/// Data on their way into an image.
pub struct Upload<S> {
    /// The bytes.
    pub bytes: S,
    /// How many there are, where the sender says so.
    pub size: Option<u64>,
}

impl Images {
    /// Gives a QUEUED image its data, and makes it ACTIVE.
    pub async fn upload<S, E>(&self, id: Id, upload: Upload<S>, caller: &Caller) -> Result<Image, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
    {
        let limit = self.limits.size;
        if upload.size.is_some_and(|size| size > limit) {
            // Known or not, seen or not: the image comes first.
            self.check_upload(id, caller).await?;
            return Err(Error::DataTooLarge { limit });
        }
        let data = Id::random();
        let lease = clock::now() + LEASE;
        let begin = |image: &mut Image| begin(image, data);
        self.update_with(id, DataStep::Begin { data, lease: &lease }, &[], caller, begin).await?;
        let mut unfinished = Unfinished { images: self, id, data, actor: Some(&caller.actor) };
        let received = self.receive(id, data, upload).await;
        let finished = match received {
            Ok(digest) => self.finish_upload(id, data, &digest, &caller.actor).await,
            Err(error) => Err(error),
        };
        unfinished.actor = None;
        if finished.is_err() {
            self.give_up(id, data, &caller.actor).await;
        }
        finished
    }

    async fn check_upload(&self, id: Id, caller: &Caller) -> Result<(), Error> {
        let image = self.get(id, caller).await?;
        access::check_change(caller, &image)
    }

    /// Writes what arrives to the data store.
    async fn receive<S, E>(&self, id: Id, data: Id, upload: Upload<S>) -> Result<Digest, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
    {
        let Upload { mut bytes, size: announced } = upload;
        let (writer, upload_id) = self.data.write(data).await.map_err(data_store)?;
        if !upload_id.is_empty() {
            self.store.note_upload(data, &upload_id).await?;
        }
        let mut sink = Sink::new(writer);
        let mut renewal = tokio::time::interval(RENEWAL);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let limit = announced.unwrap_or(self.limits.size);
        loop {
            tokio::select! {
                next = tokio::time::timeout(PATIENCE, bytes.next()) => match next {
                    Ok(Some(Ok(chunk))) => {
                        sink.push(chunk).await?;
                        if sink.received > limit {
                            break;
                        }
                    }
                    Ok(None) => break,
                    Ok(Some(Err(_))) | Err(_) => return Err(Error::UploadBroken { received: sink.received }),
                },
                _ = renewal.tick() => {
                    if !self.store.renew_lease(data, clock::now() + LEASE).await? {
                        return Err(Error::UploadLost(id));
                    }
                }
            }
        }
        match announced {
            Some(announced) if announced != sink.received => {
                Err(Error::SizeMismatch { announced, received: sink.received })
            }
            None if sink.received > limit => Err(Error::DataTooLarge { limit }),
            _ => sink.finish().await,
        }
    }

    async fn finish_upload(&self, id: Id, data: Id, digest: &Digest, actor: &Actor) -> Result<Image, Error> {
        let change = |seen: &Seen| {
            let mut image = seen.image.clone();
            if image.status != Status::Saving || image.data != Some(data) {
                return Err(Error::UploadLost(id));
            }
            image.status = Status::Active;
            digest.describe(&mut image);
            Ok(image)
        };
        let finished = self.store.update(id, actor, clock::now(), DataStep::Finish(data), change).await;
        finished.map_err(|error| match error {
            Error::NotFound(id) => Error::UploadLost(id),
            other => other,
        })
    }

    /// Makes an image QUEUED again whose upload has failed, and removes what it wrote. If that cannot be done
    /// now, it is done when the lease has ended.
    async fn give_up(&self, id: Id, data: Id, actor: &Actor) {
        let change = |seen: &Seen| {
            let mut image = seen.image.clone();
            if image.status != Status::Saving || image.data != Some(data) {
                return Err(Error::UploadLost(id));
            }
            image.status = Status::Queued;
            image.forget_data();
            Ok(image)
        };
        let step = DataStep::Abandon(data);
        let noted = match self.store.update(id, actor, clock::now(), step, change).await {
            Err(Error::UploadLost(_) | Error::NotFound(_)) => self.store.discard(data).await,
            noted => noted.map(drop),
        };
        match noted {
            Ok(()) => self.remove_data_of(id).await,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, image = %id, "an upload is given up later");
            }
        }
    }

    /// The data of an image, or a part of them that `part` chooses by their size.
    pub async fn download(
        &self,
        id: Id,
        caller: &Caller,
        part: impl FnOnce(u64) -> Result<Range<u64>, Error>,
    ) -> Result<Download, Error> {
        let image = self.get(id, caller).await?;
        if image.status == Status::Deactivated && !caller.is_admin {
            let action = format!("download image {id}, which is DEACTIVATED");
            return Err(Error::NotPermitted { action, needs: access::ADMIN });
        }
        access::check_download(caller, &image)?;
        let size = image.size.and_then(|size| u64::try_from(size).ok());
        let (Some(data), Some(size), true) = (image.data, size, image.status.has_data()) else {
            return Err(Error::NoData { id, status: image.status });
        };
        let part = part(size)?;
        let bytes = if part.is_empty() {
            futures_util::stream::empty().boxed()
        } else {
            self.data.read(data, part.clone()).await.map_err(|error| match error {
                object_store::Error::NotFound { .. } => Error::DataMissing(id),
                other => data_store(other),
            })?
        };
        Ok(Download { image, part, bytes })
    }

    /// Removes the data of an image that are to be removed, as far as that can be done now.
    pub(super) async fn remove_data_of(&self, id: Id) {
        self.settle(|unsettled| unsettled.image_id == id && !unsettled.is_upload, clock::now()).await;
    }

    /// Removes data that are no image's, and gives up uploads whose lease has ended, for ever.
    pub async fn sweep(&self) {
        let mut interval = tokio::time::interval(SWEEP);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.settle(|_| true, clock::now()).await;
        }
    }

    async fn settle(&self, is_meant: impl Fn(&Unsettled) -> bool, now: DateTime<Utc>) {
        let unsettled = match self.store.unsettled(now).await {
            Ok(unsettled) => unsettled,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "data cannot be removed now");
                return;
            }
        };
        for unsettled in unsettled.iter().filter(|unsettled| is_meant(unsettled)) {
            if unsettled.is_upload {
                // Its own removal comes with it.
                Box::pin(self.give_up(unsettled.image_id, unsettled.id, &Actor::default())).await;
                continue;
            }
            let removed = match self.data.remove(unsettled.id, &unsettled.upload_id).await {
                Ok(()) => self.store.forget_data(unsettled.id).await,
                Err(error) => Err(Error::DataStore(error)),
            };
            if let Err(error) = removed {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, data = %unsettled.id, "data are removed later");
            }
        }
    }
}

/// Data on their way out of an image.
pub struct Download {
    /// The image.
    pub image: Image,
    /// Which of its bytes.
    pub part: Range<u64>,
    /// The bytes.
    pub bytes: BoxStream<'static, object_store::Result<Bytes>>,
}

/// An upload that nobody has ended yet: when its caller leaves in the middle, it is given up.
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
        // Without a runtime the process is ending, and the lease will end, too.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { images.give_up(id, data, &actor).await });
        }
    }
}

/// What arrives, on its way to the data store and through the hashes.
struct Sink {
    received: u64,
    part: BytesMut,
    part_size: usize,
    /// The part before, which is written while this one arrives.
    writing: JoinHandle<Result<(Writer, Digests), Error>>,
}

impl Sink {
    fn new(writer: Writer) -> Self {
        let part_size = writer.part_size();
        let writing = tokio::spawn(async move { Ok((writer, Digests::default())) });
        Self { received: 0, part: BytesMut::new(), part_size, writing }
    }

    async fn push(&mut self, mut chunk: Bytes) -> Result<(), Error> {
        self.received += chunk.len() as u64;
        while !chunk.is_empty() {
            let room = self.part_size - self.part.len();
            self.part.extend_from_slice(&chunk.split_to(room.min(chunk.len())));
            if self.part.len() == self.part_size {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Error> {
        let (writer, digests) = written((&mut self.writing).await)?;
        let part = std::mem::take(&mut self.part).freeze();
        self.part_size = writer.part_size();
        self.writing = tokio::spawn(write(writer, digests, part));
        Ok(())
    }

    async fn finish(mut self) -> Result<Digest, Error> {
        if !self.part.is_empty() {
            self.flush().await?;
        }
        let (writer, digests) = written((&mut self.writing).await)?;
        writer.finish().await.map_err(data_store)?;
        Ok(digests.finish())
    }
}

async fn write(mut writer: Writer, digests: Digests, part: Bytes) -> Result<(Writer, Digests), Error> {
    let (digests, written) = tokio::join!(digests.update(part.clone()), writer.write(part));
    written.map_err(data_store)?;
    Ok((writer, digests))
}

fn written<T>(written: Result<Result<T, Error>, tokio::task::JoinError>) -> Result<T, Error> {
    match written {
        Ok(written) => written,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
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

fn data_store(error: object_store::Error) -> Error {
    if is_full(&error) { Error::DataStoreFull } else { Error::DataStore(error) }
}
