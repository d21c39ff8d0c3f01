//! The server and its database: health, locks, damage.

use chassis::{
    db::{Db, Pools},
    on_both_databases,
    testing::TestDb,
};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use proto::glance::v1::{image_service_client::ImageServiceClient, image_service_server::SERVICE_NAME};
use tonic::{Code, Request, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    schema::open,
    support::{Glance, assert_error, named, setting},
};

on_both_databases!(
    is_healthy_while_the_database_is_there,
    knows_no_health_of_other_services,
    a_lock_is_not_waited_for_beyond_the_deadline,
    damage_is_an_internal_error_without_detail,
    a_row_it_does_not_understand_is_an_internal_error,
    keeps_its_images_when_it_starts_again,
);

/// Waits until the health of a service is as expected.
pub(crate) async fn await_health(glance: &Glance, service: &str, expected: ServingStatus) {
    let request = HealthCheckRequest { service: service.to_owned() };
    let mut health = HealthClient::new(glance.channel.clone()).watch(request).await.unwrap().into_inner();
    while health.message().await.unwrap().expect("the watch goes on").status() != expected {}
}

pub(crate) async fn health(glance: &Glance, service: &str) -> Result<ServingStatus, Status> {
    let request = HealthCheckRequest { service: service.to_owned() };
    Ok(HealthClient::new(glance.channel.clone()).check(request).await?.into_inner().status())
}

async fn is_healthy_while_the_database_is_there(db: TestDb) {
    let glance = Glance::start(db).await;
    for service in ["", SERVICE_NAME] {
        await_health(&glance, service, ServingStatus::Serving).await;
        assert_eq!(health(&glance, service).await.unwrap(), ServingStatus::Serving);
    }
    assert_eq!(SERVICE_NAME, "glance.v1.ImageService");
}

async fn knows_no_health_of_other_services(db: TestDb) {
    let glance = Glance::start(db).await;
    let refused = health(&glance, "nonsense").await.unwrap_err();
    assert_error(&refused, Code::NotFound, "NOT_FOUND");
}

/// Runs a statement directly on the database.
pub(crate) async fn execute(db: &Db, statement: &'static str) {
    match db.pools().unwrap() {
        Pools::Sqlite { writer, .. } => drop(sqlx::query(statement).execute(writer).await.unwrap()),
        Pools::Postgres { pool, .. } => drop(sqlx::query(statement).execute(pool).await.unwrap()),
    }
}

/// Sends an update with a deadline to a server whose table is locked.
async fn update_while_locked(glance: &Glance, id: &str) -> Status {
    let http = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let origin = format!("http://{}", glance.address).parse().unwrap();
    let mut request = Request::new(setting(id, &[("late", "")]));
    request.metadata_mut().insert("grpc-timeout", "100m".parse().unwrap());
    let mut client = ImageServiceClient::with_origin(http, origin);
    client.update_image_properties(request).await.unwrap_err()
}

async fn a_lock_is_not_waited_for_beyond_the_deadline(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = glance.named("cirros").await;
    let opened = open(&glance.db).await;
    let refused = match opened.pools().unwrap() {
        Pools::Sqlite { writer, .. } => {
            let lock = writer.begin_with("BEGIN IMMEDIATE").await.unwrap();
            let refused = update_while_locked(&glance, &image.id).await;
            lock.rollback().await.unwrap();
            refused
        }
        Pools::Postgres { pool, .. } => {
            let lock = pool.begin_with("BEGIN; LOCK TABLE images").await.unwrap();
            let refused = update_while_locked(&glance, &image.id).await;
            lock.rollback().await.unwrap();
            refused
        }
    };
    assert_error(&refused, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    // An abandoned update is not made later, and blocks nobody.
    let next = glance.set(&image.id, &[("next", "")]).await.unwrap();
    assert_eq!((next.revision, next.properties.len()), (2, 1));
}

async fn damage_is_an_internal_error_without_detail(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.named("cirros").await.id;
    execute(&open(&glance.db).await, "DROP VIEW image_records").await;
    let refused = [glance.get(&id).await.unwrap_err(), glance.set(&id, &[("k", "v")]).await.unwrap_err()];
    for refused in refused {
        assert_error(&refused, Code::Internal, "INTERNAL");
        assert_eq!(refused.message(), "internal error; the service's log says more");
        assert!(!format!("{refused:?}").contains("image_records"));
    }
}

async fn a_row_it_does_not_understand_is_an_internal_error(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.named("cirros").await.id;
    execute(&open(&glance.db).await, "UPDATE images SET status = 'haunted'").await;
    let refused = glance.get(&id).await.unwrap_err();
    assert_error(&refused, Code::Internal, "INTERNAL");
    assert!(!format!("{refused:?}").contains("haunted"));
    assert_eq!(glance.create(named("other")).await.unwrap().revision, 1);
}

async fn keeps_its_images_when_it_starts_again(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = glance.set(&glance.named("cirros").await.id, &[("k", "v")]).await.unwrap();
    let other = Glance::start(glance.db).await;
    assert_eq!(other.get(&image.id).await.unwrap(), image);
}
