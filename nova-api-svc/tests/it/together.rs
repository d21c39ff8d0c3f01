//! Requests in flight together: they share statements and commits, and each is served as if it were alone.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use chassis::{on_both_databases, testing::TestDb};
use nova_api_svc::quota::Quota;
use proto::{
    glance::v1::Image,
    nova::v1::{CreateInstanceRequest, instance_service_client::InstanceServiceClient},
};
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::support::{Nova, Settings, connect, made_by, of, reason, serve, several};

on_both_databases!(
    good_and_bad_requests_do_not_disturb_each_other,
    a_quota_holds_for_requests_that_arrive_together,
    an_image_is_as_fresh_as_asked_for_alone,
    an_image_is_asked_for_once_for_many,
    two_projects_do_not_share_an_answer,
    two_replicas_create_each_request_once,
);

async fn good_and_bad_requests_do_not_disturb_each_other(db: TestDb) {
    let nova = Arc::new(Nova::start(db).await);
    let image = nova.glance.with(&[("os_type", "linux")]);
    let withdrawn = nova.glance.add(Image { status: 6, ..Image::default() });
    let tasks: Vec<_> = (0..60)
        .map(|number| {
            let request = match number % 4 {
                0 => of(&image),
                1 => CreateInstanceRequest { flavor_id: "none".to_owned(), ..of(&image) },
                2 => of(&withdrawn),
                _ => CreateInstanceRequest { request_id: format!("r{}", number % 3), ..of(&image) },
            };
            let nova = Arc::clone(&nova);
            tokio::spawn(async move { (number % 4, nova.create(request).await) })
        })
        .collect();
    let mut reservations = BTreeSet::new();
    for task in tasks {
        match task.await.unwrap() {
            (0 | 3, created) => drop(reservations.insert(created.unwrap().reservation_id)),
            (1, refused) => assert_eq!(reason(&refused.unwrap_err()), "FLAVOR_NOT_FOUND"),
            (_, refused) => assert_eq!(reason(&refused.unwrap_err()), "IMAGE_NOT_ACTIVE"),
        }
    }
    assert_eq!(reservations.len(), 15 + 3);
    let (instances, _, _, requests, _) = nova.rows().await;
    assert_eq!((instances, requests), (15 + 3, 3));
}

async fn a_quota_holds_for_requests_that_arrive_together(db: TestDb) {
    let quota = Quota { instances: Some(10), ..Quota::default() };
    let nova = Arc::new(Nova::start_with(db, Settings { quota, ..Settings::default() }).await);
    let image = nova.glance.with(&[]);
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let (nova, request) = (Arc::clone(&nova), several(&image, 2));
            let request = CreateInstanceRequest { request_id: format!("r{number}"), ..request };
            let request = made_by("alice", if number % 2 == 0 { "even" } else { "odd" }, request);
            tokio::spawn(async move { nova.create(request).await })
        })
        .collect();
    let mut created = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(response) => created += response.instances.len(),
            Err(status) => assert_eq!(reason(&status), "QUOTA_EXCEEDED"),
        }
    }
    let (instances, _, _, requests, _) = nova.rows().await;
    // Of a request that was refused nothing is left, not even its claim: a retry may succeed later.
    assert_eq!((created, instances, requests), (20, 20, 10));
}

