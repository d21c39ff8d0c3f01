//! Times that one process writes and another one compares are those of the database.

use chassis::{db::Db, sweep::Retention, testing::TestDb};
use chrono::TimeDelta;
use nova_api_svc::{
    instance::Compute,
    store::{MIGRATIONS, Store},
};
use proto::nova::v1::{CreateInstanceRequest, SnapshotInstanceRequest};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tonic::Status;

use crate::{
    glance::Mood,
    support::{Nova, Settings, compute_api, execute, made_by, of},
};

/// The clock of the database, by which this process is an hour ahead.
const CLOCK: &str = "CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql \
    AS $$ SELECT pg_catalog.now() - INTERVAL '1 hour' $$; \
    CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql \
    AS $$ SELECT pg_catalog.clock_timestamp() - INTERVAL '1 hour' $$; \
    DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', \
    current_database()); END $$";

/// A service whose machine is an hour ahead of its database.
async fn ahead() -> Nova {
    let db = TestDb::postgres().await;
    PgConnection::connect(&db.url).await.unwrap().execute(CLOCK).await.unwrap();
    Nova::start_with(db, Settings { does_jobs: false, ..Settings::default() }).await
}

#[tokio::test]
async fn a_request_is_remembered_by_the_clock_of_the_database() {
    let nova = ahead().await;
    let image = nova.glance.with(&[]);
    let request = CreateInstanceRequest { request_id: "r1".to_owned(), ..of(&image) };
    let created = nova.create(request.clone()).await.unwrap();
    let db = Db::open(&nova.db.url, 4, &MIGRATIONS).unwrap();
    db.migrate().await.unwrap();
    let store = Store::new(db);
    let half_an_hour =
        Retention { deleted_history: TimeDelta::minutes(30), requests: TimeDelta::minutes(30) };
    store.sweep_old(half_an_hour).await.unwrap();
    assert_eq!(nova.create(request.clone()).await.unwrap(), created, "it is not old");
    execute(&nova.db.url, "UPDATE create_requests SET create_time = create_time - INTERVAL '31 minutes'")
        .await;
    store.sweep_old(half_an_hour).await.unwrap();
    assert_ne!(nova.create(request).await.unwrap().reservation_id, created.reservation_id);
}

#[tokio::test]
async fn a_job_rests_by_the_clock_of_the_database() {
    let nova = ahead().await;
    let instance = nova.create_one(of(&nova.glance.with(&[]))).await;
    execute(&nova.db.url, "UPDATE instances SET state = 'ACTIVE'").await;
    let db = Db::open(&nova.db.url, 4, &MIGRATIONS).unwrap();
    db.migrate().await.unwrap();
    let settings = Settings { compute: Compute::Agent, ..Settings::default() };
    let worker = compute_api(&db, &nova.glance.endpoint(), &settings);
    nova.glance.be(Mood::Failing(Status::unavailable("SECRET")));
    let request =
        SnapshotInstanceRequest { id: instance.id, name: "backup".to_owned(), ..Default::default() };
    nova.instances().snapshot_instance(made_by("alice", "demo", request)).await.unwrap_err();
    nova.glance.be(Mood::Well);
    assert_eq!(worker.do_due_jobs().await.unwrap(), 0, "it rests");
    execute(&nova.db.url, "UPDATE image_jobs SET next_try = next_try - 120000000").await;
    assert_eq!(worker.do_due_jobs().await.unwrap(), 1, "it has rested, for the database");
}
