//! The invariants, whatever callers do.

use std::collections::{BTreeMap, BTreeSet};

use proto::{
    glance::v1::{ListImageRevisionsRequest, image_service_client::ImageServiceClient},
    nova::v1::{
        Flavor, Instance, InstanceHistoryEntry, ListInstancesRequest, instance_history_entry::Operation,
        instance_service_client::InstanceServiceClient,
    },
};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::{
    call::{Action, Answer, Patience},
    play::{Made, Play},
    world::QUOTA,
};

/// All documented reasons.
const ERRORS: &str = include_str!("../../../docs/errors.md");

/// How many times to read an instance until it no longer changes.
const TRIES: usize = 100;

/// Checks an input after all of its calls.
pub(crate) async fn everything(play: &Play<'_>) {
    play.made.iter().for_each(outcome);
    let mut histories = BTreeMap::new();
    for id in &play.ids {
        histories.insert(id.clone(), settled(play, id).await);
    }
    for made in &play.made {
        acknowledged(play, made, &histories).await;
    }
    requests(play, &histories);
    quota(play).await;
}

/// A call fails only because of its own request, or because its caller left.
fn outcome(made: &Made) {
    let Some((_, Err(status))) = &made.done else { return };
    let has_left = made.call.patience() != Patience::Endless;
    match status.code() {
        Code::DeadlineExceeded | Code::Cancelled if has_left => return,
        Code::Internal | Code::Unknown | Code::DataLoss | Code::Unimplemented | Code::Cancelled => {
            panic!("{made:?}")
        }
        Code::DeadlineExceeded => panic!("{made:?}"),
        _ => {}
    }
    let reason = reason(status);
    assert!(ERRORS.contains(&format!("`{reason}`")), "{reason} is not documented: {made:?}");
    assert_ne!(reason, "CONTENDED", "{made:?}");
    if status.code() == Code::Unavailable {
        assert!(reason == "OPERATION_BEGUN" || has_left, "{made:?}");
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap_or_else(|| panic!("no reason: {status:?}")).reason
}

/// An instance is what its history says, once nothing is in progress; returns the history.
async fn settled(play: &Play<'_>, id: &str) -> Vec<InstanceHistoryEntry> {
    for _ in 0..TRIES {
        let (before, history) = (play.instance(id).await, play.history(id).await);
        if play.instance(id).await == before {
            replay(id, before.as_ref(), &history);
            return history;
        }
    }
    panic!("instance {id} does not come to rest");
}

fn replay(id: &str, instance: Option<&Instance>, history: &[InstanceHistoryEntry]) {
    let mut entries = BTreeMap::new();
    for (number, entry) in (1..).zip(history) {
        assert_eq!(entry.revision, number, "{id}: every revision is in history once: {history:?}");
        for change in entry.changes.clone() {
            assert_eq!(entries.get(&change.key), change.old_value.as_ref(), "{id}: {entry:?}");
            match change.new_value {
                Some(value) => drop(entries.insert(change.key, value)),
                None => drop(entries.remove(&change.key)),
            }
        }
    }
    let last = history.last().unwrap_or_else(|| panic!("{id} has a history"));
    let Some(instance) = instance else {
        return assert_eq!(last.operation(), Operation::Delete, "{id} is gone: {history:?}");
    };
    assert_eq!((instance.revision, instance.state()), (last.revision, last.new_state()), "{id}");
    assert_eq!((&instance.image_id, instance.image_revision), (&last.new_image_id, last.new_image_revision));
    assert_eq!(entries, instance.system_metadata.clone().into_iter().collect(), "{id}: {history:?}");
}

/// Everything that was acknowledged is there.
async fn acknowledged(play: &Play<'_>, made: &Made, histories: &BTreeMap<String, Vec<InstanceHistoryEntry>>) {
    let Some((_, Ok(answer))) = &made.done else { return };
    for (id, revision) in &answer.instances {
        let history = match histories.get(id) {
            Some(history) => history.clone(),
            None => play.history(id).await,
        };
        let last = history.last().map_or(0, |entry| entry.revision);
        assert!(*revision <= last, "{made:?} is not in {history:?}");
    }
    let history = &histories[&made.id];
    let has = |test: &dyn Fn(&InstanceHistoryEntry) -> bool| {
        assert!(history.iter().any(test), "{made:?} is not in {history:?}");
    };
    match made.call.action {
        Action::Delete => has(&|entry| entry.operation() == Operation::Delete),
        Action::Edit => {
            let key = format!("image_{}", made.call.property());
            has(&|entry| {
                let mut changes = entry.changes.iter();
                changes.any(|change| change.key == key && change.new_value.as_ref() == Some(&made.value))
            });
        }
        Action::Report(_) => has(&|entry| entry.message == made.value),
        Action::CachedImage => {
            has(&|entry| entry.snapshot_image_id == answer.image_id);
            let mut glance = ImageServiceClient::new(play.world.glance.clone());
            let request =
                ListImageRevisionsRequest { image_id: answer.image_id.clone(), ..Default::default() };
            let registered = glance.list_image_revisions(request).await;
            assert!(registered.is_ok(), "{made:?}: {registered:?}");
        }
        _ => {}
    }
}

/// The scope of a request id: the creates of the project, or an instance.
fn place(made: &Made) -> Option<(Option<&str>, String)> {
    let id = made.call.request_id();
    let place = match made.call.action {
        Action::Read(_) | Action::ChangeImage => return None,
        Action::Create => None,
        _ => Some(&*made.id),
    };
    (!id.is_empty()).then_some((place, id))
}

/// A request id belongs to one request, which is carried out once and always gets the same answer.
fn requests(play: &Play<'_>, histories: &BTreeMap<String, Vec<InstanceHistoryEntry>>) {
    let mut requests: BTreeMap<_, Vec<&Made>> = BTreeMap::new();
    for made in &play.made {
        if let Some(place) = place(made) {
            requests.entry(place).or_default().push(made);
        }
    }
    for ((instance, request_id), calls) in requests {
        let history = instance.map_or(&[][..], |id| &histories[id]);
        let entries = history.iter().filter(|entry| entry.request_id == request_id).count();
        assert!(entries <= 1, "{request_id} did more than one thing: {history:?}");
        let answers: Vec<_> = calls.iter().filter_map(|made| answer(made)).collect();
        let said: BTreeSet<_> = answers.iter().map(|(said, _)| said).collect();
        assert!(said.len() <= 1, "{request_id} is of more than one request: {calls:?}");
        let made: BTreeSet<_> =
            answers.iter().map(|(_, answer)| (&answer.reservation_id, &answer.image_id)).collect();
        assert!(made.len() <= 1, "{request_id} has more than one answer: {calls:?}");
        let is_known = instance.is_none() || entries == 1;
        calls.iter().filter(|_| is_known).for_each(|made| repeated(made, &calls));
    }
}

fn answer(made: &Made) -> Option<(&String, &Answer)> {
    let (said, done) = made.done.as_ref()?;
    done.as_ref().ok().map(|answer| (said, answer))
}

/// A retry of an acknowledged request gets the same answer.
fn repeated(made: &Made, calls: &[&Made]) {
    let Some((said, Err(status))) = &made.done else { return };
    let is_earlier =
        |other: &&&Made| other.round < made.round && answer(other).is_some_and(|(before, _)| before == said);
    let Some(before) = calls.iter().find(is_earlier) else { return };
    let has_left = made.call.patience() != Patience::Endless;
    let expected = ["OPERATION_BEGUN", "IMAGE_REFUSED", "INSTANCE_NOT_FOUND"];
    let is_left =
        has_left && matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled | Code::Unavailable);
    assert!(is_left || expected.contains(&&*reason(status)), "{before:?}, then {made:?}");
}

