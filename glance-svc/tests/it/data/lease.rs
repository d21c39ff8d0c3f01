//! Uploads of a process that died: their lease expires, and any process of the service cleans up after them.

use std::time::Duration;

use chassis::{
    data::Leases,
    db::{Db, Pools},
    on_both_databases,
    testing::TestDb,
};
use chrono::{DateTime, TimeDelta, Utc};
use common::{clock, id::Id};
use proto::glance::v1::image::Status;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::task::JoinHandle;

use super::{Slow, becomes, is_empty, is_queued_again, status};
use crate::{
    schema::{open, rows},
    support::{DEFAULT_QUOTA, Http, Settings, Who, World, image_path, soon},
};

on_both_databases!(
    an_upload_of_a_dead_process_is_given_up,
    a_lease_that_has_not_ended_is_respected,
    an_upload_of_an_image_that_is_gone_is_cleared_up,
    data_of_images_are_never_removed,
    an_upload_that_lost_its_lease_does_not_come_back,
    an_upload_that_loses_its_lease_is_stopped,
    a_lease_is_renewed_while_nothing_arrives,
    an_upload_that_was_forgotten_takes_its_data_with_it,
    several_processes_clear_up_together,
);

/// Puts the tables into the state that a dead process leaves behind.
pub(super) async fn execute(db: &Db, statement: &'static str, id: Id, image: Id, lease: DateTime<Utc>) {
    let changed = match db.pools().unwrap() {
        Pools::Sqlite { writer, .. } => {
            let query = sqlx::query(statement).bind(id).bind(image).bind(lease);
            query.execute(writer).await.unwrap().rows_affected()
        }
        Pools::Postgres { pool, .. } => {
            let query = sqlx::query(statement).bind(id).bind(image).bind(lease);
            query.execute(pool).await.unwrap().rows_affected()
        }
    };
    assert_eq!(changed, 1, "{statement}");
}

const UPLOADING: &str =
    "INSERT INTO image_data (id, image_id, state, lease_time) VALUES ($1, $2, 'uploading', $3)";
const ENDED: &str = "UPDATE image_data SET lease_time = $3 WHERE id <> $1 AND image_id = $2";
const FORGOTTEN: &str = "DELETE FROM image_data WHERE id <> $1 AND image_id = $2 AND lease_time <> $3";
// The time is unused, but PostgreSQL needs the type of each parameter.
const SAVING: &str = "UPDATE images SET status = 'saving', data_id = $1 WHERE id = $2 AND create_time <> $3";

/// An image whose upload was in progress when its process died, and what had been written.
async fn died(world: &World, http: &Http, lease: DateTime<Utc>) -> (String, Id) {
    let id = http.queued().await;
    let (image, data) = (id.parse().unwrap(), Id::random());
    let db = open(&world.db).await;
    execute(&db, SAVING, data, image, lease).await;
    execute(&db, UPLOADING, data, image, lease).await;
    write_part(world, data);
    (id, data)
}

/// What an upload that broke off leaves in the data store.
pub(super) fn write_part(world: &World, data: Id) {
    let folder = world.folder().join(data.to_string());
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("data#1"), "a part").unwrap();
}

/// Runs a sweeping process of the service for as long as the value lives.
pub(super) struct Sweeper(JoinHandle<()>);

