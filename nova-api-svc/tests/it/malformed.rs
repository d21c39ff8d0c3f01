//! Invalid requests.

use std::collections::BTreeMap;

use chassis::{on_both_databases, testing::TestDb};
use proto::nova::v1::{CreateInstanceRequest, DeleteInstanceRequest, GetInstanceRequest};
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::{
    glance::map,
    support::{NOTHING, Nova, assert_error, assert_violation, bad_fields, fields, made_by, of, violations},
};

on_both_databases!(
    everything_malformed_is_told_at_once,
    a_name_has_1_to_255_characters,
    counts_are_within_their_limits,
    at_most_128_items_of_metadata,
    keys_and_values_of_metadata_have_their_limits,
    the_limits_of_metadata_are_allowed,
    many_violations_are_cut_to_what_fits_and_counted,
    ids_of_the_wrong_form_are_told_with_their_field,
    a_caller_is_named_in_visible_ascii,
    sentences_about_long_values_fit_into_headers,
);

async fn everything_malformed_is_told_at_once(db: TestDb) {
    let nova = Nova::start(db).await;
    let request = CreateInstanceRequest {
        name: " \t ".to_owned(),
        image_id: "ubuntu".to_owned(),
        flavor_id: String::new(),
        min_count: -1,
        max_count: 1001,
        kernel_id: "vmlinuz".to_owned(),
        ramdisk_id: "nokernel".to_owned(),
        request_id: "x".repeat(256),
        metadata: map(&[("", "value")]),
        ..CreateInstanceRequest::default()
    };
    let status = nova.create(request).await.unwrap_err();
    let expected = [
        "name",
        "image_id",
        "flavor_id",
        "min_count",
        "max_count",
        "kernel_id",
        "ramdisk_id",
        "request_id",
        "metadata[\"\"]",
    ];
    assert_eq!(fields(&status), expected);
    let values = assert_error(&status, Code::InvalidArgument, "INVALID_REQUEST");
    assert_eq!((&values["violations"], &values["fields"]), ("9", expected.join(", ").as_str()));
    for (field, problem) in violations(&status) {
        assert!(problem.len() > 10, "{field}: {problem}");
    }
    assert_eq!(nova.glance.calls(), []);
    assert_eq!(nova.rows().await, NOTHING);
}

async fn a_name_has_1_to_255_characters(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    for (name, part) in [
        (String::new(), "must not be empty"),
        ("\u{3000}\u{2003}".to_owned(), "must not be empty"),
        ("名".repeat(256), "has 256 characters, at most 255"),
        ("a\0b".to_owned(), "control characters"),
        ("a\nb".to_owned(), "control characters"),
    ] {
        let status = nova.create(CreateInstanceRequest { name, ..of(&image) }).await.unwrap_err();
        assert_violation(&status, "name", part);
    }
    nova.create_one(CreateInstanceRequest { name: format!(" {} ", "名".repeat(255)), ..of(&image) }).await;
}

async fn counts_are_within_their_limits(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    for (min_count, max_count, field, part) in [
        (2, 1, "min_count", "2 must not be more than max_count, 1"),
        (1, 1001, "max_count", "1001 is out of range: 1 to 1000"),
        (0, 1001, "max_count", "1001 is out of range"),
        (-1, 0, "min_count", "-1 is out of range"),
        (1, -1, "max_count", "-1 is out of range"),
        (i32::MIN, 5, "min_count", "is out of range"),
        (1, i32::MAX, "max_count", "is out of range"),
        (1001, 0, "min_count", "1001 is out of range"),
    ] {
        let request = CreateInstanceRequest { min_count, max_count, ..of(&image) };
        assert_violation(&nova.create(request).await.unwrap_err(), field, part);
    }
    let both = CreateInstanceRequest { min_count: 1001, max_count: -1, ..of(&image) };
    assert_eq!(fields(&nova.create(both).await.unwrap_err()), ["min_count", "max_count"]);
    assert_eq!(nova.rows().await, NOTHING);
}

async fn at_most_128_items_of_metadata(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let metadata = (0..129).map(|number| (number.to_string(), String::new())).collect();
    let status = nova.create(CreateInstanceRequest { metadata, ..of(&image) }).await.unwrap_err();
    let values = assert_error(&status, Code::ResourceExhausted, "METADATA_LIMIT_EXCEEDED");
    assert_eq!((&values["attempted"], &values["maximum"]), ("129", "128"));
    let failure = status.get_details_quota_failure().unwrap();
    assert_eq!(failure.violations.len(), 1);
    assert_eq!(failure.violations[0].description, status.message());
    assert_eq!(nova.rows().await, NOTHING);
}

async fn keys_and_values_of_metadata_have_their_limits(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let long = "名".repeat(256);
    for (key, value, part) in [
        ("", "value", "the key must not be empty"),
        (" \t", "value", "the key must not be empty"),
        (long.as_str(), "value", "the key has 256 characters, at most 255"),
        ("a\0b", "value", "the key must not contain control characters"),
        ("key", long.as_str(), "the value has 256 characters, at most 255"),
        ("key", "a\0b", "the value must not contain NUL"),
    ] {
        let metadata = map(&[(key, value), ("fine", "fine")]);
        let status = nova.create(CreateInstanceRequest { metadata, ..of(&image) }).await.unwrap_err();
        let found = violations(&status);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0.starts_with("metadata[\""), "{found:?}");
        assert!(found[0].1.starts_with(part), "{found:?}");
    }
    let metadata = map(&[("", &long), ("both", "\0")]);
    let status = nova.create(CreateInstanceRequest { metadata, ..of(&image) }).await.unwrap_err();
    assert_eq!(fields(&status), ["metadata[\"\"]", "metadata[\"\"]", "metadata[\"both\"]"]);
    assert_eq!(nova.rows().await, NOTHING);
}