/// The project is within its quota.
async fn quota(play: &Play<'_>) {
    let mut request = Request::new(ListInstancesRequest { page_size: 1000, ..Default::default() });
    let token = format!("u:{}:reader", play.project).parse().expect("a token is ASCII");
    request.metadata_mut().insert("x-auth-token", token);
    let listed = InstanceServiceClient::new(play.nova(false)).list_instances(request).await;
    let instances = listed.expect("a reader reads its project").into_inner().instances;
    let count = i64::try_from(instances.len()).expect("there are few");
    let cores: i64 = instances.iter().map(cores).sum();
    assert!(Some(count) <= QUOTA.instances && Some(cores) <= QUOTA.cores, "{count} with {cores} cores");
}

/// The cores of an instance; while it is being resized, those of the larger flavor.
fn cores(instance: &Instance) -> i64 {
    let vcpus = |flavor: Option<&Flavor>| flavor.map_or(0, |flavor| i64::from(flavor.vcpus));
    let target = instance.task.as_ref().and_then(|task| task.flavor.as_ref());
    let former = instance.system_metadata.get("old_instance_type_vcpus");
    let former = former.and_then(|value| value.parse().ok()).unwrap_or(0);
    vcpus(instance.flavor.as_ref()).max(vcpus(target)).max(former)
}
