//! `UpdateImageProperties`: merge, remove, purge.

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{Image, UpdateImagePropertiesRequest};
use tonic::Code;

use crate::support::{Glance, assert_error, assert_not_found, fields, named, setting, violations};

on_both_databases!(
    merges_by_default,
    keeps_names_apart_that_look_alike,
    keeps_any_text,
    removes_by_name,
    removing_what_is_not_there_is_no_error,
    replaces_the_set_when_told_to_purge,
    purges_everything,
    refuses_to_set_and_remove_the_same_name,
    refuses_to_purge_and_remove,
    takes_the_current_etag_only,
    leaves_attributes_and_tags_alone,
    does_not_find_what_is_not_there,
);

async fn image_with(glance: &Glance, properties: &[(&str, &str)]) -> Image {
    glance.create(Image { properties: map(properties), ..named("cirros") }).await.unwrap()
}

fn map(properties: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    setting("", properties).set
}

async fn merges_by_default(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = image_with(&glance, &[("a", "1"), ("b", "2")]).await;
    let after = glance.set(&image.id, &[("b", "two"), ("c", "")]).await.unwrap();
    assert_eq!(after.properties, map(&[("a", "1"), ("b", "two"), ("c", "")]));
    assert_eq!(after.revision, 2);
    assert_eq!(glance.get(&image.id).await.unwrap(), after);
}

async fn keeps_names_apart_that_look_alike(db: TestDb) {
    let glance = Glance::start(db).await;
    // Case, blanks, composed and decomposed é: MySQL would take some of them for the same.
    let alike = [("foo", "1"), ("Foo", "2"), ("foo ", "3"), (" foo", "4"), ("é", "5"), ("e\u{301}", "6")];
    let image = image_with(&glance, &alike).await;
    assert_eq!(image.properties.len(), 6);
    let after = glance.set(&image.id, &[("Foo", "new")]).await.unwrap();
    assert_eq!((after.properties["foo"].as_str(), after.properties["Foo"].as_str()), ("1", "new"));
    assert_eq!(glance.get(&image.id).await.unwrap().properties, after.properties);
}

