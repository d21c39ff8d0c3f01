//! From history entries to messages.

use common::{clock::timestamp, id::Id};
use proto::nova::v1::{self as pb, instance_history_entry as entries};

use super::render;
use crate::{
    instance::{Operation, Record, State, Step, difference::EntryChange},
    store::HistoryEntry,
};

/// An entry of the history of an instance.
pub(super) fn entry(instance_id: Id, history: &HistoryEntry) -> pb::InstanceHistoryEntry {
    let entry = &history.entry;
    let (old, new) = (history.records.0.as_deref(), history.records.1.as_deref());
    let image_id =
        |record: Option<&Record>| record.map(|record| render::image_id(record.image_id)).unwrap_or_default();
    let image_revision = |record: Option<&Record>| record.map_or(0, |record| record.image_revision);
    let state = |state: Option<State>| state.map_or(0, |state| render::state(state).into());
    pb::InstanceHistoryEntry {
        instance_id: instance_id.to_string(),
        revision: history.revision,
        create_time: Some(timestamp(entry.time)),
        user_id: entry.actor.user_id.clone(),
        project_id: entry.actor.project_id.clone(),
        operation: operation(entry.operation).into(),
        step: step(entry.step).into(),
        old_state: state(history.states.0),
        new_state: state(history.states.1),
        old_image_id: image_id(old),
        old_image_revision: image_revision(old),
        new_image_id: image_id(new),
        new_image_revision: image_revision(new),
        changes: history.system_metadata_changes().iter().map(change).collect(),
        message: entry.message.clone(),
        snapshot_image_id: entry.image_id.map(|id| id.to_string()).unwrap_or_default(),
        request_id: entry.request.as_ref().map(|request| request.id.clone()).unwrap_or_default(),
        volume_id: entry.volume_id.map(|id| id.to_string()).unwrap_or_default(),
        truncated_properties: history.registration.truncated.clone(),
        volume_snapshots: history.registration.snapshots.iter().map(render::volume_snapshot).collect(),
    }
}

fn change(change: &EntryChange<'_>) -> pb::SystemMetadataChange {
    pb::SystemMetadataChange {
        key: change.key.to_owned(),
        old_value: change.old.map(str::to_owned),
        new_value: change.new.map(str::to_owned),
    }
}

const fn operation(operation: Operation) -> entries::Operation {
    match operation {
        Operation::Create => entries::Operation::Create,
        Operation::Snapshot => entries::Operation::Snapshot,
        Operation::Rebuild => entries::Operation::Rebuild,
        Operation::Resize => entries::Operation::Resize,
        Operation::ConfirmResize => entries::Operation::ConfirmResize,
        Operation::RevertResize => entries::Operation::RevertResize,
        Operation::UpdateImageProperties => entries::Operation::UpdateImageProperties,
        Operation::Shelve => entries::Operation::Shelve,
        Operation::Unshelve => entries::Operation::Unshelve,
        Operation::AttachVolume => entries::Operation::AttachVolume,
        Operation::DetachVolume => entries::Operation::DetachVolume,
        Operation::ReportState => entries::Operation::ReportState,
        Operation::Delete => entries::Operation::Delete,
    }
}

const fn step(step: Step) -> entries::Step {
    match step {
        Step::Started => entries::Step::Started,
        Step::Finished => entries::Step::Finished,
        Step::Failed => entries::Step::Failed,
    }
}
