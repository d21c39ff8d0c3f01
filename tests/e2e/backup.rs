//! Backups as described in docs/deploy.md: while the services are running.

use std::{path::Path, process::Command};

use chassis::{on_both_databases, testing::TestDb};
use harness::{postgres as server, program, service::Service};
use proto::{
    glance::v1::{CreateImageRequest, GetImageRequest, Image, image_service_client::ImageServiceClient},
    nova::v1::{GetInstanceRequest, instance_service_client::InstanceServiceClient},
};
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use crate::world::{create, start_glance};

on_both_databases!(a_backup_taken_under_load_is_everything_that_was_acknowledged_before);

async fn a_backup_taken_under_load_is_everything_that_was_acknowledged_before(db: TestDb) {
    let (glance_db, data) = (db.another().await, tempfile::tempdir().unwrap());
    let (glance, nova) = start(&glance_db, &db, data.path());
    let mut images = ImageServiceClient::connect(glance.endpoint()).await.unwrap();
    let properties = [("hw_disk_bus".to_owned(), "virtio".to_owned())].into();
    let image = Image { name: "image".into(), size: Some(1), properties, ..Image::default() };
    let image = images.create_image(CreateImageRequest { image: Some(image) }).await.unwrap().into_inner();
    let mut instances = InstanceServiceClient::connect(nova.endpoint()).await.unwrap();
    let before = instances.create_instance(create(&image, 20)).await.unwrap().into_inner().instances;

    let (mut busy, request) = (instances.clone(), create(&image, 1));
    let load = tokio::spawn(async move { while busy.create_instance(request.clone()).await.is_ok() {} });
    let (copy_of_nova, copy_of_glance) = (db.another().await, db.another().await);
    back_up(&db, &copy_of_nova, data.path()).await;
    back_up(&glance_db, &copy_of_glance, data.path()).await;
    drop((nova, glance));
    load.await.unwrap();

    let (glance, nova) = start(&copy_of_glance, &copy_of_nova, data.path());
    let mut images = ImageServiceClient::connect(glance.endpoint()).await.unwrap();
    let request = GetImageRequest { id: image.id.clone(), revision: 0 };
    assert_eq!(images.get_image(request).await.unwrap().into_inner(), image);
    let mut instances = InstanceServiceClient::connect(nova.endpoint()).await.unwrap();
    for instance in before {
        let request = GetInstanceRequest { id: instance.id.clone() };
        assert_eq!(instances.get_instance(request).await.unwrap().into_inner(), instance);
    }
    instances.create_instance(create(&image, 1)).await.unwrap();
}

fn start(glance_db: &TestDb, nova_db: &TestDb, data: &Path) -> (Service, Service) {
    let glance = start_glance(&glance_db.url, data, "127.0.0.1:0");
    let endpoint = glance.endpoint();
    let arguments =
        ["--listen", "127.0.0.1:0", "--database-url", &nova_db.url, "--glance-endpoint", &endpoint];
    (glance, Service::start("nova-api-svc", arguments).unwrap())
}

/// Copies a database into an empty one, with the database's own tools.
async fn back_up(from: &TestDb, to: &TestDb, folder: &Path) {
    if let Some(file) = to.url.strip_prefix("sqlite://") {
        let mut connection = SqliteConnection::connect(&from.url).await.unwrap();
        connection.execute(sqlx::AssertSqlSafe(format!("VACUUM INTO '{file}'"))).await.unwrap();
        return;
    }
    let dump = folder.join("dump");
    let tool = |name: &str| Command::new(server::program(name).unwrap());
    let taken =
        tool("pg_dump").args(["--format=custom", "--no-owner", "--file"]).arg(&dump).arg(&from.url).output();
    assert!(taken.unwrap().status.success());
    let mut restore = tool("pg_restore");
    restore.args(["--exit-on-error", "--single-transaction", "--no-owner", "--dbname", &to.url]).arg(&dump);
    program::run(&mut restore).unwrap();
}