async fn keeps_any_text(db: TestDb) {
    let glance = Glance::start(db).await;
    let controls: String = (1..0x20).chain([0x7f, 0x85]).filter_map(char::from_u32).collect();
    let odd = [
        ("quote\"'`", "'; DROP TABLE images; --"),
        ("back\\slash", "\\u0000 \\n %s {} $1 ?"),
        ("json", r#"{"a": [null, "b"]}"#),
        ("null", "null"),
        ("planes", "\u{1}\u{d7ff}\u{e000}\u{fffd}\u{ffff}\u{10000}\u{10ffff}\u{2028}\u{202e}"),
        ("controls", controls.as_str()),
        ("a.b-c:d/e~f", " blank at both ends "),
        ("\u{200b}", "\u{feff}"),
    ];
    let image = image_with(&glance, &odd).await;
    assert_eq!(glance.get(&image.id).await.unwrap().properties, map(&odd));
    assert_eq!(glance.get_at(&image.id, 1).await.unwrap().properties, map(&odd));
    let names: Vec<_> = odd.iter().map(|(name, _)| (*name).to_owned()).collect();
    let request = UpdateImagePropertiesRequest { remove: names, ..setting(&image.id, &[]) };
    assert!(glance.update_properties(request).await.unwrap().properties.is_empty());
}

async fn removes_by_name(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = image_with(&glance, &[("a", "1"), ("b", "2"), ("c", "3")]).await;
    let request = UpdateImagePropertiesRequest {
        remove: vec!["a".to_owned(), "c".to_owned(), "a".to_owned()],
        ..setting(&image.id, &[("d", "4")])
    };
    let after = glance.update_properties(request).await.unwrap();
    assert_eq!(after.properties, map(&[("b", "2"), ("d", "4")]));
    assert_eq!(glance.get(&image.id).await.unwrap(), after);
}

async fn removing_what_is_not_there_is_no_error(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = image_with(&glance, &[("a", "1")]).await;
    let request = UpdateImagePropertiesRequest { remove: vec!["b".to_owned()], ..setting(&image.id, &[]) };
    assert_eq!(glance.update_properties(request).await.unwrap(), image);
}

async fn replaces_the_set_when_told_to_purge(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = image_with(&glance, &[("a", "1"), ("b", "2"), ("c", "3")]).await;
    let purge = UpdateImagePropertiesRequest { purge: true, ..setting(&image.id, &[("b", "2"), ("d", "4")]) };
    let after = glance.update_properties(purge.clone()).await.unwrap();
    assert_eq!(after.properties, map(&[("b", "2"), ("d", "4")]));
    assert_eq!(glance.get(&image.id).await.unwrap(), after);
    assert_eq!(glance.revisions(&image.id).await[0].changes.len(), 3, "b did not change");
    assert_eq!(glance.update_properties(purge).await.unwrap(), after);
}

async fn purges_everything(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = image_with(&glance, &[("a", "1"), ("b", "2")]).await;
    let purge = UpdateImagePropertiesRequest { purge: true, ..setting(&image.id, &[]) };
    assert!(glance.update_properties(purge).await.unwrap().properties.is_empty());
    assert!(glance.get(&image.id).await.unwrap().properties.is_empty());
}

async fn refuses_to_set_and_remove_the_same_name(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = image_with(&glance, &[("a", "1")]).await;
    let request = UpdateImagePropertiesRequest {
        remove: vec!["a".to_owned(), "b".to_owned()],
        ..setting(&image.id, &[("a", "2"), ("b", "2"), ("c", "2")])
    };
    let refused = glance.update_properties(request).await.unwrap_err();
    assert_eq!(fields(&refused), ["remove[\"a\"]", "remove[\"b\"]"]);
    assert_eq!(glance.get(&image.id).await.unwrap(), image);
}

async fn refuses_to_purge_and_remove(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = image_with(&glance, &[("a", "1")]).await;
    let request =
        UpdateImagePropertiesRequest { purge: true, remove: vec!["a".to_owned()], ..setting(&image.id, &[]) };
    let refused = glance.update_properties(request).await.unwrap_err();
    assert_eq!(violations(&refused)[0].0, "remove");
    assert_eq!(glance.get(&image.id).await.unwrap(), image);
}

async fn takes_the_current_etag_only(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = image_with(&glance, &[("a", "1")]).await;
    let with = |etag: &str, value| UpdateImagePropertiesRequest {
        etag: etag.to_owned(),
        ..setting(&image.id, &[("a", value)])
    };
    let after = glance.update_properties(with(&image.etag, "2")).await.unwrap();
    // Also when it would change nothing.
    for value in ["2", "3"] {
        let refused = glance.update_properties(with(&image.etag, value)).await.unwrap_err();
        let metadata = assert_error(&refused, Code::Aborted, "STALE_ETAG");
        assert_eq!((&metadata["etag"], &metadata["given_etag"]), (&after.etag, &image.etag));
    }
    assert_eq!(glance.get(&image.id).await.unwrap(), after);
    assert_eq!(glance.update_properties(with(&after.etag, "3")).await.unwrap().revision, 3);
}

async fn leaves_attributes_and_tags_alone(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = Image { size: Some(1), min_ram: 7, tags: vec!["t".to_owned()], ..named("cirros") };
    let before = glance.create(image).await.unwrap();
    let after = glance.set(&before.id, &[("a", "1")]).await.unwrap();
    let Image { etag, update_time, properties, .. } = after.clone();
    assert_eq!(after, Image { etag, update_time, properties, revision: 2, ..before });
}

async fn does_not_find_what_is_not_there(db: TestDb) {
    let glance = Glance::start(db).await;
    let unknown = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11";
    assert_not_found(&glance.set(unknown, &[("a", "1")]).await.unwrap_err(), unknown);
    assert_not_found(&glance.set(unknown, &[]).await.unwrap_err(), unknown);
    assert_eq!(fields(&glance.set("x", &[("", "1")]).await.unwrap_err()), ["image_id", "set[\"\"]"]);
}
