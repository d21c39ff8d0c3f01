//! The data folder is missing, or another one is in its place: nothing is lost, and nothing is forgotten.

use std::{fs, path::PathBuf};

use chassis::{on_both_databases, testing::TestDb};
use common::{clock, id::Id};
use proto::glance::v1::image::Status;
use serde_json::json;
use tonic::Code;

use super::{
    Slow, is_empty,
    lease::{data_rows, execute, write_part},
    messages, read, status, upload_over_grpc,
};
use crate::{
    schema::open,
    support::{Answer, Http, MARKER, Settings, Who, World, assert_error, at_once, image_path, serve_with},
};

on_both_databases!(
    data_that_are_away_are_not_forgotten,
    data_that_go_away_during_an_upload_are_removed_when_they_are_back,
    another_folder_is_not_taken_for_the_one_with_the_data,
    a_folder_that_was_never_marked_is_known_by_its_data,
    a_catalogue_without_data_takes_any_folder,
    the_first_uploads_at_once_find_the_folder,
);

const DELETING: &str =
    "INSERT INTO image_data (id, image_id, state, lease_time) VALUES ($1, $2, 'deleting', $3)";

/// Moves a folder away for as long as the value lives.
struct Away {
    folder: PathBuf,
    elsewhere: PathBuf,
}

impl Away {
    fn from(world: &World) -> Self {
        let folder = world.folder();
        let elsewhere = folder.with_extension("elsewhere");
        fs::rename(&folder, &elsewhere).unwrap();
        Self { folder, elsewhere }
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.folder));
        fs::rename(&self.elsewhere, &self.folder).unwrap();
    }
}

async fn with_data(world: &World) -> String {
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    http.upload(&id, "hello").await.is(204);
    id
}

#[track_caller]
fn assert_away(answer: &Answer) {
    answer.error(503, "DATA_STORE_UNAVAILABLE");
    assert_eq!(answer.header("retry-after"), "1");
}

/// Checks that nothing that needs data works, and everything else does.
async fn assert_all_is_away(world: &World, http: &Http, id: &str) {
    assert_away(&http.download(id).await);
    assert_away(&http.delete(&image_path(id)).await);
    let queued = http.queued().await;
    assert_away(&http.upload(&queued, "hello").await);
    let refused = [
        read(world, Who::OWNER, id, 0, 0).await.unwrap_err(),
        world.delete(id, "").await.unwrap_err(),
        upload_over_grpc(world, Who::OWNER, messages(&queued, None, b"hello", 5)).await.unwrap_err(),
    ];
    for refused in refused {
        assert_error(&refused, Code::Unavailable, "DATA_STORE_UNAVAILABLE");
    }
    assert_eq!(status(world, &queued).await, Status::Queued);
    // Callers without permission are refused as usual.
    world.http(Who::STRANGER).upload(&queued, "hello").await.error(404, "IMAGE_NOT_FOUND");
    world.http(Who::READER).delete(&image_path(id)).await.error(403, "NOT_PERMITTED");
    assert_eq!(http.set(id, "k", json!("v")).await.is(200).json()["status"], "active");
    http.delete(&image_path(&queued)).await.is(204);
}

async fn data_that_are_away_are_not_forgotten(db: TestDb) {
    let world = World::start(db).await;
    let (http, opened) = (world.http(Who::OWNER), open(&world.db).await);
    let (id, removed) = (with_data(&world).await, Id::random());
    write_part(&world, removed);
    execute(&opened, DELETING, removed, Id::random(), clock::now()).await;
    {
        let away = Away::from(&world);
        for is_empty in [false, true] {
            if is_empty {
                // A volume that is not mounted leaves its folder behind.
                fs::create_dir(&away.folder).unwrap();
            }
            assert_all_is_away(&world, &http, &id).await;
            world.images().sweep_once().await;
            assert_eq!(data_rows(&world).await, 2);
            let made = fs::read_dir(&away.folder).map_or(0, Iterator::count);
            assert_eq!((away.folder.exists(), made), (is_empty, 0));
        }
    }
    assert_eq!(http.download(&id).await.is(200).text(), "hello");
    assert_eq!(world.data().len(), 2);
    world.images().sweep_once().await;
    assert_eq!((world.data().len(), data_rows(&world).await), (1, 1));
    http.delete(&image_path(&id)).await.is(204);
    assert_eq!((world.data().len(), data_rows(&world).await), (0, 0));
    with_data(&world).await;
}

