//! Snapshots of volumes: each remembers what its volume did at that moment, and never forgets.

use std::{collections::BTreeMap, sync::Arc};

use chassis::{
    caller::Caller,
    page::{Page, Read},
    scope::{Scope, check_admin, check_service},
    turns::Decided,
};
use common::{clock, id::Id, violations::Violations};

use super::VolumeApi;
use crate::{
    error::Error,
    list::{SnapshotFilter, SnapshotOrder},
    quota::Growth,
    store::{Claim, SnapshotChange, SnapshotCreation},
    volume::{
        Snapshot, SnapshotStatus, Storage, Volume,
        access::{SNAPSHOTS, VOLUMES},
        snapshot::{CreateSnapshot, SnapshotReport, SnapshotUpdate},
    },
};

mod data;

/// A snapshot is not changed: it is already as it was requested.
type Decision = Result<Decided<SnapshotChange, Snapshot>, Error>;

/// The snapshot that something is done with, by whom and on which condition.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotRequest<'a> {
    /// Its id.
    pub id: Id,
    /// The etag that it must have; empty for any.
    pub etag: &'a str,
    /// Who makes the request.
    pub caller: &'a Caller,
}

impl VolumeApi {
    /// Takes a snapshot of a volume. A retry with the same `request_id` is answered with the snapshot that the first one
    /// created, as it is now.
    pub async fn create_snapshot(
        &self,
        request: &CreateSnapshot,
        caller: &Caller,
    ) -> Result<Snapshot, Error> {
        if request.quiesced {
            check_service(caller, "say that a volume is quiesced")?;
        }
        let (scope, id) = (Scope::serve(caller, VOLUMES)?, Id::now());
        let claim = Claim::new("snapshot", Some(&request.request_id), request, &caller.actor, id);
        let decide = || self.decide_snapshot(request, (caller, &scope), id, &claim);
        match self.store.create_snapshot(request.volume_id, &scope, decide).await? {
            Decided::Change(new) => {
                if let Some(data) = &self.data {
                    data.begun.notify_one();
                }
                Ok(new.snapshot)
            }
            Decided::Nothing(earlier) => Ok(earlier),
        }
    }

    /// The snapshot with that id.
    pub async fn get_snapshot(&self, id: Id, caller: &Caller) -> Result<Snapshot, Error> {
        self.snapshot(id, &Scope::read(caller, SNAPSHOTS)?).await
    }

    /// A page of the snapshots within `scope` ([`SnapshotFilter::scope`]). It may be one item too long, which shows that
    /// there is a next page.
    pub async fn list_snapshots(
        &self,
        filter: &SnapshotFilter,
        page: &Page<SnapshotOrder>,
        scope: &Scope,
    ) -> Result<Read<Snapshot>, Error> {
        self.store.list_snapshots(filter, page, scope).await
    }

    /// Changes what its owner says of a snapshot. `problems` are those that the edge found.
    pub async fn update_snapshot(
        &self,
        request: SnapshotRequest<'_>,
        update: &SnapshotUpdate,
        problems: Violations,
    ) -> Result<Snapshot, Error> {
        update.check(problems)?;
        let scope = Scope::change(request.caller, SNAPSHOTS)?;
        let decided = self.change_snapshot(request, &scope, |before| Ok(Some(update.apply(before)))).await?;
        decided.ok_or(Error::SnapshotNotFound(request.id))
    }

    /// Records what is reported of a snapshot by whatever keeps its data. `problems` are those that the edge found.
    pub async fn report_snapshot(
        &self,
        request: SnapshotRequest<'_>,
        report: &SnapshotReport,
        problems: Violations,
    ) -> Result<Snapshot, Error> {
        let scope = Scope::report(request.caller, SNAPSHOTS)?;
        report.check(problems)?;
        let before = self.snapshot(request.id, &scope).await?;
        let report = |before: &Snapshot| report.apply(before, before.later(clock::now()));
        // Of one that is gone, the answer shows the last of it.
        Ok(self.change_snapshot(request, &scope, report).await?.unwrap_or(before))
    }

