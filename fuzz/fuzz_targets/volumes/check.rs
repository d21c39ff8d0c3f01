//! The invariants, whatever callers do.

use std::collections::BTreeMap;

use proto::cinder::v1::{VolumeHistoryEntry, volume_change::Subject, volume_history_entry::Operation};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    call::{Action, Call, Origin, Reading},
    play::Play,
    world::QUOTA,
};

/// All documented reasons.
const ERRORS: &str = include_str!("../../../docs/errors.md");

/// Checks an input after all of its calls.
pub(crate) async fn everything(play: &Play<'_>) {
    play.made.iter().for_each(|(call, done)| outcome(call, done));
    let volumes = play.all().await;
    for id in play.ids.iter().chain(volumes.iter().map(|volume| &volume.id)) {
        replay(play, id).await;
    }
    let size: i64 = volumes.iter().map(|volume| i64::from(volume.size_gib)).sum();
    let count = i64::try_from(volumes.len()).expect("there are few");
    assert!(Some(count) <= QUOTA.volumes && Some(size) <= QUOTA.gigabytes, "{count} volumes, {size} GiB");
}

/// A call fails only because of its own request, and a stranger sees nothing.
fn outcome(call: &Call, done: &Result<(), Status>) {
    let Err(status) = done else {
        let is_open = matches!(call.action, Action::Read(Reading::List | Reading::Drift) | Action::Create(_));
        let copies = matches!(call.action, Action::Create(Origin::Volume));
        return assert!(!call.is_stranger || is_open && !copies, "{call:?} is a stranger");
    };
    match status.code() {
        Code::Internal | Code::Unknown | Code::DataLoss | Code::Unimplemented => {
            panic!("{call:?}: {status:?}")
        }
        Code::Cancelled | Code::DeadlineExceeded | Code::Unavailable => panic!("{call:?}: {status:?}"),
        _ => {}
    }
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no reason: {status:?}"));
    let reason = info.reason;
    assert!(ERRORS.contains(&format!("`{reason}`")), "{reason} is not documented: {call:?}");
    assert_ne!(reason, "CONTENDED", "{call:?}");
}

/// A volume is what its history says, also at each revision.
async fn replay(play: &Play<'_>, id: &str) {
    let history = play.history(id).await;
    let mut properties = BTreeMap::new();
    for (number, entry) in (1..).zip(&history) {
        assert_eq!(entry.revision, number, "{id}: every revision is in history once: {history:?}");
        apply(entry, &mut properties);
        if let Some(then) = play.volume(id, number).await {
            let remembered = then.image_properties.into_iter().collect();
            assert_eq!(properties, remembered, "{id} at revision {number}: {history:?}");
        }
    }
    let mut requests: Vec<_> =
        history.iter().map(|entry| &entry.request_id).filter(|id| !id.is_empty()).collect();
    let count = requests.len();
    requests.sort_unstable();
    requests.dedup();
    assert_eq!(requests.len(), count, "{id}: a request was carried out twice: {history:?}");
    let last = history.last().unwrap_or_else(|| panic!("{id} has a history"));
    let Some(volume) = play.volume(id, 0).await else {
        return assert_eq!(last.operation(), Operation::Delete, "{id} is gone: {history:?}");
    };
    assert_eq!((volume.revision, volume.status()), (last.revision, last.new_status()), "{id}: {history:?}");
    assert_eq!(properties, volume.image_properties.into_iter().collect(), "{id}: {history:?}");
}

fn apply(entry: &VolumeHistoryEntry, properties: &mut BTreeMap<String, String>) {
    for change in &entry.changes {
        let Some(Subject::ImageProperty(name)) = &change.subject else { continue };
        assert_eq!(properties.get(name), change.old_value.as_ref(), "{entry:?}");
        match &change.new_value {
            Some(value) => drop(properties.insert(name.clone(), value.clone())),
            None => drop(properties.remove(name)),
        }
    }
}
