//! Images of instances: snapshots, and instances that are put away.

use std::{collections::BTreeMap, sync::Arc};

use common::{clock, id::Id, text::NAME_LIMIT};

use super::{Asked, Operations, Plan};
use crate::{
    instance::{Aim, Instance, afterwards::shelve, snapshot::image_of},
    store::{Action, Job},
};

impl Operations {
    pub(super) fn snapshot(
        &self,
        asked: &Asked<'_>,
        before: &Instance,
        name: &str,
        metadata: &BTreeMap<String, String>,
    ) -> Plan {
        let job = self.registration(asked, before, name.to_owned(), metadata);
        let aim = Aim { image_id: Some(job.image_id), ..Aim::default() };
        Plan { aim, job: Some(job), quota: None }
    }

    pub(super) fn shelve(&self, asked: &Asked<'_>, before: &Instance) -> Plan {
        let job = self.registration(asked, before, shelved_name(&before.name), &BTreeMap::new());
        let target = shelve(&before.record, job.image_id, &before.host, job.create_time);
        let aim = Aim { target: Some(Arc::new(target)), image_id: Some(job.image_id), meanwhile: None };
        Plan { aim, job: Some(job), quota: None }
    }

    /// What registers an image of an instance, under an id that nobody else has.
    fn registration(
        &self,
        asked: &Asked<'_>,
        instance: &Instance,
        name: String,
        metadata: &BTreeMap<String, String>,
    ) -> Job {
        let actor = &asked.caller.actor;
        let image = image_of(instance, name, (&actor.user_id, &actor.project_id), metadata, &self.left_out);
        Job {
            image_id: Id::random(),
            instance_id: instance.id,
            revision: 0,
            action: Action::Create(Box::new(image)),
            caller: asked.caller.clone(),
            create_time: clock::now(),
            attempts: 1,
            lease: self.lease(),
        }
    }
}

/// Nova's name of the image of an instance that is put away; a long name makes room for the end.
fn shelved_name(name: &str) -> String {
    const END: &str = "-shelved";
    name.chars().take(NAME_LIMIT - END.len()).chain(END.chars()).collect()
}
