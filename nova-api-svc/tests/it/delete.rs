//! Deleting instances.

use common::{on_both_databases, testing::TestDb};
use proto::nova::v1::{CreateInstanceRequest, ListInstancesRequest};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    glance::map,
    support::{Nova, assert_error, several},
};

on_both_databases!(
    all_metadata_goes_with_the_instance,
    a_deleted_instance_is_not_found,
    one_of_many_deletes_at_once_succeeds,
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
    let request = proto::nova::v1::DeleteInstanceRequest { id: created.id.clone() };
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
