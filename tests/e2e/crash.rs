//! A process that is killed leaves nothing half done.

use std::time::Duration;

use chassis::{on_both_databases, testing::TestDb};
use proto::nova::v1::ListInstancesRequest;

use crate::world::{World, create};

on_both_databases!(a_kill_in_the_middle_of_a_thousand_instances_leaves_all_or_nothing);

/// How many instances the request asks for.
const COUNT: i64 = 1000;

/// When to kill, counted from the request: before, during and after the transaction, whatever the machine.
const MOMENTS_MS: [u64; 10] = [0, 5, 15, 30, 60, 100, 160, 250, 400, 700];

async fn a_kill_in_the_middle_of_a_thousand_instances_leaves_all_or_nothing(db: TestDb) {
    let mut world = World::start(db).await;
    let properties: Vec<(String, String)> =
        (0..30).map(|number| (format!("property_{number}"), "value".into())).collect();
    let borrowed: Vec<_> = properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let image = world.image(&borrowed).await;
    // 30 properties, four base attributes less the two formats it has not, the base image, the flavor.
    let rows_each = 30 + 2 + 1 + 10;

    let mut acknowledged = 0;
    for moment in MOMENTS_MS {
        let mut client = world.instances().await;
        let mut request = create(&image, 1000);
        request.metadata.insert("key".into(), "value".into());
        let creating = tokio::spawn(async move { client.create_instance(request).await });
        // The delay is what this test varies; nothing waits for anything with it.
        tokio::time::sleep(Duration::from_millis(moment)).await;
        world.crash_nova();
        acknowledged += i64::from(creating.await.unwrap().is_ok());

        // One statement, one state: the killed process's transaction may end only now.
        let (instances, metadata, system_metadata): (i64, i64, i64) = world
            .row(
                "SELECT (SELECT COUNT(*) FROM instances), (SELECT COUNT(*) FROM instance_metadata), \
                 (SELECT COUNT(*) FROM instance_system_metadata)",
            )
            .await;
        assert_eq!(instances % COUNT, 0, "killed after {moment} ms");
        assert!(instances >= acknowledged * COUNT, "an acknowledged create is there");
        assert_eq!(metadata, instances);
        assert_eq!(system_metadata, instances * rows_each);
        let request = ListInstancesRequest { page_size: 1, ..Default::default() };
        world.instances().await.list_instances(request).await.unwrap();
    }
}
