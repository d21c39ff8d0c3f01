//! The volumes of instances that are about to be created.
//!
//! | step | if the process dies after it |
//! |---|---|
//! | the job that takes back what is created for an instance is written | the job finds nothing |
//! | volumes are created, and volumes are reserved for the instance | the job ends the reservations, and deletes what was created |
//! | one transaction writes the instance, and turns the job into one that holds its volumes | that job goes on |
//! | the reservations are confirmed, and the job ends | |

use std::{collections::BTreeMap, time::Duration};

use chassis::{caller::Caller, deadline::Deadline};
use common::{clock, content::id_of, id::Id};
use futures_util::stream::{self, StreamExt as _};
use peers::cinder::{NewVolume, Source as NewSource};

use super::reservation;
use crate::{
    compute::ComputeApi,
    error::Error,
    instance::{
        BlockDevice, BlockDevices, CreateInstance, Reservation,
        block_device::{Mapping, Source},
    },
    store::{Removal, RemovedVolume, VolumeAction, VolumeJob, VolumeRequest},
};

/// How long creating and reserving all volumes of a request may take.
const PREPARING: Duration = Duration::from_secs(30);

/// How long the database may take afterwards.
const WRITING: Duration = Duration::from_secs(10);

/// For how many instances of a request volumes are created at a time.
const AT_A_TIME: usize = 8;

/// What was prepared for the instances of a request.
#[derive(Debug, Clone, Default)]
pub(in crate::compute) struct Prepared {
    /// The ids of the instances.
    pub(in crate::compute) ids: Vec<Id>,
    /// The disks of each of them.
    pub(in crate::compute) devices: BTreeMap<Id, BlockDevices>,
    /// The jobs that take everything back.
    pub(in crate::compute) jobs: Vec<VolumeJob>,
}

/// The disks of an instance so far, and why there are no more.
type Made = (Vec<BlockDevice>, Result<(), Error>);

impl Prepared {
    /// The disks of `count` instances before anything is created for them.
    pub(in crate::compute) fn planned(request: &CreateInstance, project_id: &str, count: usize) -> Self {
        let devices: BlockDevices = request.block_device_mapping.iter().map(planned).collect();
        let ids: Vec<_> = (0..count).map(|index| instance_id(request, project_id, index)).collect();
        let devices = ids.iter().map(|id| (*id, devices.clone())).collect();
        Self { ids, devices, jobs: Vec::new() }
    }
}

/// The id of an instance that volumes are reserved for before it exists. A retry of the request reserves them for the same
/// instance, which is allowed even before the reservation of a process that died has lapsed. Request ids are remembered for
/// an hour at least, so that no id is used twice.
fn instance_id(request: &CreateInstance, project_id: &str, index: usize) -> Id {
    let hour = clock::now().timestamp() / 3600;
    match &request.request_id {
        Some(request_id) => id_of(&(project_id, request_id, request, index, hour)),
        None => Id::now(),
    }
}

fn planned(mapping: &Mapping) -> BlockDevice {
    let volume_id = match mapping.source {
        Source::Volume(id) => Some(id),
        _ => None,
    };
    BlockDevice::new(volume_id, mapping.clone())
}

