//! Many callers at once: nothing is lost, and an etag lets one of them through.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{
    GetImageRequest, Image, ListImagesRequest, UpdateImagePropertiesRequest, image_revision::Action,
};
use tonic::Code;

use crate::support::{
    DEFAULT_QUOTA, Glance, assert_error, assert_not_found, at_once, by, change_of, named, setting,
};

on_both_databases!(
    updates_of_different_keys_all_survive,
    updates_of_the_same_key_follow_each_other,
    updates_through_two_servers_all_survive,
    updates_of_attributes_and_properties_survive_each_other,
    updates_race_with_a_deletion,
    one_of_many_updates_with_the_same_etag_wins,
    the_quota_holds_against_many,
    many_creations_at_once_all_survive,
    readers_see_whole_revisions,
    an_acknowledged_update_is_seen_by_every_later_read_anywhere,
);

const CALLERS: usize = 64;

/// So many that they queue up for a connection for a while.
const CROWD: usize = 800;

async fn updates_of_different_keys_all_survive(db: TestDb) {
    let glance = Arc::new(Glance::start(db).await);
    let id = glance.named("cirros").await.id;
    let updated = at_once(CALLERS, |number| {
        let (glance, id) = (glance.clone(), id.clone());
        async move { glance.set(&id, &[(&format!("k{number}"), "v")]).await.unwrap().revision }
    });
    let mut revisions = updated.await;
    revisions.sort_unstable();
    assert_eq!(revisions, (2..=65).collect::<Vec<_>>(), "each update has its own revision");
    let image = glance.get(&id).await.unwrap();
    assert_eq!((image.properties.len(), image.revision), (CALLERS, 65));
    let history = glance.revisions(&id).await;
    assert_eq!(history.len(), 65);
    assert!(history[..CALLERS].iter().all(|revision| revision.changes.len() == 1));
    assert_eq!(glance.get_at(&id, 65).await.unwrap(), image);
}

async fn updates_of_the_same_key_follow_each_other(db: TestDb) {
    let glance = Arc::new(Glance::start(db).await);
    let id = glance.named("cirros").await.id;
    at_once(CROWD, |number| {
        let (glance, id) = (glance.clone(), id.clone());
        async move { glance.set(&id, &[("k", &number.to_string())]).await.unwrap() }
    })
    .await;
    let mut history = glance.revisions(&id).await;
    history.reverse();
    let mut value = None;
    for revision in &history[1..] {
        assert_eq!(revision.changes[0].old_value, value, "revision {}", revision.revision);
        value.clone_from(&revision.changes[0].new_value);
    }
    assert_eq!(glance.get(&id).await.unwrap().properties.get("k"), value.as_ref());
}

async fn updates_through_two_servers_all_survive(db: TestDb) {
    let glance = Glance::start(db).await;
    let clients = [glance.client.clone(), glance.beside(DEFAULT_QUOTA).await];
    let id = glance.named("cirros").await.id;
    at_once(CALLERS, |number| {
        let mut client = clients[number % 2].clone();
        let request = setting(&id, &[(&format!("k{number}"), "v")]);
        async move { client.update_image_properties(request).await.unwrap() }
    })
    .await;
    let image = glance.get(&id).await.unwrap();
    assert_eq!((image.properties.len(), image.revision), (CALLERS, 65));
    assert_eq!(glance.get_at(&id, 65).await.unwrap(), image);
}

async fn updates_race_with_a_deletion(db: TestDb) {
    let glance = Arc::new(Glance::start(db).await);
    let id = glance.named("cirros").await.id;
    let outcomes = at_once(CALLERS, |number| {
        let (glance, id) = (glance.clone(), id.clone());
        async move {
            match number {
                20 => glance.delete(&id, "").await.map(|()| 0),
                _ => glance.set(&id, &[(&format!("k{number}"), "v")]).await.map(|image| image.revision),
            }
        }
    })
    .await;
    let (done, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    refused.into_iter().filter_map(Result::err).for_each(|refused| assert_not_found(&refused, &id));
    let history = glance.revisions(&id).await;
    assert_eq!(history.len(), done.len() + 1, "a revision for each success");
    assert_eq!(history[0].action(), Action::Delete);
    for entry in &history[1..] {
        let then = glance.get_at(&id, entry.revision).await.unwrap();
        assert_eq!(i64::try_from(then.properties.len()).unwrap(), entry.revision - 1);
    }
}

async fn updates_of_attributes_and_properties_survive_each_other(db: TestDb) {
    let glance = Arc::new(Glance::start(db).await);
    let id = glance.named("cirros").await.id;
    at_once(30, |number| {
        let (glance, id) = (glance.clone(), id.clone());
        async move {
            let change = change_of(&id);
            match number % 3 {
                0 => glance.set(&id, &[(&format!("k{number}"), "v")]).await.unwrap(),
                1 => glance.update(Image { min_ram: 7, ..change }, &[]).await.unwrap(),
                _ => glance.update(Image { tags: vec!["t".into()], ..change }, &[]).await.unwrap(),
            }
        }
    })
    .await;
    let image = glance.get(&id).await.unwrap();
    assert_eq!((image.properties.len(), image.min_ram, image.tags.len()), (10, 7, 1));
    assert_eq!(image.revision, 13, "repeated values make no revision");
}

async fn one_of_many_updates_with_the_same_etag_wins(db: TestDb) {
    let glance = Arc::new(Glance::start(db).await);
    let image = glance.named("cirros").await;
    let outcomes = at_once(32, |number| {
        let (glance, image) = (glance.clone(), image.clone());
        async move {
            let request = UpdateImagePropertiesRequest {
                etag: image.etag,
                ..setting(&image.id, &[(&format!("k{number}"), "v")])
            };
            glance.update_properties(request).await
        }
    })
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 31));
    let winner = won[0].clone().unwrap();
    for refused in lost.into_iter().filter_map(Result::err) {
        assert_eq!(assert_error(&refused, Code::Aborted, "STALE_ETAG")["etag"], winner.etag);
    }
    assert_eq!(glance.get(&image.id).await.unwrap(), winner);
}

