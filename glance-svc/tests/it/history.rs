//! `ListImageRevisions`: who changed what when, from what to what.

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{
    Image, ImageChange, ImageRevision, ListImageRevisionsRequest, UpdateImageRequest, image_change::Subject,
    image_revision::Action,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{
    Glance, assert_error, assert_not_found, assert_violation, by, change_of, fields, made_by, named, setting,
};

on_both_databases!(
    tells_who_registered_an_image_and_how,
    tells_who_changed_what_from_what_to_what,
    tells_tags_as_lists,
    ends_with_the_deletion,
    tells_changes_of_one_update_sorted_by_name,
    comes_in_pages_newest_first,
    a_token_is_good_for_its_image_only,
    does_not_find_what_never_was,
    refuses_a_bad_page,
    pages_of_huge_revisions_stay_small,
);

fn attribute(name: &str, old: Option<&str>, new: Option<&str>) -> ImageChange {
    change(Subject::Attribute(name.to_owned()), old, new)
}

fn property(name: &str, old: Option<&str>, new: Option<&str>) -> ImageChange {
    change(Subject::Property(name.to_owned()), old, new)
}

fn change(subject: Subject, old: Option<&str>, new: Option<&str>) -> ImageChange {
    ImageChange {
        subject: Some(subject),
        old_value: old.map(str::to_owned),
        new_value: new.map(str::to_owned),
    }
}

async fn tells_who_registered_an_image_and_how(db: TestDb) {
    let mut glance = Glance::start(db).await;
    let image = Image { size: Some(5), properties: setting("", &[("k", "")]).set, ..named("cirros") };
    let request = proto::glance::v1::CreateImageRequest { image: Some(image) };
    let created = glance.client.create_image(made_by("alice", "demo", request)).await.unwrap().into_inner();
    let expected = ImageRevision {
        image_id: created.id.clone(),
        revision: 1,
        create_time: created.create_time,
        user_id: "alice".to_owned(),
        project_id: "demo".to_owned(),
        action: Action::Create.into(),
        changes: vec![
            attribute("min_disk", None, Some("0")),
            attribute("min_ram", None, Some("0")),
            attribute("name", None, Some("cirros")),
            attribute("os_hidden", None, Some("false")),
            attribute("owner", None, Some("demo")),
            attribute("protected", None, Some("false")),
            attribute("size", None, Some("5")),
            attribute("status", None, Some("ACTIVE")),
            attribute("visibility", None, Some("SHARED")),
            property("k", None, Some("")),
        ],
    };
    assert_eq!(glance.revisions(&created.id).await, [expected]);
}

async fn tells_who_changed_what_from_what_to_what(db: TestDb) {
    let mut glance = Glance::start(db).await;
    let image = Image { owner: "ops".to_owned(), ..named("cirros") };
    let id = glance.create(image).await.unwrap().id;
    glance.set(&id, &[("a", "1"), ("b", "2")]).await.unwrap();
    let mut request = setting(&id, &[("a", "one"), ("c", "3")]);
    request.remove = vec!["b".to_owned()];
    let updated = glance.client.update_image_properties(made_by("bob", "ops", request)).await.unwrap();
    let change = Image { name: "new".to_owned(), min_ram: 64, ..change_of(&id) };
    let request = UpdateImageRequest { image: Some(change), update_mask: None };
    glance.client.update_image(made_by("carol", "ops", request)).await.unwrap();

    let history = glance.revisions(&id).await;
    let actors: Vec<_> =
        history.iter().map(|entry| (entry.user_id.as_str(), entry.project_id.as_str())).collect();
    assert_eq!(actors, [("carol", "ops"), ("bob", "ops"), ("", ""), ("", "")]);
    let renamed =
        [attribute("min_ram", Some("0"), Some("64")), attribute("name", Some("cirros"), Some("new"))];
    assert_eq!(history[0].changes, renamed);
    let changed = [
        property("a", Some("1"), Some("one")),
        property("b", Some("2"), None),
        property("c", None, Some("3")),
    ];
    assert_eq!(history[1].changes, changed);
    assert_eq!(history[1].create_time, updated.into_inner().update_time);
    assert!(history[..3].iter().all(|entry| entry.action() == Action::Update));
}

async fn tells_tags_as_lists(db: TestDb) {
    let glance = Glance::start(db).await;
    let id =
        glance.create(Image { tags: vec!["b".into(), "a\"".into()], ..named("cirros") }).await.unwrap().id;
    glance.update(change_of(&id), &["tags"]).await.unwrap();
    let history = glance.revisions(&id).await;
    assert_eq!(history[0].changes, [attribute("tags", Some(r#"["a\"","b"]"#), None)]);
}

async fn ends_with_the_deletion(db: TestDb) {
    let mut glance = Glance::start(db).await;
    let image = Image { size: Some(1), owner: "ops".to_owned(), ..named("cirros") };
    let created = glance.create(image).await.unwrap();
    let request = proto::glance::v1::DeleteImageRequest { id: created.id.clone(), ..Default::default() };
    glance.client.delete_image(made_by("dave", "ops", request)).await.unwrap();
    let last = &glance.revisions(&created.id).await[0];
    assert_eq!((last.revision, last.action()), (2, Action::Delete));
    assert_eq!((last.user_id.as_str(), last.project_id.as_str()), ("dave", "ops"));
    assert_eq!(last.changes, [attribute("status", Some("ACTIVE"), Some("DELETED"))]);
}

async fn tells_changes_of_one_update_sorted_by_name(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.named("cirros").await.id;
    let pairs = [("b", "1"), ("B", "1"), ("é", "1"), ("a", "1"), ("10", "1"), ("9", "1")];
    glance.set(&id, &pairs).await.unwrap();
    let expected = ["10", "9", "B", "a", "b", "é"].map(|name| property(name, None, Some("1")));
    assert_eq!(glance.revisions(&id).await[0].changes, expected);
}

/// A page of the history: its revisions' numbers and the token of the next page.
async fn page(
    glance: &Glance,
    id: &str,
    size: i32,
    token: &str,
) -> Result<(Vec<i64>, String), tonic::Status> {
    let request =
        ListImageRevisionsRequest { image_id: id.to_owned(), page_size: size, page_token: token.to_owned() };
    let answer = glance.client.clone().list_image_revisions(request).await?.into_inner();
    let numbers = answer.revisions.into_iter().map(|revision| revision.revision).collect();
    Ok((numbers, answer.next_page_token))
}

async fn comes_in_pages_newest_first(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.named("cirros").await.id;
    for number in 0..30 {
        glance.set(&id, &[("k", &number.to_string())]).await.unwrap();
    }
    let (first, token) = page(&glance, &id, 0, "").await.unwrap();
    assert_eq!(first, (7..=31).rev().collect::<Vec<_>>(), "25 unless given");
    // What happens meanwhile is newer than the pages to come.
    glance.set(&id, &[("k", "meanwhile")]).await.unwrap();
    assert_eq!(page(&glance, &id, 6, &token).await.unwrap(), ((1..=6).rev().collect(), String::new()));
    let (all, token) = page(&glance, &id, 1000, "").await.unwrap();
    assert_eq!((all.len(), token.as_str()), (32, ""));
}

async fn a_token_is_good_for_its_image_only(db: TestDb) {
    let glance = Glance::start(db).await;
    let (first, second) = (glance.named("a").await.id, glance.named("b").await.id);
    for id in [&first, &second] {
        glance.set(id, &[("k", "v")]).await.unwrap();
    }
    let (_, token) = page(&glance, &first, 1, "").await.unwrap();
    assert_eq!(page(&glance, &first, 1, &token).await.unwrap().0, [1]);
    let refused = page(&glance, &second, 1, &token).await.unwrap_err();
    assert_violation(&refused, "page_token", "belongs to another list");
    let images = glance.list(by("name")).await.unwrap();
    assert_eq!((images.images.len(), images.next_page_token.as_str()), (2, ""));
}

async fn does_not_find_what_never_was(db: TestDb) {
    let glance = Glance::start(db).await;
    let unknown = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11";
    assert_not_found(&page(&glance, unknown, 0, "").await.unwrap_err(), unknown);
    for revision in [0, 1, 2, i64::MAX] {
        assert_not_found(&glance.get_at(unknown, revision).await.unwrap_err(), unknown);
    }
    let id = glance.named("cirros").await.id;
    for revision in [2, i64::MAX] {
        let refused = glance.get_at(&id, revision).await.unwrap_err();
        let metadata = assert_error(&refused, Code::NotFound, "IMAGE_REVISION_NOT_FOUND");
        assert_eq!((&metadata["image_id"], &metadata["revision"]), (&id, &revision.to_string()));
        assert_eq!(refused.get_details_resource_info().unwrap().resource_name, id);
    }
    let negative = glance.get_at("x", -1).await.unwrap_err();
    assert_eq!(fields(&negative), ["id", "revision"]);
}

async fn refuses_a_bad_page(db: TestDb) {
    let glance = Glance::start(db).await;
    let refused = page(&glance, "x", -1, "!").await.unwrap_err();
    let mut found = fields(&refused);
    found.sort_unstable();
    assert_eq!(found, ["image_id", "page_size", "page_token"]);
}

async fn pages_of_huge_revisions_stay_small(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.named("cirros").await.id;
    // A change holds the value before and the value after.
    for round in ["a", "b", "c"] {
        let value = round.repeat(65_535);
        let names: Vec<_> = (0..20).map(|number| format!("k{number}")).collect();
        let pairs: Vec<_> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
        glance.set(&id, &pairs).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut token = String::new();
    let mut pages = 0;
    loop {
        let (revisions, next) = page(&glance, &id, 1000, &token).await.unwrap();
        assert!(!revisions.is_empty());
        seen.extend(revisions);
        pages += 1;
        if next.is_empty() {
            break;
        }
        token = next;
    }
    assert_eq!(seen, [4, 3, 2, 1]);
    assert!(pages > 1);
}