impl ComputeApi {
    /// Creates and reserves the volumes of up to `count` instances. Whatever goes wrong, nothing is left.
    pub(in crate::compute) async fn prepare_volumes(
        &self,
        request: &CreateInstance,
        image_revision: i64,
        count: usize,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Prepared, Error> {
        let mut prepared = Prepared::planned(request, &caller.actor.project_id, count);
        if !request.block_device_mapping.iter().any(Mapping::is_volume) {
            return Ok(prepared);
        }
        let jobs = prepared.ids.iter().map(|id| take_back(*id, request, image_revision, caller));
        prepared.jobs = jobs.collect();
        self.store.add_volume_jobs(&prepared.jobs).await?;
        let deadline = Deadline::earlier(deadline, PREPARING);
        let making = prepared.jobs.iter().map(|job| self.make(job, request, caller, deadline));
        let making: Vec<_> = making.collect();
        let made: Vec<(Id, Made)> = stream::iter(making).buffer_unordered(AT_A_TIME).collect().await;
        let mut problem = None;
        for (id, (devices, outcome)) in made {
            prepared.devices.insert(id, devices.into());
            problem = problem.or(outcome.err());
        }
        match problem {
            None => Ok(prepared),
            Some(problem) => {
                self.take_back(&prepared, |_| false).await;
                Err(problem)
            }
        }
    }

    /// Creates and reserves the volumes of one instance.
    async fn make(
        &self,
        job: &VolumeJob,
        request: &CreateInstance,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> (Id, Made) {
        let VolumeAction::Remove(removals) = &job.action else { return (job.instance_id, (vec![], Ok(()))) };
        let (mut devices, mut removals) = (Vec::new(), removals.iter());
        for (index, mapping) in request.block_device_mapping.iter().enumerate() {
            let mut device = planned(mapping);
            let removal = if mapping.is_volume() { removals.next() } else { None };
            let outcome = match removal.map(|removal| &removal.volume) {
                Some(RemovedVolume::Requested(requested)) => {
                    self.make_volume(&mut device, requested, caller, deadline).await
                }
                removal => Ok(removal.is_some()),
            };
            let outcome = match outcome {
                Ok(true) => self.reserve(&mut device, job, index, caller, deadline).await,
                other => other.map(drop),
            };
            devices.push(device);
            if outcome.is_err() {
                return (job.instance_id, (devices, outcome));
            }
        }
        (job.instance_id, (devices, Ok(())))
    }

    /// Creates the volume of a disk; returns whether it can be reserved at once.
    async fn make_volume(
        &self,
        device: &mut BlockDevice,
        request: &VolumeRequest,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<bool, Error> {
        let volume = self.cinder()?.create_volume(&new_volume(request), caller, deadline).await?;
        device.volume_id = Some(volume.id);
        device.mapping.size_gib = Some(volume.size_gib);
        device.mapping.volume_type = volume.volume_type;
        Ok(volume.status == "AVAILABLE")
    }

    /// Reserves the volume of a disk.
    async fn reserve(
        &self,
        device: &mut BlockDevice,
        job: &VolumeJob,
        index: usize,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<(), Error> {
        let Some(volume_id) = device.volume_id else { return Ok(()) };
        let new = reservation(volume_id, job.instance_id, format!("{}-{index}", job.id));
        device.attachment_id = Some(self.cinder()?.create_attachment(&new, caller, deadline).await?.id);
        Ok(())
    }

    /// Takes back what was prepared for instances that do not exist, unless `exists`. A job that became one which holds the
    /// volumes of an instance is left alone.
    pub(in crate::compute) async fn take_back(&self, prepared: &Prepared, exists: impl Fn(Id) -> bool) {
        for job in &prepared.jobs {
            if exists(job.instance_id) {
                continue;
            }
            let claimed = self.store.volume_jobs().claim(job.due(), self.volume_lease()).await;
            let Ok(Some(claimed)): Result<Option<VolumeJob>, _> = claimed else { continue };
            if let VolumeAction::Remove(requested) = &claimed.action {
                let made = prepared.devices.get(&job.instance_id).cloned().unwrap_or_default();
                let action = VolumeAction::Remove(removals(&made, requested));
                self.do_volume_job_later(&VolumeJob { action, ..claimed }, None).await;
            }
        }
    }

    /// Confirms the reservations of instances that exist now, as far as that is possible at once.
    pub(in crate::compute) async fn hold_volumes(
        &self,
        prepared: &Prepared,
        reservation: &Reservation,
        deadline: Option<Deadline>,
    ) {
        let exists = |id| reservation.instances.iter().any(|instance| instance.id == id);
        let jobs: Vec<_> = prepared.jobs.iter().filter(|job| exists(job.instance_id)).cloned().collect();
        let holding = jobs.into_iter().map(|job| async move {
            let job = VolumeJob { action: VolumeAction::Attach, ..job };
            self.do_volume_job_later(&job, deadline).await;
        });
        let holding: Vec<_> = holding.collect();
        stream::iter(holding).buffer_unordered(AT_A_TIME).collect::<Vec<_>>().await;
    }
}

/// The job that takes back what is about to be created for an instance.
fn take_back(instance_id: Id, request: &CreateInstance, image_revision: i64, caller: &Caller) -> VolumeJob {
    let id = Id::random();
    let volumes = request.block_device_mapping.iter().enumerate().filter(|(_, mapping)| mapping.is_volume());
    let removals = volumes.map(|(index, mapping)| {
        // That of a new volume, and of its reservation.
        let request_id = format!("{id}-{index}");
        let is_of_image = matches!(mapping.source, Source::Image(_)) && mapping.is_root();
        let image_revision = if is_of_image { image_revision } else { 0 };
        let volume = match mapping.source {
            Source::Volume(volume_id) => RemovedVolume::Reserved { volume_id, request_id },
            _ => {
                let mapping = mapping.clone();
                RemovedVolume::Requested(Box::new(VolumeRequest { request_id, mapping, image_revision }))
            }
        };
        let delete = mapping.is_new_volume();
        Removal { volume, attachment_id: None, former_attachment_id: None, delete }
    });
    VolumeJob {
        id,
        instance_id,
        action: VolumeAction::Remove(removals.collect()),
        caller: caller.clone(),
        create_time: clock::now(),
        attempts: 1,
        lease: PREPARING + WRITING,
    }
}

/// The request as cinder-svc gets it.
pub(super) fn new_volume(request: &VolumeRequest) -> NewVolume {
    let VolumeRequest { request_id, mapping, image_revision } = request;
    NewVolume {
        name: String::new(),
        source: match mapping.source {
            Source::Image(id) => NewSource::Image { id, revision: *image_revision },
            Source::Snapshot(id) => NewSource::Snapshot(id),
            Source::Volume(_) | Source::Blank => NewSource::Blank,
        },
        size_gib: mapping.size_gib,
        volume_type: mapping.volume_type.clone(),
        request_id: request_id.clone(),
    }
}

/// What is to be taken back of the disks that were made for an instance, of which the volumes were `requested`. Of the last
/// one, it may be unknown whether it was created or reserved.
fn removals(made: &[BlockDevice], requested: &[Removal]) -> Vec<Removal> {
    let volumes = made.iter().filter(|device| device.mapping.is_volume());
    let removals = volumes.zip(requested).map(|(device, requested)| match Removal::of(device) {
        Some(removal) if device.attachment_id.is_some() => Removal { delete: requested.delete, ..removal },
        _ => requested.clone(),
    });
    removals.collect()
}

impl Removal {
    /// A disk of an instance that is deleted.
    pub(in crate::compute) fn of(device: &BlockDevice) -> Option<Self> {
        let volume = RemovedVolume::Known(device.volume_id?);
        let delete = device.mapping.delete_on_termination;
        let BlockDevice { attachment_id, former_attachment_id, .. } = *device;
        Some(Self { volume, attachment_id, former_attachment_id, delete })
    }
}
