//! The data of snapshots, where cinder-svc keeps it: a copy of those of the volume, which nothing replaces meanwhile. Each is
//! made by one process, under a lease, as the data of volumes is (`volumes/tasks.rs`). If that process dies, any replica
//! records that the snapshot could not be taken.

use chassis::{data::Lease, scope::Scope, status::Failure as _, turns::Decided};
use common::{clock, id::Id};
use tokio::time::sleep;

use crate::{
    error::{DataError, Error},
    storage::GIB,
    store::{DueSnapshot, SnapshotChange},
    volume::{
        Snapshot, SnapshotStatus, TaskState, VolumeFailure,
        access::{SNAPSHOTS, VOLUMES},
    },
    volumes::{
        VolumeApi,
        data::VolumeData,
        tasks::{AT_ONCE, PAUSE},
    },
};

impl VolumeApi {
    /// Begins to make the data of every snapshot that nobody is making, as soon as there is a place for it.
    pub(in crate::volumes) async fn begin_due_snapshots(&self, data: &VolumeData) -> Result<(), Error> {
        loop {
            let due = self.store.due_snapshots(AT_ONCE).await?;
            if due.is_empty() {
                return Ok(());
            }
            for snapshot in due {
                let Ok(place) = data.places.clone().acquire_owned().await else { return Ok(()) };
                let owner = Id::random().to_string();
                if self.store.claim_snapshot(&snapshot, &owner, data.leases.length).await? {
                    let (volumes, data) = (self.clone(), data.clone());
                    tokio::spawn(async move {
                        volumes.make_snapshot(&data, snapshot, owner).await;
                        drop(place);
                    });
                }
            }
        }
    }

    /// Makes the data of a snapshot that has been claimed, to the end.
    async fn make_snapshot(&self, data: &VolumeData, due: DueSnapshot, owner: String) {
        let snapshot = match self.store.snapshot(due.id, &Scope::internal(SNAPSHOTS)).await {
            Ok(Some(snapshot)) => snapshot,
            Ok(None) => return,
            Err(error) => {
                // Its lease will expire.
                let error = &error as &dyn std::error::Error;
                return tracing::warn!(error, snapshot = %due.id, "a snapshot could not be begun");
            }
        };
        let (store, length) = (self.store.clone(), data.leases.length);
        let mut lease = Lease::keep(due.id, data.leases, move || {
            let (store, owner) = (store.clone(), owner.clone());
            async move { store.renew_snapshot(due.id, &owner, length).await }
        });
        let done = if due.owner.is_empty() {
            self.copy_under_lease(data, &snapshot, &mut lease).await
        } else {
            // Whoever began it has died.
            Err(DataError::TaskLost.into())
        };
        self.end_snapshot(data, &snapshot, done, &mut lease).await;
    }

    async fn copy_under_lease(
        &self,
        data: &VolumeData,
        snapshot: &Snapshot,
        lease: &mut Lease,
    ) -> Result<(), Error> {
        let new = snapshot.data_id.ok_or(Error::Corrupt(snapshot.id))?;
        // Waited for in any case: once it has been given up, nothing is written any more.
        data.check_place().await?;
        data.directory.create(new).await?;
        tokio::select! {
            done = self.copy_volume(data, snapshot, new) => done,
            () = lease.lost() => Err(DataError::TaskLost.into()),
        }
    }

    async fn copy_volume(&self, data: &VolumeData, snapshot: &Snapshot, new: Id) -> Result<(), Error> {
        let id = snapshot.volume_id;
        let volume = self.store.volume(id, &Scope::internal(VOLUMES)).await?;
        let source = volume.and_then(|volume| volume.data_id).ok_or(Error::Corrupt(id))?;
        let size = u64::try_from(snapshot.size_gib).unwrap_or_default() * GIB;
        data.directory.copy(source, new, size).await?;
        // Data that was written beside the folder is useless.
        data.check_place().await
    }

    /// Records how it has ended, as soon as the database is available, and removes data that is of no use.
    async fn end_snapshot(
        &self,
        data: &VolumeData,
        snapshot: &Snapshot,
        done: Result<(), Error>,
        lease: &mut Lease,
    ) {
        let id = snapshot.id;
        if let Err(error) = &done {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, snapshot = %id, "a snapshot could not be taken");
        }
        let has_ended = loop {
            match self.record_snapshot(snapshot, &done).await {
                Ok(has_ended) => break has_ended,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, snapshot = %id, "the end of a snapshot could not be recorded");
                }
            }
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = lease.lost() => break false,
            }
        };
        if let (false, Some(new)) = (has_ended, snapshot.data_id) {
            self.remove_unknown(data, new).await;
        }
        self.remove_data_of(data, id).await;
    }

    /// Records how it has ended; `false` if it is no longer being made.
    async fn record_snapshot(&self, snapshot: &Snapshot, done: &Result<(), Error>) -> Result<bool, Error> {
        let scope = Scope::internal(SNAPSHOTS);
        let decide = || async {
            let found = self.store.snapshot(snapshot.id, &scope).await?;
            let is_same =
                |now: &Snapshot| (now.status, now.data_id) == (SnapshotStatus::Creating, snapshot.data_id);
            let Some(before) = found.filter(is_same) else { return Ok(Decided::Nothing(())) };
            let time = before.later(clock::now());
            let after = match done {
                Ok(()) => before.with_status(SnapshotStatus::Available, None),
                Err(error) => {
                    let failure = VolumeFailure {
                        task_state: Some(TaskState::Creating),
                        reason: error.describe().reason.to_owned(),
                        message: error.to_string(),
                        create_time: time,
                    };
                    Snapshot { data_id: None, ..before.with_status(SnapshotStatus::Error, Some(failure)) }
                }
            };
            let (after, deletion) = (Some(after), None);
            Ok::<_, Error>(Decided::Change(Box::new(SnapshotChange { before, after, deletion, time })))
        };
        let decided = self.store.change_snapshot(snapshot.id, &scope, decide).await?;
        Ok(matches!(decided, Decided::Change(_)))
    }
}
