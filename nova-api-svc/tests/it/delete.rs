//! Deleting instances.

use chassis::{on_both_databases, testing::TestDb};
use proto::nova::v1::{
    CreateInstanceRequest, DeleteInstanceRequest, ListInstancesRequest, ReportInstanceStateRequest,
    instance::State,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    glance::map,
    support::{Nova, assert_error, fields, made_as, made_by, of, several},
};

on_both_databases!(
    all_metadata_goes_with_the_instance,
    a_deleted_instance_is_not_found,
    one_of_many_deletes_at_once_succeeds,
    a_retry_of_a_delete_answers_as_the_first_one_did,
    a_delete_is_of_the_instance_as_it_was_read,
);

const UNKNOWN: &str = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11";

#[track_caller]
fn assert_not_found(status: &Status, id: &str) {
    let values = assert_error(status, Code::NotFound, "INSTANCE_NOT_FOUND");
    assert_eq!(&values["instance_id"], id);
    let resource = status.get_details_resource_info().unwrap();
    assert_eq!((resource.resource_type.as_str(), resource.resource_name.as_str()), ("nova.v1.Instance", id));
}

async fn all_metadata_goes_with_the_instance(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[("os_type", "linux")]);
    let request = CreateInstanceRequest { metadata: map(&[("a", "1")]), ..several(&image, 3) };
    let created = nova.create(request).await.unwrap().instances;
    assert_eq!(nova.rows().await, (3, 3, 42, 0, 0));
    nova.delete(&created[1].id.to_uppercase()).await.unwrap();
    assert_eq!(nova.rows().await, (2, 2, 28, 0, 0));
    let left = nova.list(ListInstancesRequest::default()).await.unwrap().instances;
    assert_eq!(left, [created[2].clone(), created[0].clone()]);
    let found = ListInstancesRequest {
        filter: "system_metadata.image_os_type = linux".to_owned(),
        ..ListInstancesRequest::default()
    };
    assert_eq!(nova.list(found).await.unwrap().instances.len(), 2);
}

async fn a_deleted_instance_is_not_found(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let created = nova.create(several(&image, 1)).await.unwrap().instances.remove(0);
    nova.delete(&created.id).await.unwrap();
    assert_not_found(&nova.get(&created.id).await.unwrap_err(), &created.id);
    assert_not_found(&nova.delete(&created.id).await.unwrap_err(), &created.id);
    assert_not_found(&nova.get(UNKNOWN).await.unwrap_err(), UNKNOWN);
    assert_not_found(&nova.delete(UNKNOWN).await.unwrap_err(), UNKNOWN);
}

async fn one_of_many_deletes_at_once_succeeds(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let created = nova.create(several(&image, 1)).await.unwrap().instances.remove(0);
    let request = DeleteInstanceRequest { id: created.id.clone(), ..Default::default() };
    let deleting: Vec<_> = (0..8)
        .map(|_| {
            let (mut instances, request) = (nova.instances(), request.clone());
            tokio::spawn(async move { instances.delete_instance(request).await })
        })
        .collect();
    let mut deleted = 0;
    for delete in deleting {
        match delete.await.unwrap() {
            Ok(_) => deleted += 1,
            Err(status) => assert_not_found(&status, &created.id),
        }
    }
    assert_eq!(deleted, 1);
}

async fn a_retry_of_a_delete_answers_as_the_first_one_did(db: TestDb) {
    let nova = Nova::start(db).await;
    let instance = nova.create_one(of(&nova.glance.with(&[]))).await;
    let request = |request_id: &str| {
        let (id, request_id) = (instance.id.clone(), request_id.to_owned());
        made_by("alice", "demo", DeleteInstanceRequest { id, request_id, ..Default::default() })
    };
    let long = nova.instances().delete_instance(request(&"x".repeat(256))).await.unwrap_err();
    assert_eq!(fields(&long), ["request_id"]);
    nova.instances().delete_instance(request("r1")).await.unwrap();
    nova.instances().delete_instance(request("r1")).await.unwrap();
    assert_not_found(&nova.instances().delete_instance(request("r2")).await.unwrap_err(), &instance.id);
    let report = ReportInstanceStateRequest {
        id: instance.id.clone(),
        seen_state: State::Building.into(),
        request_id: "r1".to_owned(),
        ..Default::default()
    };
    let taken = nova.instances().report_instance_state(made_as("agent", "service", "service", report)).await;
    assert_error(&taken.unwrap_err(), Code::AlreadyExists, "REQUEST_ID_TAKEN");
}

async fn a_delete_is_of_the_instance_as_it_was_read(db: TestDb) {
    let nova = Nova::start(db).await;
    let created = nova.create_one(of(&nova.glance.with(&[]))).await;
    let delete = |etag: &str| {
        let (id, etag) = (created.id.clone(), etag.to_owned());
        made_by("alice", "demo", DeleteInstanceRequest { id, etag, ..Default::default() })
    };
    let report = |etag: &str| {
        let report = ReportInstanceStateRequest {
            id: created.id.clone(),
            seen_state: State::Building.into(),
            state: State::Active.into(),
            etag: etag.to_owned(),
            ..Default::default()
        };
        made_as("agent", "service", "service", report)
    };
    let stale = nova.instances().report_instance_state(report("x")).await.unwrap_err();
    assert_error(&stale, Code::Aborted, "STALE_ETAG");
    let active = nova.instances().report_instance_state(report(&created.etag)).await.unwrap().into_inner();
    let stale = nova.instances().delete_instance(delete(&created.etag)).await.unwrap_err();
    assert_eq!(&assert_error(&stale, Code::Aborted, "STALE_ETAG")["etag"], &active.etag);
    nova.instances().delete_instance(delete(&active.etag)).await.unwrap();
}
