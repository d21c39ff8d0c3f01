//! Images made from instances: snapshots, and those of shelved instances.

use std::{collections::BTreeMap, sync::Arc};

use common::{clock, id::Id, text::NAME_LIMIT};
use peers::glance::jobs::{ImageAction, Job};

use super::{ActionRequest, Plan};
use crate::{
    compute::ComputeApi,
    instance::{
        Compute, Instance, RecordChange, State,
        snapshot::{image_of, without_data},
        transitions::shelve,
    },
};

impl ComputeApi {
    pub(super) fn snapshot(
        &self,
        request: &ActionRequest<'_>,
        before: &Instance,
        name: &str,
        metadata: &BTreeMap<String, String>,
    ) -> Plan {
        let job = self.registration(request, before, name.to_owned(), metadata);
        let record_change = RecordChange { image_id: Some(job.image_id), ..RecordChange::default() };
        Plan { record_change, job: Some(job), ..Plan::default() }
    }

    /// An instance that boots from a volume keeps it, and needs no image to come back (Nova).
    pub(super) fn shelve(&self, request: &ActionRequest<'_>, before: &Instance) -> Plan {
        if before.root_volume().is_some() {
            return Plan::to(shelve(&before.record, None, &before.host, before.later(clock::now())));
        }
        let job = self.registration(request, before, shelved_name(&before.name), &BTreeMap::new());
        let target = shelve(&before.record, Some(job.image_id), &before.host, job.create_time);
        let record_change =
            RecordChange { target: Some(Arc::new(target)), image_id: Some(job.image_id), during: None };
        Plan { record_change, job: Some(job), ..Plan::default() }
    }

    /// The job of registering an image made from an instance, under a new id.
    fn registration(
        &self,
        request: &ActionRequest<'_>,
        instance: &Instance,
        name: String,
        metadata: &BTreeMap<String, String>,
    ) -> Job {
        let actor = &request.caller.actor;
        let image =
            image_of(instance, name, (&actor.user_id, &actor.project_id), metadata, &self.non_inheritable);
        let image = if instance.root_volume().is_some() {
            let is_written = self.compute == Compute::Agent && instance.state == State::Active;
            without_data(image, instance, is_written)
        } else {
            image
        };
        let action = ImageAction::Create(Box::new(image));
        Job::new(Id::random(), instance.id, action, request.caller, clock::now(), self.lease())
    }
}

/// Nova's name of a shelved instance's image; a long name is cut to make room for the ending.
fn shelved_name(name: &str) -> String {
    const END: &str = "-shelved";
    name.chars().take(NAME_LIMIT - END.len()).chain(END.chars()).collect()
}
