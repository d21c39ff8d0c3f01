//! `DeleteImage`.

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::Image;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{Glance, assert_error, assert_not_found, assert_violation, change_of, named};

on_both_databases!(
    an_image_is_gone_once_deleted,
    deletes_the_image_alone,
    refuses_a_protected_image,
    takes_the_current_etag_only,
    does_not_find_what_is_not_there,
    one_of_many_deletes_wins,
);

async fn an_image_is_gone_once_deleted(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = Image { tags: vec!["t".to_owned()], ..named("cirros") };
    let id = glance.create(image).await.unwrap().id;
    glance.set(&id, &[("a", "1")]).await.unwrap();
    glance.delete(&id, "").await.unwrap();
    assert_not_found(&glance.get(&id).await.unwrap_err(), &id);
    assert_not_found(&glance.delete(&id, "").await.unwrap_err(), &id);
    assert_not_found(&glance.set(&id, &[("a", "2")]).await.unwrap_err(), &id);
    let renamed = glance.update(Image { name: "new".into(), ..change_of(&id) }, &[]).await;
    assert_not_found(&renamed.unwrap_err(), &id);
    for filter in ["", "tags:t", "properties.a = 1", "status = DELETED"] {
        assert!(glance.find(filter).await.is_empty(), "{filter}");
    }
    assert_eq!(glance.revisions(&id).await.len(), 3);
}

async fn deletes_the_image_alone(db: TestDb) {
    let glance = Glance::start(db).await;
    let (first, second) = (glance.named("cirros").await, glance.named("cirros").await);
    let second = glance.set(&second.id, &[("a", "1")]).await.unwrap();
    glance.delete(&first.id, "").await.unwrap();
    assert_eq!(glance.get(&second.id).await.unwrap(), second);
}

async fn refuses_a_protected_image(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = glance.create(Image { protected: true, ..named("cirros") }).await.unwrap();
    let refused = glance.delete(&image.id, &image.etag).await.unwrap_err();
    let metadata = assert_error(&refused, Code::FailedPrecondition, "IMAGE_PROTECTED");
    assert_eq!(metadata["image_id"], image.id);
    let failed = &refused.get_details_precondition_failure().unwrap().violations[0];
    assert_eq!(
        (failed.r#type.as_str(), failed.subject.clone()),
        ("NOT_PROTECTED", format!("image/{}", image.id))
    );
    assert_eq!(glance.get(&image.id).await.unwrap(), image);
    glance.update(change_of(&image.id), &["protected"]).await.unwrap();
    glance.delete(&image.id, "").await.unwrap();
}

async fn takes_the_current_etag_only(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = glance.named("cirros").await;
    let changed = glance.set(&image.id, &[("a", "1")]).await.unwrap();
    let refused = glance.delete(&image.id, &image.etag).await.unwrap_err();
    assert_eq!(assert_error(&refused, Code::Aborted, "STALE_ETAG")["etag"], changed.etag);
    assert_eq!(glance.get(&image.id).await.unwrap(), changed);
    glance.delete(&image.id, &changed.etag).await.unwrap();
}

async fn does_not_find_what_is_not_there(db: TestDb) {
    let glance = Glance::start(db).await;
    let unknown = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11";
    assert_not_found(&glance.delete(unknown, "").await.unwrap_err(), unknown);
    assert_violation(&glance.delete("x", "").await.unwrap_err(), "id", "must be a UUID");
}

async fn one_of_many_deletes_wins(db: TestDb) {
    let glance = std::sync::Arc::new(Glance::start(db).await);
    let image = glance.named("cirros").await;
    let mut rivals = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (glance, id) = (glance.clone(), image.id.clone());
        rivals.spawn(async move { glance.delete(&id, "").await });
    }
    let outcomes = rivals.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for refused in outcomes.into_iter().filter_map(Result::err) {
        assert_not_found(&refused, &image.id);
    }
    assert_eq!(glance.revisions(&image.id).await.len(), 2);
}