async fn data_that_go_away_during_an_upload_are_removed_when_they_are_back(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let slow = Slow::begin(&world, &http, &id).await;
    {
        let _away = Away::from(&world);
        assert_away(&slow.end().await);
        assert_eq!((status(&world, &id).await, data_rows(&world).await), (Status::Queued, 1));
    }
    world.images().sweep_once().await;
    is_empty(&world).await;
    assert_eq!(data_rows(&world).await, 0);
    http.upload(&id, "hello").await.is(204);
}

async fn another_folder_is_not_taken_for_the_one_with_the_data(db: TestDb) {
    let world = World::start(db).await;
    let id = with_data(&world).await;
    // Of another catalogue.
    let other = World::start(TestDb::sqlite()).await;
    with_data(&other).await;
    let (_, elsewhere) = serve_with(&world.db.url, &Settings::default(), &other.folder()).await;
    elsewhere.sweep_once().await;
    let (before, marked) = (other.data(), fs::read(other.folder().join(MARKER)).unwrap());
    let away = Away::from(&world);
    fs::create_dir(&away.folder).unwrap();
    fs::copy(other.folder().join(MARKER), away.folder.join(MARKER)).unwrap();
    assert_all_is_away(&world, &world.http(Who::OWNER), &id).await;
    fs::remove_file(away.folder.join(MARKER)).unwrap();
    drop(away);
    assert_eq!(world.http(Who::OWNER).download(&id).await.is(200).text(), "hello");
    assert_eq!((other.data(), fs::read(other.folder().join(MARKER)).unwrap()), (before, marked));
}

async fn a_folder_that_was_never_marked_is_known_by_its_data(db: TestDb) {
    let world = World::start(db).await;
    let id = with_data(&world).await;
    // As left by an older release.
    let marker = world.folder().join(MARKER);
    fs::remove_file(&marker).unwrap();
    crate::database::execute(&open(&world.db).await, "DELETE FROM data_store").await;
    let empty = tempfile::tempdir().unwrap();
    let (_, elsewhere) = serve_with(&world.db.url, &Settings::default(), empty.path()).await;
    elsewhere.sweep_once().await;
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
    let (_, images) = serve_with(&world.db.url, &Settings::default(), &world.folder()).await;
    images.sweep_once().await;
    assert!(marker.exists());
    // From now on, having the data is not enough: the marker is needed.
    fs::remove_file(&marker).unwrap();
    assert_away(&world.http(Who::OWNER).delete(&image_path(&id)).await);
    assert!(!marker.exists());
}

async fn a_catalogue_without_data_takes_any_folder(db: TestDb) {
    let world = World::start(db).await;
    world.images().sweep_once().await;
    let marker = fs::read(world.folder().join(MARKER)).unwrap();
    let empty = tempfile::tempdir().unwrap();
    let folder = empty.path().join("made/of it");
    let (_, images) = serve_with(&world.db.url, &Settings::default(), &folder).await;
    images.sweep_once().await;
    assert_eq!(fs::read(folder.join(MARKER)).unwrap(), marker);
    // Without its marker, as long as it is empty.
    fs::remove_file(world.folder().join(MARKER)).unwrap();
    with_data(&world).await;
    assert_eq!(fs::read(world.folder().join(MARKER)).unwrap(), marker);
}

async fn the_first_uploads_at_once_find_the_folder(db: TestDb) {
    for _ in 0..4 {
        let world = World::start(db.another().await).await;
        let http = world.http(Who::OWNER);
        let mut ids = Vec::new();
        for _ in 0..24 {
            ids.push(http.queued().await);
        }
        let uploads = at_once(ids.len(), |number| {
            let (http, id) = (http.clone(), ids[number].clone());
            async move { http.upload(&id, "hello").await.status }
        });
        assert_eq!(uploads.await, vec![204; ids.len()]);
    }
}
