//! The sessions of the README, pasted line by line.

use std::fs;

use chassis::testing::TestDb;
use harness::workspace;

use crate::{
    terminal::Terminal,
    world::{World, start_cinder},
};

#[tokio::test]
async fn the_session_with_grpcurl_works() {
    let answers = answers(&["```sh session\n", "```sh volume session\n"]).await;
    for part in [
        "\"image_hw_disk_bus\": \"virtio\"",
        "\"oldValue\": \"ide\"",
        "\"imageRevision\": \"2\"",
        // What became of an instance.
        "\"host\": \"compute-1\"",
        "\"instanceValue\": \"scsi\"",
        "\"state\": \"RESIZED\"",
        "\"operation\": \"REVERT_RESIZE\"",
        // Of a volume.
        "\"sizeGib\": 1",
        "\"volumeValue\": \"scsi\"",
        "\"operation\": \"UPDATE_IMAGE_PROPERTIES\"",
    ] {
        assert!(answers.contains(part), "{part} is missing in:\n{answers}");
    }
}

#[tokio::test]
async fn the_session_with_openstacks_clients_works() {
    let answers = answers(&["```sh openstack session\n"]).await;
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

/// What the sessions in the README that begin with `fences` print.
async fn answers(fences: &[&str]) -> String {
    let (world, volumes) = (World::start(TestDb::sqlite()).await, TestDb::sqlite());
    let cinder = start_cinder(&volumes.url, &world.glance.endpoint(), "none");
    let readme = fs::read_to_string(workspace::root().join("README.md")).unwrap();
    let session = |fence: &&str| {
        let (_, session) = readme.split_once(*fence).expect("the README has the session");
        session.split_once("```").unwrap().0
    };
    let sessions: String = fences.iter().map(session).collect();
    let sessions = sessions
        .replace("127.0.0.1:8776", &cinder.address().to_string())
        .replace("127.0.0.1:9292", &world.glance.address().to_string())
        .replace("127.0.0.1:8774", &world.nova.address().to_string());
    // One shell for all of it, as at a terminal: a line may use what an earlier one set.
    Terminal::with([]).run(&sessions)
}
