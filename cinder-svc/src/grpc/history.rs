//! From history entries and comparisons to messages.

use common::{
    clock::timestamp,
    id::Id,
    image::change::{Change, Subject},
};
use proto::cinder::v1::{self as pb, image_difference, volume_change, volume_history_entry as entries};

use super::render;
use crate::{
    store::HistoryEntry,
    volume::{
        Operation, Status, Step,
        history::{VolumeChange, VolumeSubject},
    },
    volumes::Comparison,
};

/// An entry of the history of a volume.
pub(super) fn entry(volume_id: Id, history: HistoryEntry) -> pb::VolumeHistoryEntry {
    let HistoryEntry { revision, entry, statuses, changes } = history;
    let status = |status: Option<Status>| status.map_or(0, |status| render::status(status).into());
    pb::VolumeHistoryEntry {
        volume_id: volume_id.to_string(),
        revision,
        create_time: Some(timestamp(entry.time)),
        user_id: entry.actor.user_id,
        project_id: entry.actor.project_id,
        operation: operation(entry.operation).into(),
        step: step(entry.step).into(),
        old_status: status(statuses.0),
        new_status: status(statuses.1),
        changes: changes.into_iter().map(change).collect(),
        message: entry.message,
        image_id: entry.image_id.map(|id| id.to_string()).unwrap_or_default(),
        request_id: entry.request.map(|request| request.id).unwrap_or_default(),
        left_out_properties: entry.left_out,
    }
}

fn change(VolumeChange { subject, old, new }: VolumeChange) -> pb::VolumeChange {
    let subject = match subject {
        VolumeSubject::Attribute(name) => volume_change::Subject::Attribute(name),
        VolumeSubject::Metadata(key) => volume_change::Subject::Metadata(key),
        VolumeSubject::ImageProperty(name) => volume_change::Subject::ImageProperty(name),
    };
    pb::VolumeChange { subject: Some(subject), old_value: old, new_value: new }
}

/// A volume compared with its image.
pub(super) fn comparison(volume_id: Id, comparison: Comparison) -> pb::CompareVolumeResponse {
    let (image_id, image_revision) =
        comparison.image.map(|(id, revision)| (id.to_string(), revision)).unwrap_or_default();
    let (current_revision, current) = comparison.current.unwrap_or_default();
    let differences = |changes: Vec<Change>| changes.into_iter().map(difference).collect();
    pb::CompareVolumeResponse {
        volume_id: volume_id.to_string(),
        image_id,
        image_revision,
        current_revision,
        current: differences(current),
        has_revision: comparison.at_revision.is_some(),
        at_revision: differences(comparison.at_revision.unwrap_or_default()),
    }
}

/// A difference from a volume to its image.
pub(super) fn difference(Change { subject, old, new }: Change) -> pb::ImageDifference {
    use image_difference::Kind;
    let subject = match subject {
        Subject::Attribute(name) => image_difference::Subject::Attribute(name),
        Subject::Property(name) => image_difference::Subject::Property(name),
    };
    let kind = match (&old, &new) {
        (None, _) => Kind::Added,
        (_, None) => Kind::Removed,
        _ => Kind::Changed,
    };
    pb::ImageDifference { subject: Some(subject), kind: kind.into(), volume_value: old, image_value: new }
}

const fn operation(operation: Operation) -> entries::Operation {
    match operation {
        Operation::Create => entries::Operation::Create,
        Operation::Update => entries::Operation::Update,
        Operation::Extend => entries::Operation::Extend,
        Operation::Retype => entries::Operation::Retype,
        Operation::Reimage => entries::Operation::Reimage,
        Operation::Revert => entries::Operation::Revert,
        Operation::UpdateImageProperties => entries::Operation::UpdateImageProperties,
        Operation::UploadToImage => entries::Operation::UploadToImage,
        Operation::WriteData => entries::Operation::WriteData,
        Operation::Attachment => entries::Operation::Attachment,
        Operation::Transfer => entries::Operation::Transfer,
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