impl Sweeper {
    pub(super) fn start(world: &World) -> Self {
        let images = world.images();
        Self(tokio::spawn(async move { images.sweep().await }))
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) fn long_ago() -> DateTime<Utc> {
    clock::now() - TimeDelta::seconds(1)
}

async fn ended_leases(world: &World) -> usize {
    let leases: Vec<(DateTime<Utc>,)> =
        rows(&open(&world.db).await, "SELECT lease_time FROM image_data").await;
    leases.iter().filter(|(lease,)| *lease < clock::now()).count()
}

pub(super) async fn data_rows(world: &World) -> i64 {
    let counted: Vec<(i64,)> = rows(&open(&world.db).await, "SELECT COUNT(*) FROM image_data").await;
    counted[0].0
}

async fn an_upload_of_a_dead_process_is_given_up(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let (id, _) = died(&world, &http, long_ago()).await;
    http.upload(&id, "hello").await.error(409, "ILLEGAL_STATUS_MOVE");
    let _sweeper = Sweeper::start(&world);
    is_queued_again(&world, &id).await;
    soon("the row goes", async || (data_rows(&world).await == 0).then_some(())).await;
    let last = world.revisions(&id).await.remove(0);
    assert_eq!((last.user_id.as_str(), last.project_id.as_str()), ("", ""), "nobody did it");
    http.upload(&id, "hello").await.is(204);
    assert_eq!(http.download(&id).await.is(200).text(), "hello");
}

async fn a_lease_that_has_not_ended_is_respected(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let (alive, data) = died(&world, &http, clock::now() + TimeDelta::hours(1)).await;
    let (dead, _) = died(&world, &http, long_ago()).await;
    let _sweeper = Sweeper::start(&world);
    becomes(&world, &dead, Status::Queued).await;
    soon("the dead one's data go", async || (world.data().len() == 1).then_some(())).await;
    assert_eq!(status(&world, &alive).await, Status::Saving);
    assert_eq!(world.data(), [world.folder().join(data.to_string())]);
}

async fn an_upload_of_an_image_that_is_gone_is_cleared_up(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let (id, data) = died(&world, &http, long_ago()).await;
    http.delete(&image_path(&id)).await.is(204);
    is_empty(&world).await;
    // The image was deleted unnoticed by the upload.
    let db = open(&world.db).await;
    execute(&db, UPLOADING, data, id.parse().unwrap(), long_ago()).await;
    write_part(&world, data);
    let _sweeper = Sweeper::start(&world);
    is_empty(&world).await;
    soon("the row goes", async || (data_rows(&world).await == 0).then_some(())).await;
}

async fn data_of_images_are_never_removed(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    http.upload(&id, "hello").await.is(204);
    let image: Id = id.parse().unwrap();
    execute(&open(&world.db).await, ENDED, Id::random(), image, long_ago()).await;
    let (dead, _) = died(&world, &http, long_ago()).await;
    let _sweeper = Sweeper::start(&world);
    becomes(&world, &dead, Status::Queued).await;
    soon("the dead one's data go", async || (world.data().len() == 1).then_some(())).await;
    assert_eq!(http.download(&id).await.is(200).text(), "hello");
}

/// A world whose uploads renew their leases that often.
async fn renewing(db: TestDb, renewal: Duration) -> World {
    let leases = Leases { renewal, ..Leases::default() };
    World::start_with(db, Settings { leases, ..Settings::default() }).await
}

async fn an_upload_that_lost_its_lease_does_not_come_back(db: TestDb) {
    // It would keep its lease if it renewed it before anybody checks.
    let world = renewing(db, Duration::from_hours(1)).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let slow = Slow::begin(&world, &http, &id).await;
    // Its process was suspended for so long that another one gave the upload up.
    execute(&open(&world.db).await, ENDED, Id::random(), id.parse().unwrap(), long_ago()).await;
    let sweeper = Sweeper::start(&world);
    becomes(&world, &id, Status::Queued).await;
    drop(sweeper);
    http.upload(&id, "hello").await.is(204);
    slow.end().await.error(410, "UPLOAD_LOST");
    assert_eq!(http.download(&id).await.is(200).text(), "hello");
    soon("the lost data go", async || (world.data().len() == 1).then_some(())).await;
}

async fn an_upload_that_loses_its_lease_is_stopped(db: TestDb) {
    let world = renewing(db, Duration::from_millis(10)).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let slow = Slow::begin(&world, &http, &id).await;
    execute(&open(&world.db).await, FORGOTTEN, Id::random(), id.parse().unwrap(), long_ago()).await;
    // Its sender waits for the answer, and has not ended the data.
    slow.answered().await.error(410, "UPLOAD_LOST");
}

/// The lease has always expired by the time it is checked, and is renewed.
async fn a_lease_is_renewed_while_nothing_arrives(db: TestDb) {
    let world = renewing(db, Duration::from_millis(10)).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let db = open(&world.db).await;
    let slow = Slow::begin(&world, &http, &id).await;
    for _ in 0..3 {
        execute(&db, ENDED, Id::random(), id.parse().unwrap(), long_ago()).await;
        soon("it is renewed", async || (ended_leases(&world).await == 0).then_some(())).await;
    }
    slow.end().await.is(204);
    assert_eq!(http.download(&id).await.is(200).text(), "beginning ");
}

async fn an_upload_that_was_forgotten_takes_its_data_with_it(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let slow = Slow::begin(&world, &http, &id).await;
    // The deletion looked for data before the first byte was written, and recorded that there is none.
    execute(&open(&world.db).await, FORGOTTEN, Id::random(), id.parse().unwrap(), long_ago()).await;
    http.delete(&image_path(&id)).await.is(204);
    slow.end().await.error(410, "UPLOAD_LOST");
    is_empty(&world).await;
}

async fn several_processes_clear_up_together(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(died(&world, &http, long_ago()).await.0);
    }
    let _others: Vec<_> = (0..4).map(|_| Sweeper::start(&world)).collect();
    for id in &ids {
        is_queued_again(&world, id).await;
    }
    for id in &ids {
        assert_eq!(world.get(id).await.unwrap().revision, 2, "once");
    }
    // Another server answers meanwhile.
    world.beside(DEFAULT_QUOTA).await;
}

/// Its processes are on other machines, whose clocks are an hour ahead of the database's.
#[tokio::test]
async fn a_lease_ends_by_the_clock_of_the_database() {
    const CLOCK: &str = "CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql \
        AS $$ SELECT pg_catalog.now() - INTERVAL '1 hour' $$; \
        DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', \
        current_database()); END $$";
    let db = TestDb::postgres().await;
    PgConnection::connect(&db.url).await.unwrap().execute(CLOCK).await.unwrap();
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let (alive, data) = died(&world, &http, clock::now() - TimeDelta::minutes(30)).await;
    let (dead, _) = died(&world, &http, clock::now() - TimeDelta::hours(2)).await;
    let _sweeper = Sweeper::start(&world);
    becomes(&world, &dead, Status::Queued).await;
    soon("the dead one's data go", async || (world.data().len() == 1).then_some(())).await;
    assert_eq!(status(&world, &alive).await, Status::Saving);
    assert_eq!(world.data(), [world.folder().join(data.to_string())]);
}
