//! A retry with the same request id creates nothing new.

use chassis::{on_both_databases, testing::TestDb};

use crate::world::{World, create};

on_both_databases!(a_retry_after_a_crash_answers_with_what_was_created);

async fn a_retry_after_a_crash_answers_with_what_was_created(db: TestDb) {
    let mut world = World::start(db).await;
    let image = world.image(&[("os_type", "linux")]).await;
    let mut request = create(&image, 3);
    request.request_id = "b1946ac9-2492-4d23-8a3f-0c5a2b1d7e11".into();
    let first = world.instances().await.create_instance(request.clone()).await.unwrap().into_inner();

    world.crash_nova();
    // Not even the image catalogue is needed: the answer is in the database.
    world.glance.kill().unwrap();
    let second = world.instances().await.create_instance(request).await.unwrap().into_inner();
    assert_eq!(second, first);
    assert_eq!(world.count("SELECT COUNT(*) FROM instances").await, 3);
}
