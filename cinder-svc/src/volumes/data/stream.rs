//! The data of a volume as a stream, out of its file and into a new one.

use std::{ops::Range, time::Duration};

use chassis::{caller::Caller, scope::Scope};
use common::{id::Id, violations::Violations};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, future::ready, stream::BoxStream};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::yield_now,
    time::timeout,
};

use super::VolumeData;
use crate::{
    error::{DataError, Error},
    storage::{self, GIB, Piece},
    store::DueTask,
    volume::{Status, Task, Volume, access::VOLUMES},
    volumes::{
        VolumeApi,
        operations::{Action, ActionRequest},
    },
};

/// How long a sender may send nothing.
const STALL: Duration = Duration::from_mins(5);

/// A part of the data that a volume is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// What comes next.
    Piece(Piece),
    /// SHA-512 of everything, in hexadecimal.
    Sha512(String),
}

/// The parts of the data that a volume is to have; an error if it breaks off.
pub type Parts = BoxStream<'static, Result<Part, ()>>;

/// A volume that is to get other data.
pub struct WriteData {
    /// The volume.
    pub volume_id: Id,
    /// The etag that it must have; empty for any.
    pub etag: String,
    /// The data.
    pub parts: Parts,
}

impl VolumeData {
    /// Reads a part of data, piece by piece.
    pub(in crate::volumes) async fn read(
        &self,
        data: Id,
        part: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Piece, Error>>, Error> {
        match self.directory.read(data, part).await {
            Err(storage::Error::Missing(missing)) => {
                self.check_place().await?;
                Err(DataError::Missing(missing).into())
            }
            read => Ok(read?.map_err(Error::from).boxed()),
        }
    }
}

impl VolumeApi {
    /// Reads a part of the data of a volume, from `offset`; `length` bytes, or everything if that is 0.
    pub async fn read_data(
        &self,
        id: Id,
        (offset, length): (u64, u64),
        caller: &Caller,
    ) -> Result<BoxStream<'static, Result<Piece, Error>>, Error> {
        let scope = Scope::change(caller, VOLUMES)?;
        let volume = self.store.volume(id, &scope).await?.ok_or(Error::VolumeNotFound(id))?;
        let (data, stored) = self.readable(&volume)?;
        data.read(stored, part(&volume, offset, length)?).await
    }

    /// The data of a volume that can be read now.
    fn readable(&self, volume: &Volume) -> Result<(&VolumeData, Id), Error> {
        let (id, status) = (volume.id, volume.status);
        let (Some(data), true) = (&self.data, volume.storage == self.storage) else {
            return Err(DataError::NoData { id, storage: volume.storage }.into());
        };
        match volume.data_id.filter(|_| status == Status::Available) {
            Some(stored) => Ok((data, stored)),
            None => Err(DataError::NotReadable { id, status }.into()),
        }
    }

    /// Replaces the data of a volume. If the sender leaves, nothing has changed.
    pub async fn write_data(&self, request: WriteData, caller: &Caller) -> Result<Volume, Error> {
        let WriteData { volume_id, etag, parts } = request;
        let volume = self.get_volume(volume_id, caller).await?;
        let Some(data) = self.data.clone().filter(|_| volume.storage == self.storage) else {
            return Err(DataError::NoData { id: volume_id, storage: volume.storage }.into());
        };
        let (action, request_id) = (Action::WriteData, String::new());
        let request = ActionRequest { volume_id, action, request_id, etag, caller, deadline: None };
        let volume = self.run_action(&request, Violations::default()).await?.volume().cloned()?;
        let (volumes, (sender, arrived)) = (self.clone(), mpsc::channel(1));
        // It ends as it should even if the caller leaves: then the data breaks off.
        let mut writing = tokio::spawn(async move { volumes.write_begun(&data, volume, arrived).await });
        let written = tokio::select! {
            written = &mut writing => written,
            () = pass_on(parts, sender) => writing.await,
        };
        written.unwrap_or(Err(DataError::TaskLost.into()))
    }

    async fn write_begun(
        &self,
        data: &VolumeData,
        volume: Volume,
        arrived: Receiver<Option<Part>>,
    ) -> Result<Volume, Error> {
        let task = volume.task.as_ref().ok_or(DataError::TaskLost)?;
        let (due, owner) = (DueTask { volume_id: volume.id, owner: String::new() }, Id::random().to_string());
        if !self.store.claim_task(&due, &owner, data.leases.length).await? {
            return Err(DataError::TaskLost.into());
        }
        let mut lease = self.keep_lease(data, volume.id, owner);
        let done = match self.make_room(data, task).await {
            Err(error) => Err(error),
            Ok(()) => tokio::select! {
                done = self.receive(data, &volume, task, arrived) => done,
                () = lease.lost() => Err(DataError::TaskLost.into()),
            },
        };
        let refused = done.as_ref().err().cloned();
        self.end_task(data, volume.id, task, done, &mut lease).await;
        match refused {
            Some(error) => Err(error),
            None => {
                let written = self.store.volume(volume.id, &Scope::internal(VOLUMES)).await?;
                written.ok_or(Error::VolumeNotFound(volume.id))
            }
        }
    }

    /// Writes what arrives.
    async fn receive(
        &self,
        data: &VolumeData,
        volume: &Volume,
        task: &Task,
        arrived: Receiver<Option<Part>>,
    ) -> Result<(), Error> {
        let new = task.target.data_id.ok_or(Error::Corrupt(volume.id))?;
        let (mut received, mut sha512) = (0, None);
        let pieces = arriving(arrived).filter_map(|part| {
            ready(match part {
                Ok(Part::Piece(piece)) => {
                    received += piece.len();
                    Some(Ok(piece))
                }
                Ok(Part::Sha512(hash)) => {
                    sha512 = Some(hash);
                    None
                }
                Err(error) => Some(Err(error)),
            })
        });
        data.directory.write(new, size_of(volume), pieces.boxed()).await?;
        if let Some(expected) = sha512
            && !data.directory.has_sha512(new, received, &expected).await?
        {
            return Err(DataError::WrongHash.into());
        }
        // Data that was written beside the folder is useless.
        data.check_place().await
    }
}

/// Passes on what arrives, and at the end `None`, unless it breaks off.
async fn pass_on(mut parts: Parts, sender: Sender<Option<Part>>) {
    while let Some(part) = parts.next().await {
        let Ok(part) = part else { return };
        if sender.send(Some(part)).await.is_err() {
            return;
        }
    }
    // To the gRPC library, a caller who leaves looks like one who is done; but then the request ends at this point.
    yield_now().await;
    let _ = sender.send(None).await;
}

/// What has been passed on; an error if it breaks off, or nothing arrives for too long.
fn arriving(arrived: Receiver<Option<Part>>) -> impl Stream<Item = Result<Part, Error>> + Send {
    futures_util::stream::try_unfold(arrived, |mut arrived| async move {
        match timeout(STALL, arrived.recv()).await {
            Ok(Some(Some(part))) => Ok(Some((part, arrived))),
            Ok(Some(None)) => Ok(None),
            Ok(None) | Err(_) => Err(DataError::Broken.into()),
        }
    })
}

/// The part of a volume that a caller wants.
fn part(volume: &Volume, offset: u64, length: u64) -> Result<Range<u64>, Error> {
    let size = size_of(volume);
    if offset > size {
        return Err(DataError::OutOfRange { size }.into());
    }
    let end = if length == 0 { size } else { size.min(offset.saturating_add(length)) };
    Ok(offset..end)
}

fn size_of(volume: &Volume) -> u64 {
    u64::try_from(volume.size_gib).unwrap_or_default() * GIB
}