async fn the_limits_of_metadata_are_allowed(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let metadata: BTreeMap<_, _> =
        (0..128).map(|number| (format!("{number}{}", "🎉".repeat(252)), "名".repeat(255))).collect();
    let request = CreateInstanceRequest { metadata: metadata.clone(), ..of(&image) };
    let instance = nova.create_one(request).await;
    assert_eq!(instance.metadata, metadata);
    assert_eq!(nova.get(&instance.id).await.unwrap().metadata, metadata);
}

async fn many_violations_are_cut_to_what_fits_and_counted(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let metadata = (0..128).map(|number| (format!("key {number}"), "\0".repeat(300))).collect();
    let status = nova.create(CreateInstanceRequest { metadata, ..of(&image) }).await.unwrap_err();
    let values = assert_error(&status, Code::InvalidArgument, "INVALID_REQUEST");
    assert_eq!(&values["violations"], "256");
    let listed = violations(&status);
    let (last, listed) = listed.split_last().unwrap();
    assert_eq!(last.1, format!("and {} more violations; correct these first", 256 - listed.len()));
    assert!(!listed.is_empty());
    assert!(header_bytes(&status) < 8192, "{} bytes of headers", header_bytes(&status));
}

async fn ids_of_the_wrong_form_are_told_with_their_field(db: TestDb) {
    let nova = Nova::start(db).await;
    let plain = "6e1f4a525c5f4c399d0c6f7d0a3a4f11";
    let braced = "{6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11}";
    for id in ["", "1", plain, braced, "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f1g", "' OR 1=1 --", "é\0"] {
        let id = id.to_owned();
        let get = GetInstanceRequest { id: id.clone() };
        assert_violation(&nova.instances().get_instance(get).await.unwrap_err(), "id", "must be a UUID");
        let delete = DeleteInstanceRequest { id: id.clone(), ..Default::default() };
        assert_violation(
            &nova.instances().delete_instance(delete).await.unwrap_err(),
            "id",
            "must be a UUID",
        );
        let create = CreateInstanceRequest { image_id: id, ..of(&proto::glance::v1::Image::default()) };
        assert_violation(&nova.create(create).await.unwrap_err(), "image_id", "must be a UUID");
    }
}

async fn a_caller_is_named_in_visible_ascii(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let long = "x".repeat(256);
    let status = nova.create(made_by(&long, &long, of(&image))).await.unwrap_err();
    assert_eq!(fields(&status), ["x-user-id", "x-project-id"]);
    let mut request = Request::new(of(&image));
    let value = tonic::metadata::MetadataValue::try_from("größe".as_bytes()).unwrap();
    request.metadata_mut().insert("x-project-id", value);
    assert_violation(&nova.create(request).await.unwrap_err(), "x-project-id", "must be visible ASCII");
    let longest = "x".repeat(255);
    let created = nova.create(made_by(&longest, &longest, of(&image))).await.unwrap();
    assert_eq!(created.instances[0].project_id, longest);
}

/// Many clients accept 8 KiB of headers, and a status travels in them.
async fn sentences_about_long_values_fit_into_headers(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    // Not printable, so that its escape has ten characters, two of which are escaped again in a header.
    let widest = "\u{10ffff}".repeat(255);
    let flavor_id = widest.clone();
    let status = nova.create(CreateInstanceRequest { flavor_id, ..of(&image) }).await.unwrap_err();
    assert_error(&status, Code::InvalidArgument, "FLAVOR_NOT_FOUND");
    assert_eq!(bad_fields(&status)[0].0, "flavor_id");
    assert!(header_bytes(&status) < 8192, "flavor: {} bytes of headers", header_bytes(&status));

    let request = CreateInstanceRequest { request_id: widest.clone(), ..of(&image) };
    nova.create(request.clone()).await.unwrap();
    let other = CreateInstanceRequest { name: "other".to_owned(), ..request };
    let status = nova.create(other).await.unwrap_err();
    assert_error(&status, Code::AlreadyExists, "REQUEST_ID_TAKEN");
    assert!(header_bytes(&status) < 8192, "request id: {} bytes of headers", header_bytes(&status));

    let flavor = nova.flavor(&widest, 1, 1, 1).await;
    let request = proto::nova::v1::CreateFlavorRequest { flavor: Some(flavor) };
    let status = nova.flavors().create_flavor(request).await.unwrap_err();
    assert_error(&status, Code::AlreadyExists, "FLAVOR_EXISTS");
    assert!(header_bytes(&status) < 8192, "taken: {} bytes of headers", header_bytes(&status));
}

/// How large message and details of a status are on the wire.
fn header_bytes(status: &tonic::Status) -> usize {
    let headers = status.clone().into_http::<()>().into_parts().0.headers;
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}
