//! Tags: a sorted set, limited in number.

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::Image;
use tonic::Code;

use crate::support::{Glance, assert_error, change_of, fields, named};

on_both_databases!(keeps_a_sorted_set, replaces_the_set, refuses_bad_tags, limits_their_number);

fn tags(tags: &[&str]) -> Vec<String> {
    tags.iter().map(|tag| (*tag).to_owned()).collect()
}

async fn keeps_a_sorted_set(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = Image { tags: tags(&["b", "a", "é", "B", "b", "\"[]\\"]), ..named("cirros") };
    let created = glance.create(image).await.unwrap();
    assert_eq!(created.tags, ["\"[]\\", "B", "a", "b", "é"]);
    assert_eq!(glance.get(&created.id).await.unwrap(), created);
    assert_eq!(glance.get_at(&created.id, 1).await.unwrap(), created);
}

async fn replaces_the_set(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.create(Image { tags: tags(&["a", "b"]), ..named("cirros") }).await.unwrap().id;
    let change = Image { tags: tags(&["c", "b"]), ..change_of(&id) };
    assert_eq!(glance.update(change, &["tags"]).await.unwrap().tags, ["b", "c"]);
    assert_eq!(glance.get(&id).await.unwrap().tags, ["b", "c"]);
    assert_eq!(glance.find("tags:a").await, [""; 0]);
}

async fn refuses_bad_tags(db: TestDb) {
    let glance = Glance::start(db).await;
    let bad = Image { tags: tags(&["", "a\nb", "good", &"x".repeat(256)]), ..named("cirros") };
    let found = fields(&glance.create(bad).await.unwrap_err());
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[..2], ["image.tags[\"\"]", "image.tags[\"a\\nb\"]"]);
}

async fn limits_their_number(db: TestDb) {
    let glance = Glance::start(db).await;
    let many = |count: usize| (0..count).map(|number| format!("{number:03}")).collect::<Vec<_>>();
    let refused = glance.create(Image { tags: many(129), ..named("cirros") }).await.unwrap_err();
    let metadata = assert_error(&refused, Code::ResourceExhausted, "IMAGE_QUOTA_EXCEEDED");
    assert_eq!([&metadata["resource"], &metadata["attempted"], &metadata["maximum"]], ["tags", "129", "128"]);
    let repeated = [many(128), many(128)].concat();
    let full = glance.create(Image { tags: repeated, ..named("cirros") }).await.unwrap();
    assert_eq!(full.tags.len(), 128);
    let refused = glance.update(Image { tags: many(129), ..change_of(&full.id) }, &[]).await.unwrap_err();
    assert_error(&refused, Code::ResourceExhausted, "IMAGE_QUOTA_EXCEEDED");
}