async fn the_quota_holds_against_many(db: TestDb) {
    let glance = Arc::new(Glance::start_with_quota(db, 10).await);
    let id = glance.named("cirros").await.id;
    let outcomes = at_once(CALLERS, |number| {
        let (glance, id) = (glance.clone(), id.clone());
        async move { glance.set(&id, &[(&format!("k{number}"), "v")]).await.map(drop) }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 10);
    for refused in outcomes.into_iter().filter_map(Result::err) {
        let metadata = assert_error(&refused, Code::ResourceExhausted, "IMAGE_QUOTA_EXCEEDED");
        assert_eq!(metadata["attempted"], "11");
    }
    assert_eq!(glance.get(&id).await.unwrap().properties.len(), 10);
}

async fn many_creations_at_once_all_survive(db: TestDb) {
    let glance = Arc::new(Glance::start(db).await);
    let created = at_once(CALLERS, |number| {
        let glance = glance.clone();
        async move { glance.create(named(&format!("{number:02}"))).await.unwrap().name }
    });
    let mut created = created.await;
    created.sort_unstable();
    let listed = glance.walk(by("name")).await;
    assert_eq!(listed.into_iter().map(|image| image.name).collect::<Vec<_>>(), created);
}

async fn readers_see_whole_revisions(db: TestDb) {
    let glance = Arc::new(Glance::start(db).await);
    let id = glance.set(&glance.named("cirros").await.id, &[("a", "0"), ("b", "0")]).await.unwrap().id;
    let readers = at_once(8, |_| {
        let (glance, id) = (glance.clone(), id.clone());
        async move {
            for _ in 0..25 {
                let image = glance.get(&id).await.unwrap();
                let listed = glance.list(ListImagesRequest::default()).await.unwrap().images;
                for image in [&image, &listed[0]] {
                    let expected = (image.revision - 2).to_string();
                    assert_eq!((&image.properties["a"], &image.properties["b"]), (&expected, &expected));
                }
            }
        }
    });
    let writer = async {
        for number in 1..=40 {
            let number = number.to_string();
            glance.set(&id, &[("a", &number), ("b", &number)]).await.unwrap();
        }
    };
    tokio::join!(readers, writer);
}

/// One server changes an image while another one, which has it in memory, is asked for it all the time.
async fn an_acknowledged_update_is_seen_by_every_later_read_anywhere(db: TestDb) {
    let glance = Arc::new(Glance::start(db).await);
    let other = glance.beside(DEFAULT_QUOTA).await;
    let id = glance.named("cirros").await.id;
    let (acknowledged, is_over) = (Arc::new(AtomicI64::new(1)), Arc::new(AtomicBool::new(false)));
    let readers = at_once(8, |_| {
        let (mut other, id) = (other.clone(), id.clone());
        let (acknowledged, is_over) = (acknowledged.clone(), is_over.clone());
        async move {
            while !is_over.load(Ordering::SeqCst) {
                let least = acknowledged.load(Ordering::SeqCst);
                let request = GetImageRequest { id: id.clone(), revision: 0 };
                let image = other.get_image(request).await.unwrap().into_inner();
                assert!(image.revision >= least, "{} is older than {least}", image.revision);
                assert_eq!(
                    image.properties.get("n"),
                    (image.revision > 1).then(|| image.revision.to_string()).as_ref()
                );
            }
        }
    });
    let writer = async {
        for number in 2..=100_i64 {
            let updated = glance.set(&id, &[("n", &number.to_string())]).await.unwrap();
            acknowledged.store(updated.revision, Ordering::SeqCst);
        }
        is_over.store(true, Ordering::SeqCst);
    };
    tokio::join!(readers, writer);
}
