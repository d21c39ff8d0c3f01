//! Many concurrent changes of one instance through two replicas: each is served as if it were alone.

use std::{collections::BTreeSet, future::pending, sync::Arc, time::Duration};

use chassis::caller::{Caller, Identity};
use common::{id::Id, violations::Violations};
use nova_api_svc::{
    compute::operations::{Action, ActionRequest},
    error::Error,
    instance::{INSTANCES, Scope},
    store::Decided,
};
use proto::nova::v1::instance_service_client::InstanceServiceClient;
use tokio::{
    sync::Notify,
    task::{JoinHandle, yield_now},
    time::timeout,
};
use tonic::transport::Channel;

use super::*;
use crate::glance::Mood;

on_both_databases!(
    many_edits_of_one_instance_are_all_made,
    many_reports_of_one_instance_are_all_taken,
    a_request_that_comes_many_times_at_once_is_done_once,
    edits_reports_and_a_delete_at_once_end_with_the_delete,
    an_edit_does_not_wait_for_a_rebuild_that_waits_for_glance,
    who_may_not_change_an_instance_takes_no_turn,
);

/// Number of concurrent requests.
const MANY: usize = 64;

/// Sends requests to both replicas at once; returns what became of each.
async fn at_once<T, F>(
    replicas: &[InstanceServiceClient<Channel>; 2],
    send: impl Fn(usize, InstanceServiceClient<Channel>) -> F,
) -> Vec<Result<T, Status>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Status>> + Send + 'static,
{
    let waiting: Vec<JoinHandle<_>> =
        (0..MANY).map(|number| tokio::spawn(send(number, replicas[number % 2].clone()))).collect();
    let mut outcomes = Vec::new();
    for answer in waiting {
        outcomes.push(answer.await.unwrap());
    }
    outcomes
}

fn setting(id: &str, name: &str, value: &str) -> UpdateInstanceImagePropertiesRequest {
    UpdateInstanceImagePropertiesRequest {
        id: id.to_owned(),
        set: map(&[(name, value)]),
        ..Default::default()
    }
}

