//! The tasks of volumes whose data cinder-svc keeps itself. Each is done by one process at a time, under a lease. New
//! data is written beside the old, under an id of its own; one transaction gives it to the volume, together with
//! everything else that the task changes. A process that dies leaves a lease that expires: then any replica makes the
//! volume what it was before.

use std::{convert::Infallible, future::pending, time::Duration};

use chassis::{data::Lease, scope::Scope, status::Failure as _, turns::Decided};
use common::{clock, id::Id};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::time::sleep;

use super::{VolumeApi, data::VolumeData};
use crate::{
    error::{DataError, Error},
    storage::{GIB, with_zeros},
    store::{Change, DueTask, Entry},
    volume::{
        Step, Task, TaskState, Volume, VolumeFailure,
        access::{SNAPSHOTS, VOLUMES},
    },
};

/// How often to look for tasks that nobody is doing.
const INTERVAL: Duration = Duration::from_secs(2);

/// How many of them are read at once.
pub(super) const AT_ONCE: i64 = 100;

/// How long to wait before the end of a task is written again, if the database is unavailable.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

impl VolumeApi {
    /// Does tasks, for ever.
    pub async fn do_tasks(&self) -> Infallible {
        let Some(data) = &self.data else { return pending().await };
        loop {
            for begun in [self.begin_due_tasks(data).await, self.begin_due_snapshots(data).await] {
                if let Err(error) = begun {
                    tracing::warn!(error = &error as &dyn std::error::Error, "tasks are left for later");
                }
            }
            tokio::select! {
                () = data.begun.notified() => {}
                () = sleep(INTERVAL) => {}
            }
        }
    }

    /// Tells that a task has been begun, if the volume has one.
    pub(super) fn announce_task(&self, volume: Option<&Volume>) {
        let has_begun = volume.is_some_and(|volume| volume.task.is_some());
        if let Some(data) = self.data.as_ref().filter(|_| has_begun) {
            data.begun.notify_one();
        }
    }

    /// Begins every task that nobody is doing, as soon as there is a place for it.
    async fn begin_due_tasks(&self, data: &VolumeData) -> Result<(), Error> {
        loop {
            let due = self.store.due_tasks(AT_ONCE).await?;
            if due.is_empty() {
                return Ok(());
            }
            for task in due {
                let Ok(place) = data.places.clone().acquire_owned().await else { return Ok(()) };
                // Of this attempt, and not only of this process: there may be another task of the volume by the time.
                let owner = Id::random().to_string();
                if self.store.claim_task(&task, &owner, data.leases.length).await? {
                    let (volumes, data) = (self.clone(), data.clone());
                    tokio::spawn(async move {
                        volumes.do_task(&data, task, owner).await;
                        drop(place);
                    });
                }
            }
        }
    }

    /// Does a task that has been claimed, to its end.
    async fn do_task(&self, data: &VolumeData, due: DueTask, owner: String) {
        let id = due.volume_id;
        let volume = match self.store.volume(id, &Scope::internal(VOLUMES)).await {
            Ok(Some(volume)) => volume,
            Ok(None) => return,
            Err(error) => {
                // Its lease will expire.
                let error = &error as &dyn std::error::Error;
                return tracing::warn!(error, volume = %id, "a task could not be begun");
            }
        };
        let Some(task) = &volume.task else { return };
        let mut lease = self.keep_lease(data, id, owner);
        let can_go_on = matches!(task.state, TaskState::Deleting | TaskState::Uploading);
        let is_lost = !due.owner.is_empty() && !can_go_on;
        let done = if is_lost || task.state == TaskState::Writing {
            // Whoever began it has died.
            Err(DataError::TaskLost.into())
        } else {
            self.work_under_lease(data, &volume, task, &mut lease).await
        };
        self.end_task(data, id, task, done, &mut lease).await;
    }

    async fn work_under_lease(
        &self,
        data: &VolumeData,
        volume: &Volume,
        task: &Task,
        lease: &mut Lease,
    ) -> Result<(), Error> {
        // Waited for in any case: once the task has been given up, nothing is written any more.
        self.make_room(data, task).await?;
        tokio::select! {
            done = self.work(data, volume, task) => done,
            () = lease.lost() => Err(DataError::TaskLost.into()),
        }
    }

    /// Makes room for the new data of a task, if it has some.
    pub(super) async fn make_room(&self, data: &VolumeData, task: &Task) -> Result<(), Error> {
        let Some(new) = task.target.data_id else { return Ok(()) };
        data.check_place().await?;
        Ok(data.directory.create(new).await?)
    }

    /// Renews the lease of a task until the value is dropped.
    pub(super) fn keep_lease(&self, data: &VolumeData, id: Id, owner: String) -> Lease {
        let (store, length) = (self.store.clone(), data.leases.length);
        Lease::keep(id, data.leases, move || {
            let (store, owner) = (store.clone(), owner.clone());
            async move { store.renew_task(id, &owner, length).await }
        })
    }

    /// What a task does with data.
    async fn work(&self, data: &VolumeData, volume: &Volume, task: &Task) -> Result<(), Error> {
        match task.state {
            // What is removed is settled by the end of the task.
            TaskState::Deleting | TaskState::Retyping => Ok(()),
            TaskState::Extending => {
                data.check_place().await?;
                let size_gib = task.target.size_gib.unwrap_or(volume.size_gib);
                let id = volume.data_id.ok_or(Error::Corrupt(volume.id))?;
                Ok(data.directory.extend(id, bytes(size_gib)).await?)
            }
            TaskState::Creating | TaskState::Reimaging | TaskState::Reverting => {
                self.make_data(data, volume, task).await
            }
            TaskState::Uploading => self.upload_data(data, volume, task).await,
            TaskState::Writing => Err(DataError::TaskLost.into()),
        }
    }