/// A request after an acknowledged change of the image gets the changed image, whatever earlier requests are in flight.
async fn an_image_is_as_fresh_as_asked_for_alone(db: TestDb) {
    let nova = Arc::new(Nova::start(db).await);
    let image = nova.glance.with(&[]);
    let revision = Arc::new(AtomicI64::new(1));
    let creators: Vec<_> = (0..16)
        .map(|_| {
            let (nova, image, revision) = (Arc::clone(&nova), image.clone(), Arc::clone(&revision));
            tokio::spawn(async move {
                for _ in 0..25 {
                    let acknowledged = revision.load(Ordering::SeqCst);
                    let created = nova.create_one(of(&image)).await.image_revision;
                    assert!(created >= acknowledged, "{created} is older than {acknowledged}");
                    let next = nova.glance.revise(&image);
                    revision.fetch_max(next, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for creator in creators {
        creator.await.unwrap();
    }
    assert!(nova.glance.calls().len() < 400, "some shared an answer");
}

async fn an_image_is_asked_for_once_for_many(db: TestDb) {
    let nova = Arc::new(Nova::start(db).await);
    let image = nova.glance.with(&[]);
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (nova, request) = (Arc::clone(&nova), of(&image));
            tokio::spawn(async move { nova.create_one(request).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let calls = nova.glance.calls().len();
    assert!((1..100).contains(&calls), "{calls}");
}

/// One project may see an image that another one may not.
async fn two_projects_do_not_share_an_answer(db: TestDb) {
    let nova = Arc::new(Nova::start(db).await);
    let image = nova.glance.with(&[]);
    let projects: BTreeSet<_> = (0..8).map(|number| format!("p{number}")).collect();
    let tasks: Vec<_> = projects
        .iter()
        .map(|project| {
            let (nova, request) = (Arc::clone(&nova), made_by("alice", project, of(&image)));
            tokio::spawn(async move { nova.create(request).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let asked: BTreeSet<_> = nova.glance.calls().into_iter().filter_map(|call| call.project_id).collect();
    assert_eq!(asked, projects);
}

async fn two_replicas_create_each_request_once(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[("os_type", "linux")]);
    let address = serve(&nova.db.url, &nova.glance.endpoint(), &Settings::default()).await;
    let replicas = [nova.instances(), InstanceServiceClient::new(connect(address).await)];
    let tasks: Vec<_> = (0..80)
        .map(|number| {
            let mut replica = replicas[number % 2].clone();
            let request = CreateInstanceRequest { request_id: format!("r{}", number / 4), ..of(&image) };
            let request = made_by("alice", "demo", request);
            tokio::spawn(async move { (number / 4, replica.create_instance(request).await.unwrap()) })
        })
        .collect();
    let mut reservations = BTreeSet::new();
    for task in tasks {
        let (number, response) = task.await.unwrap();
        reservations.insert((number, response.into_inner().reservation_id));
    }
    assert_eq!(reservations.len(), 20);
    assert_eq!(nova.rows().await.0, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_cannot_be_serialized_are_run_again() {
    let db = TestDb::serializable().await;
    let quota = Quota { instances: Some(1000), ..Quota::default() };
    let settings = Settings { quota, ..Settings::default() };
    let nova = Nova::start_with(db, settings).await;
    let image = nova.glance.with(&[]);
    let settings = Settings { quota, ..Settings::default() };
    let address = serve(&nova.db.url, &nova.glance.endpoint(), &settings).await;
    let replicas = [nova.instances(), InstanceServiceClient::new(connect(address).await)];
    let tasks: Vec<_> = (0..40)
        .map(|number: usize| {
            let mut replica = replicas[number % 2].clone();
            let request = made_by("alice", "demo", of(&image));
            tokio::spawn(async move { replica.create_instance(request).await.map(drop) })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(nova.rows().await.0, 40);
}

/// A transaction that holds what requests need and then wants what they hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_run_again() {
    let quota = Quota { instances: Some(1_000_000), ..Quota::default() };
    let settings = Settings { quota, ..Settings::default() };
    let nova = Arc::new(Nova::start_with(TestDb::postgres().await, settings).await);
    let image = nova.glance.with(&[]);
    for project in ["a", "b", "c"] {
        nova.create(made_by("alice", project, of(&image))).await.unwrap();
    }
    let mut other = PgConnection::connect(&nova.db.url).await.unwrap();
    // The requests find the deadlock first.
    other.execute("SET deadlock_timeout = '1h'").await.unwrap();
    let mut expected = 3;
    // Until it has happened: the requests of a and b must have come to share a transaction.
    while count(&nova, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").await == 0
    {
        lock_in_the_other_order(&nova, &image, &mut other).await;
        expected += 3;
    }
    assert_eq!(nova.rows().await.0, expected);
}

async fn lock_in_the_other_order(nova: &Arc<Nova>, image: &Image, other: &mut PgConnection) {
    let create = |project| {
        let (nova, request) = (Arc::clone(nova), made_by("alice", project, of(image)));
        tokio::spawn(async move { nova.create(request).await })
    };
    other.execute("BEGIN").await.unwrap();
    other.execute("UPDATE quota_projects SET project_id = project_id WHERE project_id >= 'b'").await.unwrap();
    // While the first one waits, the others gather: theirs is one transaction, which locks a and waits for b.
    let mut creating = vec![create("c")];
    until_waiting(nova, 1).await;
    creating.extend([create("a"), create("b")]);
    until_waiting(nova, 2).await;
    let locked = "UPDATE quota_projects SET project_id = project_id WHERE project_id = 'a'";
    other.execute(locked).await.unwrap();
    other.execute("COMMIT").await.unwrap();
    for created in creating {
        created.await.unwrap().unwrap();
    }
}

async fn until_waiting(nova: &Nova, transactions: i64) {
    const WAITING: &str = "SELECT COUNT(*) FROM pg_stat_activity \
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while count(nova, WAITING).await < transactions {}
}

async fn count(nova: &Nova, query: &'static str) -> i64 {
    nova.sql::<(i64,)>(query).await[0].0
}
