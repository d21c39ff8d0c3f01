//! The image catalogue is away, slow, or back again.

use std::time::{Duration, Instant};

use chassis::{on_both_databases, testing::TestDb};
use proto::nova::v1::{GetInstanceRequest, ListInstancesRequest};
use serde_json::json;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::world::{GRPCURL_RPC_ERROR, World, create, grpcurl};

on_both_databases!(creates_fail_cleanly_and_reads_go_on, a_frozen_glance_fails_within_the_callers_deadline);

async fn creates_fail_cleanly_and_reads_go_on(db: TestDb) {
    let mut world = World::start(db).await;
    let image = world.image(&[]).await;
    let mut instances = world.instances().await;
    let before = instances.create_instance(create(&image, 1)).await.unwrap().into_inner().instances;

    world.glance.kill().unwrap();
    let data = json!({"name": "web", "image_id": image.id, "flavor_id": "1"});
    let output = grpcurl(&world.nova, "nova.v1.InstanceService/CreateInstance", &data);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(GRPCURL_RPC_ERROR + Code::Unavailable as i32), "{error}");
    assert!(error.contains("GLANCE_UNAVAILABLE"), "{error}");
    assert!(error.contains("google.rpc.RetryInfo"), "{error}");
    assert_eq!(world.count("SELECT COUNT(*) FROM instances").await, 1);
    assert_eq!(world.count("SELECT COUNT(DISTINCT instance_id) FROM instance_system_metadata").await, 1);

    let request = GetInstanceRequest { id: before[0].id.clone() };
    assert_eq!(instances.get_instance(request).await.unwrap().into_inner(), before[0]);
    let listed = instances.list_instances(ListInstancesRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.instances, before);

    // nova-api-svc also starts without it, and uses it as soon as it is back.
    world.crash_nova();
    let mut instances = world.instances().await;
    let status = instances.create_instance(create(&image, 1)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    world.revive_glance();
    instances.create_instance(create(&image, 1)).await.unwrap();
}

async fn a_frozen_glance_fails_within_the_callers_deadline(db: TestDb) {
    let world = World::start(db).await;
    let image = world.image(&[]).await;
    let mut instances = world.instances().await;
    instances.create_instance(create(&image, 1)).await.unwrap();

    world.glance.signal("STOP").unwrap();
    let mut request = Request::new(create(&image, 1));
    request.set_timeout(Duration::from_secs(5));
    let started = Instant::now();
    let status = instances.create_instance(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    // Ours, with its details: the caller's own time-out has none.
    assert_eq!(status.get_details_error_info().unwrap().reason, "GLANCE_TIMEOUT");
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(world.count("SELECT COUNT(*) FROM instances").await, 1);

    world.glance.signal("CONT").unwrap();
    instances.create_instance(create(&image, 1)).await.unwrap();
}