    /// Gives the image that is made from a volume its data.
    async fn upload_data(&self, data: &VolumeData, volume: &Volume, task: &Task) -> Result<(), Error> {
        let (stored, image) = volume.data_id.zip(task.image).ok_or(Error::Corrupt(volume.id))?;
        let size = bytes(volume.size_gib);
        let read = || async { Ok::<_, Error>(with_zeros(data.read(stored, 0..size).await?).boxed()) };
        self.glance.upload(image.0, size, &task.caller, read).await
    }

    /// Makes the new data of a volume.
    async fn make_data(&self, data: &VolumeData, volume: &Volume, task: &Task) -> Result<(), Error> {
        let new = task.target.data_id.ok_or(Error::Corrupt(volume.id))?;
        let size = bytes(volume.size_gib);
        if let Some((image, revision)) = task.image {
            self.copy_image(data, (image, revision), task, (new, size)).await?;
        } else if let Some(source) = self.source_of(task).await? {
            data.directory.copy(source, new, size).await?;
        } else {
            data.directory.write_zeros(new, size).await?;
        }
        // Data that was written beside the folder is useless.
        data.check_place().await
    }

    async fn copy_image(
        &self,
        data: &VolumeData,
        (id, revision): (Id, i64),
        task: &Task,
        (new, size): (Id, u64),
    ) -> Result<(), Error> {
        let image = self.glance.image_at(id, revision, &task.caller, None).await?;
        let image_size = image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
        let bytes = self.glance.download(id, image_size, &task.caller).map_err(Error::from).boxed();
        data.directory.write_image(new, size, &image, bytes).await
    }

    /// The data that a task copies.
    async fn source_of(&self, task: &Task) -> Result<Option<Id>, Error> {
        let (id, data_id) = if let Some(id) = task.snapshot_id {
            let source = self.store.snapshot(id, &Scope::internal(SNAPSHOTS)).await?;
            (id, source.ok_or(Error::NoSuchSnapshot(id))?.data_id)
        } else if let Some(id) = task.source_volume_id {
            let source = self.store.volume(id, &Scope::internal(VOLUMES)).await?;
            (id, source.ok_or(Error::NoSuchSourceVolume(id))?.data_id)
        } else {
            return Ok(None);
        };
        data_id.map(Some).ok_or(Error::Corrupt(id))
    }

    /// Records how a task has ended, as soon as the database is available, and removes the data that is no longer needed.
    pub(super) async fn end_task(
        &self,
        data: &VolumeData,
        id: Id,
        task: &Task,
        done: Result<(), Error>,
        lease: &mut Lease,
    ) {
        if let Err(error) = &done {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, volume = %id, task = task.state.as_str(), "a task has failed");
        }
        let has_ended = loop {
            match self.record_end(id, task, &done).await {
                Ok(has_ended) => break has_ended,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, volume = %id, "the end of a task could not be recorded");
                }
            }
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = lease.lost() => break false,
            }
        };
        if let (false, Some(new)) = (has_ended, task.target.data_id) {
            self.remove_unknown(data, new).await;
        }
        self.remove_data_of(data, id).await;
    }

    /// Records how a task has ended; `false` if it is no longer the task of the volume.
    async fn record_end(&self, id: Id, task: &Task, done: &Result<(), Error>) -> Result<bool, Error> {
        let decide = || self.decide_end(id, task, done);
        let decided = self.store.change(id, &Scope::internal(VOLUMES), decide).await?;
        Ok(matches!(decided, Decided::Change(_)))
    }

    async fn decide_end(
        &self,
        id: Id,
        task: &Task,
        done: &Result<(), Error>,
    ) -> Result<Decided<Change, ()>, Error> {
        let found = self.store.volume(id, &Scope::internal(VOLUMES)).await?;
        let Some(before) = found.filter(|volume| volume.task.as_ref().is_some_and(|now| now.is_same(task)))
        else {
            return Ok(Decided::Nothing(()));
        };
        let now = before.later(clock::now());
        let (after, step, message) = match done {
            Ok(()) => (before.finish(), Step::Finished, String::new()),
            Err(error) => {
                let message = error.to_string();
                let failure = VolumeFailure {
                    task_state: Some(task.state),
                    reason: error.describe().reason.to_owned(),
                    message: message.clone(),
                    create_time: now,
                };
                (Some(before.fail(failure)), Step::Failed, message)
            }
        };
        let after = after.map(|after| Volume { update_time: now, ..after });
        let entry = Entry::new(task.state.operation(), step, task.caller.actor.clone(), now);
        let entry = Entry { message, image_id: before.uploads_to(), ..entry };
        Ok(Decided::Change(Box::new(Change::new(before, after, entry))))
    }

    /// Removes what was written for a task that another process has ended meanwhile, unless the volume has it after all.
    pub(super) async fn remove_unknown(&self, data: &VolumeData, id: Id) {
        match self.store.has_data(id).await {
            Ok(true) => {}
            Ok(false) => drop(data.directory.remove(id).await),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, data = %id, "data may be left behind");
            }
        }
    }
}

impl Task {
    /// Whether it is the same task, and not a later one of the same volume.
    fn is_same(&self, other: &Self) -> bool {
        (self.state, self.create_time, self.target.data_id)
            == (other.state, other.create_time, other.target.data_id)
    }
}

/// A size in bytes.
fn bytes(size_gib: i32) -> u64 {
    u64::try_from(size_gib).unwrap_or_default() * GIB
}
