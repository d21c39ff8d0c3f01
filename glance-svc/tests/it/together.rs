//! Updates in flight together: they share transactions, and each is done or refused as if it were alone.

use std::{collections::BTreeMap, sync::Arc};

use chassis::{
    caller::{Actor, Caller},
    db::{Db, Pools},
    on_both_databases,
    testing::{TestDb, reason},
};
use glance_svc::{image, images::Etags};
use proto::glance::v1::{
    CreateImageMemberRequest, Image, ImageRevision, ListImageMembersRequest, UpdateImagePropertiesRequest,
    UpdateImageRequest, image_change::Subject,
};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::task::{JoinHandle, yield_now};

use crate::{
    schema::open,
    support::{DEFAULT_QUOTA, Glance, World, at_once, change_of, mask_of, named, setting},
};

on_both_databases!(
    refused_updates_do_not_disturb_others,
    updates_of_all_kinds_through_two_replicas_follow_each_other,
    an_update_that_is_given_up_is_not_done_and_others_are,
);

/// Checks that the history of an image has no gap and leads to what it is now.
async fn follow_each_other(glance: &Glance, id: &str) -> Vec<ImageRevision> {
    let mut history = glance.revisions(id).await;
    history.reverse();
    let mut values = BTreeMap::new();
    for (entry, expected) in history.iter().zip(1..) {
        assert_eq!(entry.revision, expected);
        assert!(!entry.changes.is_empty());
        for change in &entry.changes {
            let (Subject::Attribute(name) | Subject::Property(name)) = change.subject.clone().unwrap();
            let before = values.insert(name, change.new_value.clone()).flatten();
            assert_eq!(change.old_value, before, "revision {expected}");
        }
    }
    let now = glance.get(id).await.unwrap();
    assert_eq!(glance.get_at(id, now.revision).await.unwrap(), now);
    assert_eq!(now.revision, i64::try_from(history.len()).unwrap());
    history
}

async fn refused_updates_do_not_disturb_others(db: TestDb) {
    let glance = Arc::new(Glance::start_with_quota(db, 100).await);
    let active = Image { size: Some(5), ..named("cirros") };
    let ids = [glance.create(active.clone()).await.unwrap().id, glance.create(active).await.unwrap().id];
    let stale = glance.get(&ids[0]).await.unwrap().etag;
    let current = glance.set(&ids[0], &[("first", "")]).await.unwrap();
    assert_eq!(current.revision, 2);
    let outcomes = at_once(80, |number| {
        let (glance, id, stale) = (glance.clone(), ids[number % 2].clone(), stale.clone());
        let key = format!("k{number}");
        async move {
            let outcome = match number % 5 {
                0 | 1 => glance.set(&id, &[(&key, "v")]).await,
                2 => {
                    let request =
                        UpdateImagePropertiesRequest { etag: stale, ..setting(&id, &[(&key, "v")]) };
                    glance.update_properties(request).await
                }
                3 => {
                    let many: Vec<_> = (0..101).map(|extra| format!("{key}-{extra}")).collect();
                    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "")).collect();
                    glance.set(&id, &many).await
                }
                _ => glance.update(Image { disk_format: "iso".into(), ..change_of(&id) }, &[]).await,
            };
            (number % 5, outcome)
        }
    });
    for (kind, outcome) in outcomes.await {
        match (kind, outcome) {
            (0 | 1, updated) => drop(updated.unwrap()),
            (2, refused) => assert_eq!(reason(&refused.unwrap_err()), "STALE_ETAG"),
            (3, refused) => assert_eq!(reason(&refused.unwrap_err()), "IMAGE_QUOTA_EXCEEDED"),
            (_, refused) => assert_eq!(reason(&refused.unwrap_err()), "ATTRIBUTE_LOCKED"),
        }
    }
    let revisions = [follow_each_other(&glance, &ids[0]).await, follow_each_other(&glance, &ids[1]).await];
    // What was refused left nothing, no revision either.
    assert_eq!(revisions.map(|revisions| revisions.len()), [1 + 1 + 16, 1 + 16]);
}

