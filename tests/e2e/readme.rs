//! The sessions of the README, pasted line by line.

use std::fs;

use chassis::testing::TestDb;
use harness::workspace;

use crate::{terminal::Terminal, world::World};

#[tokio::test]
async fn the_session_with_grpcurl_works() {
    let answers = answers("```sh session\n").await;
    for part in [
        "\"image_hw_disk_bus\": \"virtio\"",
        "\"oldValue\": \"ide\"",
        "\"imageRevision\": \"2\"",
        // What became of an instance.
        "\"host\": \"compute-1\"",
        "\"instanceValue\": \"scsi\"",
        "\"state\": \"RESIZED\"",
        "\"operation\": \"REVERT_RESIZE\"",
    ] {
        assert!(answers.contains(part), "{part} is missing in:\n{answers}");
    }
}

#[tokio::test]
async fn the_session_with_openstacks_clients_works() {
    let answers = answers("```sh openstack session\n").await;
    for part in [
        // Of glance, openstack, the history, and the instance.
        "| hw_disk_bus      | virtio",
        "os_type='linux'",
        "\"oldValue\": \"ide\"",
        "\"image_hw_disk_bus\": \"virtio\"",
        "\"image_os_type\": \"linux\"",
    ] {
        assert!(answers.contains(part), "{part} is missing in:\n{answers}");
    }
}

/// What the session in the README that begins with `fence` prints.
async fn answers(fence: &str) -> String {
    let world = World::start(TestDb::sqlite()).await;
    let readme = fs::read_to_string(workspace::root().join("README.md")).unwrap();
    let (_, session) = readme.split_once(fence).expect("the README has the session");
    let (session, _) = session.split_once("```").unwrap();
    let session = session
        .replace("127.0.0.1:9292", &world.glance.address().to_string())
        .replace("127.0.0.1:8774", &world.nova.address().to_string());
    // One shell for all of it, as at a terminal: a line may use what an earlier one set.
    Terminal::with([]).run(&session)
}
