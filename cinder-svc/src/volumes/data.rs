//! The data of volumes, where cinder-svc keeps it: whether the folder is there, and what is removed from it.

use std::{convert::Infallible, future::pending, io, path::Path, sync::Arc};

use chassis::{
    data::{Leases, Place, SWEEP, pause_after},
    db::Db,
};
use common::{id::Id, image::Image};
use tokio::{
    sync::{Notify, Semaphore},
    time::{MissedTickBehavior, interval},
};

use super::VolumeApi;
use crate::{
    error::{DataError, Error},
    storage::{Directory, QemuImg},
    store::RemovableData,
    volume::Storage,
};

mod stream;

pub use stream::{Part, Parts, WriteData};

/// How many tasks a process does at a time.
const TASKS: usize = 16;

/// The folder with the data of volumes, and how this process works on it. Clones share all of it.
#[derive(Debug, Clone)]
pub struct VolumeData {
    pub(super) directory: Directory,
    place: Place,
    pub(super) leases: Leases,
    /// Tells that there is a task to be done.
    pub(super) begun: Arc<Notify>,
    pub(super) places: Arc<Semaphore>,
}

impl VolumeData {
    /// The data in the folder at `path`, which need not exist, of volumes in `db`.
    pub fn open(path: &Path, db: Db) -> io::Result<Self> {
        let directory = Directory::new(path)?;
        Ok(Self {
            place: Place::new(db, "volume_data", Some(directory.folder().clone())),
            directory,
            leases: Leases::default(),
            begun: Arc::default(),
            places: Arc::new(Semaphore::new(TASKS)),
        })
    }

    /// The same, where images in more formats can become the data of volumes.
    #[must_use]
    pub fn with_qemu_img(self, qemu_img: QemuImg) -> Self {
        Self { directory: self.directory.with_qemu_img(qemu_img), ..self }
    }

    /// The same, with other leases for tasks.
    #[must_use]
    pub fn with_leases(self, leases: Leases) -> Self {
        Self { leases, ..self }
    }

    /// Checks that the folder is the one with the data. If it is not, no data is read, written, removed or forgotten;
    /// everything that needs no data keeps working.
    pub(super) async fn check_place(&self) -> Result<(), Error> {
        Ok(self.place.check().await?)
    }
}

impl VolumeApi {
    /// Refuses what nobody would do: whoever keeps the data of a volume or snapshot is not who keeps data now. Where nobody
    /// keeps them, everything completes at once.
    pub(super) fn check_storage(&self, kind: &'static str, id: Id, storage: Storage) -> Result<(), Error> {
        if storage == Storage::None { Ok(()) } else { self.check_same_storage(kind, id, storage) }
    }

    /// Refuses what cannot be copied: whoever keeps the data is not who would keep the copy.
    pub(super) fn check_same_storage(
        &self,
        kind: &'static str,
        id: Id,
        storage: Storage,
    ) -> Result<(), Error> {
        let current = self.storage;
        if storage == current {
            Ok(())
        } else {
            Err(DataError::OtherStorage { kind, id, storage, current }.into())
        }
    }

    /// Refuses an image that cannot become the data of a volume here.
    pub(super) fn check_format(&self, storage: Storage, image: &Image) -> Result<(), Error> {
        match self.data.as_ref().filter(|_| storage.is_own()) {
            Some(data) => Ok(data.directory.check_format(image)?),
            None => Ok(()),
        }
    }

    /// Removes data that nobody needs any more, for ever.
    pub async fn sweep_data(&self) -> Infallible {
        let Some(data) = &self.data else { return pending().await };
        let mut interval = interval(SWEEP);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            if let Err(error) = self.sweep_data_once(data).await {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "data that nobody needs any more cannot be removed now");
            }
        }
    }

    async fn sweep_data_once(&self, data: &VolumeData) -> Result<(), Error> {
        data.check_place().await?;
        let removable = self.store.removable_data().await?;
        self.remove_all(data, removable).await;
        Ok(())
    }

    /// Removes the data that a volume or snapshot no longer has, as far as that can be done now.
    pub(super) async fn remove_data_of(&self, data: &VolumeData, owner: Id) {
        match self.store.removable_data_of(owner).await {
            Ok(removable) => self.remove_all(data, removable).await,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "data will be removed later");
            }
        }
    }

    async fn remove_all(&self, data: &VolumeData, removable: Vec<RemovableData>) {
        let mut failures = Vec::new();
        for removable in removable {
            if let Err(error) = self.remove(data, removable).await {
                failures.push((removable.id, error));
            }
        }
        // One line for all of them: they mostly fail for the same reason.
        if let Some((id, error)) = failures.first() {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, data = %id, count = failures.len(), "data will be removed later");
        }
    }

    async fn remove(&self, data: &VolumeData, removable: RemovableData) -> Result<(), Error> {
        data.check_place().await?;
        match data.directory.remove(removable.id).await {
            Ok(was_there) => {
                if !was_there {
                    // The whole folder may have gone missing since.
                    data.check_place().await?;
                }
                self.store.forget_data(removable.id).await
            }
            Err(error) => {
                self.store.postpone_data(removable.id, pause_after(removable.attempts)).await?;
                Err(error.into())
            }
        }
    }
}
