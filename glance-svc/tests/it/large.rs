//! Images that are too large to be read for a small request as others are: everything is as with small ones.

use chassis::{db::Pools, on_both_databases, testing::TestDb};
use proto::glance::v1::{
    CreateImageMemberRequest, GetImageRequest, GetImagesRequest, Image, ListImageRevisionsRequest,
    image::Visibility,
};
use tonic::Code;

use crate::{
    database::execute,
    schema::open,
    support::{Glance, Who, assert_error, by, change_of, named, setting},
};

on_both_databases!(
    a_large_image_is_read_and_changed_as_any_other,
    a_large_image_is_seen_by_its_members_alone,
    pages_of_large_images_and_revisions_go_on,
    properties_count_as_json_has_them,
    an_image_is_what_it_was_at_each_of_many_revisions,
);

/// As many bytes of properties as an image may have, and as many others for each `text`.
fn properties(text: &str) -> std::collections::BTreeMap<String, String> {
    (0..100).map(|number| (format!("property_{number:03}"), text.repeat(15_000))).collect()
}

fn large(name: &str) -> Image {
    Image { properties: properties("x"), visibility: Visibility::Shared.into(), ..named(name) }
}

async fn a_large_image_is_read_and_changed_as_any_other(db: TestDb) {
    let glance = Glance::start(db).await;
    let created = glance.create(large("large")).await.unwrap();
    assert_eq!(created.properties, properties("x"));
    assert_eq!(glance.get(&created.id).await.unwrap(), created);
    let small = glance.named("small").await;
    let request = GetImagesRequest { ids: vec![small.id.clone(), created.id.clone()] };
    let found = glance.client.clone().get_images(request).await.unwrap().into_inner();
    assert_eq!(found.images, [small, created.clone()]);

    let change = Image { name: "other".into(), tags: vec!["t".into()], ..change_of(&created.id) };
    let renamed = glance.update(change, &[]).await.unwrap();
    assert_eq!((renamed.name.as_str(), renamed.revision), ("other", 2));
    assert_eq!(renamed.properties, properties("x"));
    assert_eq!(glance.get(&created.id).await.unwrap(), renamed);
    let stale = Image { name: "lost".into(), etag: created.etag.clone(), ..change_of(&created.id) };
    assert_error(&glance.update(stale, &["name"]).await.unwrap_err(), Code::Aborted, "STALE_ETAG");

    let mut request = setting(&created.id, &[("property_000", "small")]);
    request.set.extend((50..100).map(|number| (format!("property_{number:03}"), "y".repeat(15_000))));
    let changed = glance.update_properties(request).await.unwrap();
    assert_eq!(changed.properties["property_000"], "small");
    assert_eq!(changed.properties["property_099"], "y".repeat(15_000));
    assert_eq!(glance.get_at(&created.id, 1).await.unwrap().properties, properties("x"));
    assert_eq!(glance.get_at(&created.id, 3).await.unwrap().properties, changed.properties);

    // What changes nothing makes no revision.
    assert_eq!(glance.set(&created.id, &[("property_000", "small")]).await.unwrap(), changed);
    glance.delete(&created.id, &changed.etag).await.unwrap();
    assert_eq!(glance.get(&created.id).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(glance.get_at(&created.id, 2).await.unwrap().properties, properties("x"));
}

async fn a_large_image_is_seen_by_its_members_alone(db: TestDb) {
    let glance = Glance::start(db).await;
    let mut owner = Who::OWNER.client(&glance.channel);
    let request = proto::glance::v1::CreateImageRequest { image: Some(large("shared")) };
    let id = owner.create_image(request).await.unwrap().into_inner().id;
    let member_id = Who::ACCEPTED.project.to_owned();
    let request = CreateImageMemberRequest { image_id: id.clone(), member_id };
    owner.create_image_member(request).await.unwrap();
    for (who, is_seen) in
        [(Who::OWNER, true), (Who::ACCEPTED, true), (Who::STRANGER, false), (Who::ADMIN, true)]
    {
        let request = || GetImageRequest { id: id.clone(), revision: 0 };
        let seen = who.client(&glance.channel).get_image(request()).await;
        assert_eq!(seen.is_ok(), is_seen, "{who:?}");
        if let Ok(seen) = seen {
            assert_eq!(seen.into_inner().properties, properties("x"));
        }
        let request = GetImagesRequest { ids: vec![id.clone()] };
        let found = who.client(&glance.channel).get_images(request).await.unwrap().into_inner();
        assert_eq!(found.images.len(), usize::from(is_seen), "{who:?}");
    }
}

async fn pages_of_large_images_and_revisions_go_on(db: TestDb) {
    let glance = Glance::start(db).await;
    let mut names = Vec::new();
    for number in 0..5 {
        let name = format!("image {number}");
        let image = if number == 2 { named(&name) } else { large(&name) };
        glance.create(image).await.unwrap();
        names.push(name);
    }
    let first = glance.list(by("name")).await.unwrap();
    assert!((1..5).contains(&first.images.len()) && !first.next_page_token.is_empty());
    let walked = glance.walk(by("name")).await;
    assert_eq!(walked.iter().map(|image| &image.name).collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
    assert_eq!(walked[4].properties, properties("x"));

    let id = walked[0].id.clone();
    for text in ["y", "z"] {
        let mut request = setting(&id, &[]);
        request.set = properties(text);
        glance.update_properties(request).await.unwrap();
    }
    let (mut revisions, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListImageRevisionsRequest {
            image_id: id.clone(),
            page_size: 1000,
            page_token: page_token.clone(),
        };
        let page = glance.client.clone().list_image_revisions(request).await.unwrap().into_inner();
        revisions.extend(page.revisions.iter().map(|revision| revision.revision));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(revisions, [3, 2, 1]);
}

async fn properties_count_as_json_has_them(db: TestDb) {
    let glance = Glance::start(db).await;
    let of = |character: &str| {
        let value = character.repeat(60_000);
        let properties = (0..10).map(|number| (format!("p{number}"), value.clone())).collect();
        Image { properties, ..named("n") }
    };
    glance.create(of("\n")).await.unwrap();
    let refused = glance.create(of("\u{1}")).await.unwrap_err();
    let values = assert_error(&refused, Code::ResourceExhausted, "IMAGE_QUOTA_EXCEEDED");
    assert_eq!(values["attempted"], (10 * (2 + 6 * 60_000)).to_string());
}

async fn an_image_is_what_it_was_at_each_of_many_revisions(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = Image { tags: vec!["t".into()], size: Some(1), ..named("n") };
    let mut states = vec![glance.create(image).await.unwrap()];
    let id = states[0].id.clone();
    for number in 2..=150 {
        states.push(glance.set(&id, &[(&format!("p{}", number % 7), &number.to_string())]).await.unwrap());
    }
    let bases = count(&glance, "SELECT COUNT(*) FROM image_bases").await;
    assert_eq!(bases, 2);
    for is_old in [false, true] {
        for state in &states {
            assert_eq!(glance.get_at(&id, state.revision).await.unwrap(), *state);
        }
        if !is_old {
            // A program of before there were any wrote the history.
            execute(&open(&glance.db).await, "DELETE FROM image_bases").await;
        }
    }
    let missing = glance.get_at(&id, 151).await.unwrap_err();
    assert_error(&missing, Code::NotFound, "IMAGE_REVISION_NOT_FOUND");
}

async fn count(glance: &Glance, sql: &'static str) -> i64 {
    match open(&glance.db).await.pools().unwrap() {
        Pools::Sqlite { reader, .. } => sqlx::query_scalar(sql).fetch_one(reader).await.unwrap(),
        Pools::Postgres { pool, .. } => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap(),
    }
}
