//! The programs as an operator meets them: flags, environment, subcommands, signals.

use std::{
    process::{Command, Output},
    time::Duration,
};

use chassis::{on_both_databases, testing::TestDb};
use harness::{service::Service, workspace};
use proto::{
    glance::v1::{ListImagesRequest, image_service_client::ImageServiceClient},
    nova::v1::ListInstancesRequest,
};
use serde_json::json;

use crate::world::{World, call, create};

on_both_databases!(
    sigterm_ends_both_in_good_order,
    sigterm_lets_an_open_request_end,
    migrate_brings_the_schema_up_to_date_and_exits
);

async fn sigterm_ends_both_in_good_order(db: TestDb) {
    let mut world = World::start(db).await;
    // An open connection does not hold the process up.
    let mut images = world.images().await;
    images.list_images(ListImagesRequest::default()).await.unwrap();
    for service in [&mut world.nova, &mut world.glance] {
        let status = service.terminate(Duration::from_secs(15)).unwrap();
        assert!(status.success(), "{status}: {}", service.log());
        assert!(service.log().contains("shutting down"), "{}", service.log());
    }
}

async fn sigterm_lets_an_open_request_end(db: TestDb) {
    let mut world = World::start(db).await;
    let image = world.image(&[]).await;
    let mut instances = world.instances().await;
    // A frozen glance-svc keeps the create open for as long as we like.
    world.glance.signal("STOP").unwrap();
    let mut client = instances.clone();
    let request = create(&image, 1);
    let creating = tokio::spawn(async move { client.create_instance(request).await });
    tokio::task::yield_now().await;
    // Sent after it on the same connection: once this is answered, the create has arrived.
    instances.list_instances(ListInstancesRequest::default()).await.unwrap();
    world.nova.signal("TERM").unwrap();
    while !world.nova.log().contains("shutting down") {}
    world.glance.signal("CONT").unwrap();
    let created = creating.await.unwrap().unwrap().into_inner();
    assert_eq!(created.instances.len(), 1);
    assert!(world.nova.terminate(Duration::from_secs(15)).unwrap().success());
    assert_eq!(world.count("SELECT COUNT(*) FROM instances").await, 1);
}

async fn migrate_brings_the_schema_up_to_date_and_exits(db: TestDb) {
    for _ in 0..2 {
        let output = run("glance-svc", &["migrate", "--database-url", &db.url]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let glance =
        Service::start("glance-svc", ["--listen", "127.0.0.1:0", "--database-url", &db.url]).unwrap();
    let mut images = ImageServiceClient::connect(glance.endpoint()).await.unwrap();
    images.list_images(ListImagesRequest::default()).await.unwrap();
}

#[test]
fn help_and_version_help() {
    for (binary, port) in [("glance-svc", "9292"), ("nova-api-svc", "8774"), ("cinder-svc", "8776")] {
        let version = run(binary, &["--version"]);
        assert_eq!(String::from_utf8(version.stdout).unwrap(), format!("{binary} 0.1.0\n"));
        let help = String::from_utf8(run(binary, &["--help"]).stdout).unwrap();
        for word in ["--listen", "LISTEN", "--database-url", "DATABASE_URL", "migrate", port] {
            assert!(help.contains(word), "{binary} --help does not name {word}:\n{help}");
        }
    }
}

#[test]
fn secrets_of_the_environment_do_not_show() {
    let help = command("glance-svc")
        .arg("--help")
        .env("DATABASE_URL", "postgres://user:hunter2@127.0.0.1:1/x")
        .env("KEYSTONE_PASSWORD", "hunter2")
        .output()
        .unwrap();
    assert!(!String::from_utf8(help.stdout).unwrap().contains("hunter2"));
}

#[test]
fn a_wrong_configuration_is_told_in_one_sentence() {
    for (arguments, sentence) in [
        (vec!["--database-url", "mysql://x"], "must start with sqlite: (a file) or postgres: (a server)"),
        (vec!["--database-url", "sqlite::memory:"], "name a file"),
        (vec!["--database-url", "sqlite:/no/such/folder/x.sqlite"], "unable to open database file"),
        (vec!["--listen", "nonsense"], "cannot listen on nonsense"),
        (vec!["--listen", "0.0.0.0:0"], "everybody who reaches 0.0.0.0:"),
        (vec!["--image-property-quota", "many"], "invalid value 'many'"),
    ] {
        let folder = TestDb::sqlite();
        let mut command = command("glance-svc");
        if !arguments.contains(&"--database-url") {
            command.args(["--database-url", &folder.url]);
        }
        let output = command.args(&arguments).output().unwrap();
        assert!(!output.status.success());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(sentence), "{arguments:?}: {error}");
    }
}

#[tokio::test]
async fn the_environment_configures_what_no_flag_does() {
    let db = TestDb::sqlite();
    let glance =
        Service::start("glance-svc", ["--listen", "127.0.0.1:0", "--database-url", &db.url]).unwrap();
    let list = call(&glance, "glance.v1.ImageService/ListImages", &json!({}));
    assert_eq!(list, json!({}));
    let taken = glance.address().to_string();
    let output = command("glance-svc").env("LISTEN", &taken).env("DATABASE_URL", &db.url).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(&format!("cannot listen on {taken}")), "{error}");
}

#[test]
fn who_believes_everybody_listens_elsewhere_if_that_is_wanted() {
    for (binary, more) in [
        ("glance-svc", ["--allow-remote-development"].as_slice()),
        ("nova-api-svc", &["--identity", "proxy"]),
    ] {
        let db = TestDb::sqlite();
        let arguments = ["--listen", "0.0.0.0:0", "--database-url", &db.url];
        let mut service = Service::start(binary, arguments.iter().chain(more)).unwrap();
        let warns = service.log().contains("everybody who reaches this address is believed");
        assert_eq!(warns, binary == "glance-svc", "{}", service.log());
        assert!(service.terminate(Duration::from_secs(15)).unwrap().success());
    }
}

fn command(binary: &str) -> Command {
    workspace::build_services().unwrap();
    Command::new(workspace::binary(binary).unwrap())
}

fn run(binary: &str, arguments: &[&str]) -> Output {
    command(binary).args(arguments).output().unwrap()
}