    /// Deletes a snapshot with its data. A retry with the same `request_id` is answered with success.
    pub async fn delete_snapshot(
        &self,
        request: SnapshotRequest<'_>,
        force: bool,
        request_id: &str,
    ) -> Result<(), Error> {
        let SnapshotRequest { id, etag, caller } = request;
        if force {
            check_admin(caller, format!("delete snapshot {id} whatever its status"))?;
        }
        let scope = Scope::change(caller, SNAPSHOTS)?;
        let claim = Claim::new("snapshot deletion", Some(request_id), &(id, force), &caller.actor, id);
        let decide = || async {
            if self.store.claimed(&claim).await?.is_some() {
                return Ok(Decided::Nothing(()));
            }
            let before = self.snapshot(id, &scope).await?;
            before.check_etag(etag)?;
            if !force {
                before.check_deletion()?;
            }
            self.check_storage("snapshot", id, before.storage)?;
            let time = before.later(clock::now());
            // Data that cinder-svc keeps itself is removed once nothing refers to it.
            let after = (before.storage == Storage::Agent)
                .then(|| before.with_status(SnapshotStatus::Deleting, before.last_failure.clone()));
            let deletion = Some(claim.clone());
            Ok::<_, Error>(Decided::Change(Box::new(SnapshotChange { before, after, deletion, time })))
        };
        self.store.change_snapshot(id, &scope, decide).await?;
        if let Some(data) = &self.data {
            self.remove_data_of(data, id).await;
        }
        Ok(())
    }

    pub(super) async fn snapshot(&self, id: Id, scope: &Scope) -> Result<Snapshot, Error> {
        self.store.snapshot(id, scope).await?.ok_or(Error::SnapshotNotFound(id))
    }

    /// Changes a snapshot to what `change` makes of it; `None` once it is gone.
    async fn change_snapshot(
        &self,
        request: SnapshotRequest<'_>,
        scope: &Scope,
        change: impl Fn(&Snapshot) -> Result<Option<Snapshot>, Error>,
    ) -> Result<Option<Snapshot>, Error> {
        let decide = || async {
            let before = self.snapshot(request.id, scope).await?;
            before.check_etag(request.etag)?;
            let after = change(&before)?;
            if after.as_ref() == Some(&before) {
                return Ok(Decided::Nothing(before));
            }
            let time = before.later(clock::now());
            let after = after.map(|after| Snapshot { update_time: time, ..after });
            Decision::Ok(Decided::Change(Box::new(SnapshotChange { before, after, deletion: None, time })))
        };
        Ok(match self.store.change_snapshot(request.id, scope, decide).await? {
            Decided::Nothing(unchanged) => Some(unchanged),
            Decided::Change(change) => {
                change.after.map(|after| Snapshot { revision: after.revision + 1, ..after })
            }
        })
    }

    /// What snapshot is taken of a volume.
    async fn decide_snapshot(
        &self,
        request: &CreateSnapshot,
        (caller, scope): (&Caller, &Scope),
        id: Id,
        claim: &Claim,
    ) -> Result<Decided<SnapshotCreation, Snapshot>, Error> {
        if let Some(earlier) = self.store.claimed(claim).await? {
            return Ok(Decided::Nothing(self.snapshot(earlier, &Scope::internal(SNAPSHOTS)).await?));
        }
        let volume_id = request.volume_id;
        let volume = self.store.volume(volume_id, scope).await?.ok_or(Error::VolumeNotFound(volume_id))?;
        volume.check_etag(&request.volume_etag)?;
        volume.check_snapshot(request.quiesced)?;
        self.check_storage("volume", volume_id, volume.storage)?;
        let snapshot = Self::snapshot_of(&volume, request, id, caller);
        let growth = Growth::snapshot(snapshot.size_gib, &volume.volume_type);
        let (claim, quota) = (claim.clone(), self.quota);
        Ok(Decided::Change(Box::new(SnapshotCreation { claim, snapshot, volume, quota, growth })))
    }

    /// A snapshot of a volume as it is: it belongs to the volume's project, whoever asked for it.
    fn snapshot_of(volume: &Volume, request: &CreateSnapshot, id: Id, caller: &Caller) -> Snapshot {
        let now = clock::now();
        let is_complete = volume.storage == Storage::None;
        Snapshot {
            id,
            volume_id: volume.id,
            name: request.name.clone(),
            description: request.description.clone(),
            project_id: volume.project_id.clone(),
            user_id: caller.actor.user_id.clone(),
            size_gib: volume.size_gib,
            volume_type_id: volume.volume_type_id,
            metadata: BTreeMap::clone(&request.metadata),
            status: if is_complete { SnapshotStatus::Available } else { SnapshotStatus::Creating },
            last_failure: None,
            record: Arc::clone(&volume.record),
            bootable: volume.bootable,
            storage: volume.storage,
            data_id: volume.storage.new_data(),
            revision: 1,
            create_time: now,
            update_time: now,
        }
    }
}