async fn updates_of_all_kinds_through_two_replicas_follow_each_other(db: TestDb) {
    let glance = Glance::start(db).await;
    let replicas = [glance.client.clone(), glance.beside(DEFAULT_QUOTA).await];
    let id = glance.set(&glance.named("cirros").await.id, &[("gone", "")]).await.unwrap().id;
    at_once(96, |number| {
        let (mut replica, id) = (replicas[number % 2].clone(), id.clone());
        let value = number.to_string();
        async move {
            let change = match number % 4 {
                0 => {
                    return replica
                        .update_image_properties(setting(&id, &[("same", &value)]))
                        .await
                        .map(drop);
                }
                1 => {
                    let remove = vec!["gone".to_owned(), format!("k{}", number + 4)];
                    let request = setting(&id, &[(&format!("k{number}"), &value)]);
                    let request = UpdateImagePropertiesRequest { remove, ..request };
                    return replica.update_image_properties(request).await.map(drop);
                }
                2 => Image { name: value, min_ram: 64, ..change_of(&id) },
                _ => Image { tags: vec![value, format!("t{}", number % 3)], ..change_of(&id) },
            };
            let request = UpdateImageRequest { image: Some(change), update_mask: mask_of(&[]) };
            replica.update_image(request).await.map(drop)
        }
    })
    .await
    .into_iter()
    .for_each(|updated| updated.unwrap());
    assert_eq!(follow_each_other(&glance, &id).await.len(), 2 + 96);
}

/// The lock of all images, from outside.
async fn locked(db: &TestDb) -> (Db, JoinHandle<()>, tokio::sync::oneshot::Sender<()>) {
    let opened = open(db).await;
    let (release, released) = tokio::sync::oneshot::channel();
    let (has_lock, waits) = tokio::sync::oneshot::channel();
    let holder = opened.clone();
    let holding = tokio::spawn(async move {
        match holder.pools().unwrap() {
            Pools::Sqlite { writer, .. } => {
                let lock = writer.begin_with("BEGIN IMMEDIATE").await.unwrap();
                has_lock.send(()).unwrap();
                released.await.unwrap();
                lock.rollback().await.unwrap();
            }
            Pools::Postgres { pool, .. } => {
                let lock = pool.begin_with("BEGIN; LOCK TABLE images").await.unwrap();
                has_lock.send(()).unwrap();
                released.await.unwrap();
                lock.rollback().await.unwrap();
            }
        }
    });
    waits.await.unwrap();
    (opened, holding, release)
}

async fn an_update_that_is_given_up_is_not_done_and_others_are(db: TestDb) {
    let world = World::start(db).await;
    let image = world.named("cirros").await;
    let (id, images) = (image.id.parse().unwrap(), world.images());
    let caller = Caller { actor: Actor::default(), roles: Vec::new(), is_admin: true, token: None };
    let setting = |name: &'static str| {
        let (images, caller) = (images.clone(), caller.clone());
        async move {
            let change = move |image: &mut image::Image| {
                image.properties.insert(name.to_owned(), String::new());
                Ok(())
            };
            images.update(id, Etags::new(), &caller, change).await
        }
    };
    let (_db, holding, release) = locked(&world.db).await;
    let mut before = Box::pin(setting("before"));
    let mut leaving = Box::pin(setting("leaving"));
    let mut after = Box::pin(setting("after"));
    tokio::select! {
        biased;
        _ = &mut before => panic!("nobody can write"),
        _ = &mut leaving => panic!("nobody can write"),
        _ = &mut after => panic!("nobody can write"),
        () = yield_now() => {}
    }
    drop(leaving);
    release.send(()).unwrap();
    holding.await.unwrap();
    let (before, after) = tokio::join!(before, after);
    let last = before.unwrap().revision.max(after.unwrap().revision);
    let image = world.get(&image.id).await.unwrap();
    assert_eq!((image.revision, last), (3, 3));
    assert_eq!(image.properties.into_keys().collect::<Vec<_>>(), ["after", "before"]);
}

async fn count(watching: &mut PgConnection, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(watching).await.unwrap()
}