async fn many_edits_of_one_instance_are_all_made(db: TestDb) {
    let nova = Nova::start(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let replicas = nova.replicas(&Settings::default()).await;
    let done = at_once(&replicas, |number, mut replica| {
        let request = by_alice(setting(&instance.id, &format!("p{number}"), &number.to_string()));
        async move { replica.update_instance_image_properties(request).await }
    })
    .await;
    let revisions: BTreeSet<_> = done.into_iter().map(|done| done.unwrap().into_inner().revision).collect();
    assert_eq!(revisions.len(), MANY, "each made a revision of its own");
    let edited = nova.get(&instance.id).await.unwrap();
    for number in 0..MANY {
        assert_eq!(edited.system_metadata[&format!("image_p{number}")], number.to_string());
    }
    assert_eq!(edited.revision, instance.revision + i64::try_from(MANY).unwrap());
}

async fn many_reports_of_one_instance_are_all_taken(db: TestDb) {
    let nova = Nova::start(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let replicas = nova.replicas(&Settings::default()).await;
    let done = at_once(&replicas, |number, mut replica| {
        let message = format!("report {number}");
        let report = ReportInstanceStateRequest { message, ..seen(&instance) };
        async move { replica.report_instance_state(by_an_agent(report)).await }
    })
    .await;
    for done in done {
        done.unwrap();
    }
    let history = nova.history(&instance.id).await;
    let told: BTreeSet<_> = history.iter().map(|entry| entry.message.clone()).collect();
    assert!((0..MANY).all(|number| told.contains(&format!("report {number}"))), "{told:?}");
}

async fn a_request_that_comes_many_times_at_once_is_done_once(db: TestDb) {
    let nova = Nova::start(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let replicas = nova.replicas(&Settings::default()).await;
    let done = at_once(&replicas, |number, mut replica| {
        let request_id = format!("r{}", number % 4);
        let edit = setting(&instance.id, &request_id, "1");
        let request = by_alice(UpdateInstanceImagePropertiesRequest { request_id, ..edit });
        async move { replica.update_instance_image_properties(request).await }
    })
    .await;
    for done in done {
        done.unwrap();
    }
    assert_eq!(nova.get(&instance.id).await.unwrap().revision, instance.revision + 4);
}

async fn edits_reports_and_a_delete_at_once_end_with_the_delete(db: TestDb) {
    let nova = Nova::start(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let replicas = nova.replicas(&Settings::default()).await;
    let done = at_once(&replicas, |number, mut replica| {
        let edit = by_alice(setting(&instance.id, &format!("p{number}"), "1"));
        let message = format!("report {number}");
        let report = by_an_agent(ReportInstanceStateRequest { message, ..seen(&instance) });
        let (id, request_id) = (instance.id.clone(), "gone".to_owned());
        let delete = by_alice(DeleteInstanceRequest { id, request_id, ..Default::default() });
        async move {
            match number % 8 {
                7 => replica.delete_instance(delete).await.map(|_| true),
                number if number % 2 == 0 => replica.report_instance_state(report).await.map(|_| false),
                _ => replica.update_instance_image_properties(edit).await.map(|_| false),
            }
        }
    })
    .await;
    for (number, done) in done.into_iter().enumerate() {
        match done {
            Ok(_) => {}
            Err(status) => {
                assert_error(&status, Code::NotFound, "INSTANCE_NOT_FOUND");
                assert_ne!(number % 8, 7, "a retry of a delete answers OK");
            }
        }
    }
    let history = nova.history(&instance.id).await;
    let revisions: Vec<_> = history.iter().map(|entry| entry.revision).collect();
    assert_eq!(revisions, (1..=i64::try_from(history.len()).unwrap()).collect::<Vec<_>>());
}

async fn an_edit_does_not_wait_for_a_rebuild_that_waits_for_glance(db: TestDb) {
    let nova = Nova::start(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let asked = nova.glance.calls().len();
    nova.glance.be(Mood::Hanging);
    let (mut instances, id) = (nova.instances(), instance.id.clone());
    let rebuild = by_alice(RebuildInstanceRequest { id, ..Default::default() });
    let rebuilding = tokio::spawn(async move { instances.rebuild_instance(rebuild).await });
    while nova.glance.calls().len() == asked {
        yield_now().await;
    }
    let edited = nova.edit(setting(&instance.id, "p", "1")).await.unwrap();
    assert_eq!(edited.system_metadata["image_p"], "1");
    rebuilding.abort();
}

/// Whom a token for development names.
fn caller(token: &str) -> Caller {
    let mut headers = tonic::metadata::MetadataMap::new();
    headers.insert("x-auth-token", token.parse().unwrap());
    Identity::Development.caller(&headers.into_headers()).unwrap()
}

async fn who_may_not_change_an_instance_takes_no_turn(db: TestDb) {
    let nova = Nova::start(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let id: Id = instance.id.parse().unwrap();
    let compute = Worker::of(&nova, Compute::Agent).await.compute;
    let (begun, store) = (Arc::new(Notify::new()), compute.store.clone());
    let scope = Scope::change(&caller("alice:demo:member"), INSTANCES).unwrap();
    let turn = tokio::spawn({
        let begun = Arc::clone(&begun);
        async move {
            let for_ever = || {
                begun.notify_one();
                pending::<Result<Decided<()>, Error>>()
            };
            store.change(id, &scope, for_ever).await.map(drop)
        }
    });
    begun.notified().await;
    for (token, code) in [
        ("mallory:other:member", Code::NotFound),
        ("bob:demo:reader", Code::PermissionDenied),
        ("agent:other:service", Code::PermissionDenied),
    ] {
        let caller = caller(token);
        for action in [Action::Shelve, Action::Delete] {
            let (request_id, etag) = (String::new(), String::new());
            let request =
                ActionRequest { instance_id: id, action, request_id, etag, caller: &caller, deadline: None };
            let refused = compute.run_action(&request, Violations::default());
            let refused = timeout(Duration::from_secs(30), refused).await;
            let refused = refused.unwrap_or_else(|_| panic!("{token} waits for its turn")).unwrap_err();
            assert_eq!(Status::from(refused).code(), code, "{token}");
        }
    }
    turn.abort();
}
