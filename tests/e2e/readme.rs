//! The session of the README, pasted line by line.

use std::{fs, path::Path, process::Command};

use common::testing::TestDb;
use harness::{tools, workspace};

use crate::world::World;

/// Marks the session in the README.
const FENCE: &str = "```sh session\n";

#[tokio::test]
async fn the_session_of_the_readme_works() {
    let world = World::start(TestDb::sqlite()).await;
    let readme = fs::read_to_string(workspace::root().join("README.md")).unwrap();
    let (_, session) = readme.split_once(FENCE).expect("the README has a session");
    let (session, _) = session.split_once("```").unwrap();
    let session = session
        .replace("127.0.0.1:9292", &world.glance.address().to_string())
        .replace("127.0.0.1:8774", &world.nova.address().to_string());
    let grpcurl = tools::grpcurl().unwrap();
    let path = format!("{}:/usr/bin:/bin", grpcurl.parent().and_then(Path::to_str).unwrap());
    // One shell for all of it, as at a terminal: a line may use what an earlier one set.
    let output = Command::new("sh").args(["-euc", &session]).env("PATH", path).output().unwrap();
    let (answers, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{answers}{errors}");
    for part in ["\"image_hw_disk_bus\": \"virtio\"", "\"oldValue\": \"ide\"", "\"imageRevision\": \"2\""] {
        assert!(answers.contains(part), "{part} is missing in:\n{answers}");
    }
}