/// Until that many transactions wait for a lock.
async fn until_waiting(watching: &mut PgConnection, transactions: i64) {
    const WAITING: &str = "SELECT COUNT(*) FROM pg_stat_activity \
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while count(watching, WAITING).await < transactions {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_in_flight_share_a_transaction() {
    let glance = Arc::new(Glance::start(TestDb::postgres().await).await);
    let id = glance.named("cirros").await.id;
    let mut watching = PgConnection::connect(&glance.db.url).await.unwrap();
    let shared = "SELECT COUNT(*) - COUNT(DISTINCT xmin::text) FROM image_revisions";
    while count(&mut watching, shared).await == 0 {
        at_once(16, |number| {
            let (glance, id) = (glance.clone(), id.clone());
            async move { glance.set(&id, &[("k", &number.to_string())]).await.unwrap() }
        })
        .await;
    }
    follow_each_other(&glance, &id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_cannot_be_serialized_are_run_again() {
    let glance = Glance::start(TestDb::serializable().await).await;
    let replicas = [glance.client.clone(), glance.beside(DEFAULT_QUOTA).await];
    let ids = [glance.named("a").await.id, glance.named("b").await.id];
    at_once(64, |number| {
        let (mut replica, id) = (replicas[number % 2].clone(), ids[number / 2 % 2].clone());
        async move { replica.update_image_properties(setting(&id, &[(&format!("k{number}"), "")])).await.unwrap() }
    })
    .await;
    at_once(8, |number| {
        let (mut replica, image_id) = (replicas[number % 2].clone(), ids[0].clone());
        let request = CreateImageMemberRequest { image_id, member_id: format!("project{number}") };
        async move { replica.create_image_member(request).await.unwrap() }
    })
    .await;
    let request = ListImageMembersRequest { image_id: ids[0].clone() };
    let members = glance.client.clone().list_image_members(request).await.unwrap().into_inner().members;
    assert_eq!(members.len(), 8);
    for id in ids {
        assert_eq!(follow_each_other(&glance, &id).await.len(), 1 + 32);
    }
}

/// A transaction that holds what updates need and then wants what they hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_run_again() {
    let glance = Arc::new(Glance::start(TestDb::postgres().await).await);
    for first in ["a", "b", "c"] {
        glance.create(Image { id: id_of(first), ..named(first) }).await.unwrap();
    }
    let mut other = PgConnection::connect(&glance.db.url).await.unwrap();
    // The updates find the deadlock first.
    other.execute("SET deadlock_timeout = '1h'").await.unwrap();
    let (mut watching, mut rounds) = (PgConnection::connect(&glance.db.url).await.unwrap(), 0);
    // Until it has happened: the updates of a and b must have come to share a transaction.
    while count(&mut watching, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        .await
        == 0
    {
        lock_in_the_other_order(&glance, rounds, &mut other, &mut watching).await;
        rounds += 1;
    }
    for first in ["a", "b", "c"] {
        assert_eq!(follow_each_other(&glance, &id_of(first)).await.len(), 1 + rounds);
    }
}

fn id_of(first: &str) -> String {
    format!("{first}0000000-0000-4000-8000-000000000000")
}

async fn lock_in_the_other_order(
    glance: &Arc<Glance>,
    round: usize,
    other: &mut PgConnection,
    watching: &mut PgConnection,
) {
    let update = |first| {
        let (glance, id) = (Arc::clone(glance), id_of(first));
        tokio::spawn(async move { glance.set(&id, &[("k", &round.to_string())]).await })
    };
    other.execute("BEGIN").await.unwrap();
    other.execute("UPDATE images SET revision = revision WHERE name >= 'b'").await.unwrap();
    // While the first one waits, the others gather: theirs is one transaction, which locks a and waits for b.
    let mut updating = vec![update("c")];
    until_waiting(watching, 1).await;
    updating.extend([update("a"), update("b")]);
    until_waiting(watching, 2).await;
    other.execute("UPDATE images SET revision = revision WHERE name = 'a'").await.unwrap();
    other.execute("COMMIT").await.unwrap();
    for updated in updating {
        updated.await.unwrap().unwrap();
    }
}
