//! What a property may be, and how many of them there may be.

use std::collections::BTreeMap;

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{
    Image, ListImageRevisionsRequest, UpdateImagePropertiesRequest, image_change::Subject,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{
    Glance, assert_error, assert_violation, fields, header_bytes, named, setting, violations,
};

on_both_databases!(
    refuses_bad_names,
    refuses_bad_values,
    takes_the_longest_names_and_values,
    takes_names_that_are_almost_reserved,
    lists_what_fits_of_many_violations,
    takes_as_many_as_the_quota_allows,
    what_a_service_adds_is_outside_the_quota,
    refuses_only_growth_above_the_quota,
    counts_the_replacement_when_it_purges,
    limits_the_bytes_of_all_properties,
    a_change_of_all_bytes_stays_readable,
    a_negative_quota_allows_any_number,
);

async fn refuses_bad_names(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.named("cirros").await.id;
    let long = "é".repeat(256);
    let bad = [
        "",
        &long,
        "a\0b",
        "a\nb",
        "\u{1b}[31m",
        "a\u{7f}",
        "a\u{85}",
        "id",
        "name",
        "status",
        "visibility",
        "owner",
        "protected",
        "disk_format",
        "container_format",
        "min_ram",
        "min_disk",
        "size",
        "checksum",
        "tags",
        "created_at",
        "updated_at",
        "deleted",
        "deleted_at",
        "location",
        "locations",
        "direct_url",
        "self",
        "file",
        "schema",
        "virtual_size",
        "os_hash_algo",
        "os_hash_value",
        "os_hidden",
        "stores",
        "os_glance",
        "os_glance_x",
        "os_glance.y",
    ];
    for name in bad {
        let properties = BTreeMap::from([(name.to_owned(), "x".to_owned()), ("good".into(), "x".into())]);
        let created = glance.create(Image { properties, ..named("cirros") }).await.unwrap_err();
        assert_named(&created, "image.properties[\"", name);
        assert_named(&glance.set(&id, &[(name, "x"), ("good", "x")]).await.unwrap_err(), "set[\"", name);
    }
    assert_eq!(glance.get(&id).await.unwrap().revision, 1);
}

/// Checks that the one violation names the property, or as much of its name as is shown.
#[track_caller]
fn assert_named(refused: &tonic::Status, prefix: &str, name: &str) {
    let found = fields(refused);
    assert_eq!(found.len(), 1, "{found:?}");
    let shown: String = name.chars().take(40).collect();
    assert!(found[0].starts_with(&format!("{prefix}{}", shown.escape_debug())), "{name:?}: {found:?}");
    assert!(!found[0].chars().any(char::is_control), "{found:?}");
}

async fn refuses_bad_values(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.named("cirros").await.id;
    let refused = glance.set(&id, &[("a", &"x".repeat(65_536)), ("b", "x\0")]).await.unwrap_err();
    let found = violations(&refused);
    assert_eq!(
        found[0],
        ("set[\"a\"]".into(), "the value has 65536 bytes, at most 65535 are allowed".into())
    );
    assert_eq!(found[1], ("set[\"b\"]".into(), "the value must not contain NUL".into()));
    let properties = BTreeMap::from([("a".to_owned(), "é".repeat(32_768))]);
    let refused = glance.create(Image { properties, ..named("cirros") }).await.unwrap_err();
    assert_violation(&refused, "image.properties[\"a\"]", "65536 bytes");
}

async fn takes_the_longest_names_and_values(db: TestDb) {
    let glance = Glance::start(db).await;
    // Index entries hold both: the widest characters, and nothing that a database could compress.
    let wide: String = (0..255).filter_map(|number| char::from_u32(0x20000 + number * 167)).collect();
    assert_eq!(wide.len(), 1020);
    let ascii = "n".repeat(255);
    let (long, wide_value) = ("x".repeat(65_535), format!("{wide}{}", "é".repeat(30_000)));
    let pairs = [(ascii.as_str(), long.as_str()), (wide.as_str(), wide_value.as_str()), ("empty", "")];
    let properties = setting("", &pairs).set;
    let image = Image { properties, tags: vec![wide.clone()], owner: wide.clone(), ..named(&wide) };
    let created = glance.create(image.clone()).await.unwrap();
    assert_eq!(created.properties, image.properties);
    assert_eq!(glance.get(&created.id).await.unwrap(), created);
    assert_eq!(glance.get_at(&created.id, 1).await.unwrap(), created);
}

async fn takes_names_that_are_almost_reserved(db: TestDb) {
    let glance = Glance::start(db).await;
    let pairs = [
        ("kernel_id", "x"),
        ("ramdisk_id", "x"),
        ("base_image_ref", "x"),
        ("Status", "x"),
        ("os_glanc", "x"),
        ("OS_GLANCE", "x"),
        ("status ", "x"),
        (" ", "x"),
        ("hw_scsi_model", "x"),
        ("min-ram", "x"),
        ("properties", "x"),
        ("is_public", "x"),
        ("revision", "x"),
        ("etag", "x"),
        ("create_time", "x"),
        ("update_time", "x"),
        ("members", "x"),
    ];
    let id = glance.named("cirros").await.id;
    let changed = glance.set(&id, &pairs).await.unwrap();
    assert_eq!(changed.properties, setting("", &pairs).set);
    assert_eq!((changed.revision, glance.get(&id).await.unwrap()), (2, changed.clone()));
    for (name, _) in pairs {
        assert_eq!(glance.find(&format!("properties.\"{name}\" = x")).await, ["cirros"], "{name}");
    }
    for change in glance.revisions(&id).await.remove(0).changes {
        assert!(matches!(change.subject, Some(Subject::Property(_))), "{change:?}");
    }
}

async fn what_a_service_adds_is_outside_the_quota(db: TestDb) {
    let glance = Glance::start(db).await;
    let long = "é".repeat(255);
    let added = [
        ("base_image_ref", long.as_str()),
        ("image_type", "snapshot"),
        ("instance_uuid", "i"),
        ("kernel_id", "k"),
        ("owner_id", &long),
        ("ramdisk_id", "r"),
        ("user_id", &long),
    ];
    for most in [numbered(128), weighing(1_572_864, 'x')] {
        let mut properties = most;
        let full = glance.create(Image { properties: properties.clone(), ..named("full") }).await.unwrap();
        let grown = glance.set(&full.id, &added).await.unwrap();
        properties.extend(setting("", &added).set);
        assert_eq!(grown.properties, properties);
        let whole =
            glance.create(Image { properties: properties.clone(), ..named("snapshot") }).await.unwrap();
        assert_eq!(whole.properties, properties);
        let refused = glance.set(&full.id, &[("kernel_id", &"é".repeat(256))]).await.unwrap_err();
        assert_error(&refused, Code::ResourceExhausted, "IMAGE_QUOTA_EXCEEDED");
    }
}

async fn lists_what_fits_of_many_violations(db: TestDb) {
    let glance = Glance::start(db).await;
    for character in ["x", "é", "🦀", "\u{1}"] {
        let properties: BTreeMap<_, _> = (0..200)
            .map(|number| (format!("{number:03}{}", character.repeat(297)), "a\0".to_owned()))
            .collect();
        let refused = glance.create(Image { properties, ..named("cirros") }).await.unwrap_err();
        let found = violations(&refused);
        assert!(found.len() > 3, "{found:?}");
        let metadata = assert_error(&refused, Code::InvalidArgument, "INVALID_REQUEST");
        assert_eq!(metadata["violations"], "400");
        let (field, rest) = found.last().unwrap();
        assert_eq!(
            (field.as_str(), rest),
            ("…", &format!("and {} more violations; correct these first", 401 - found.len()))
        );
        assert!(header_bytes(&refused) < 8 * 1024, "{} bytes of headers", header_bytes(&refused));
    }
}

fn numbered(count: usize) -> BTreeMap<String, String> {
    (0..count).map(|number| (format!("k{number}"), "v".to_owned())).collect()
}

#[track_caller]
fn assert_quota(refused: &tonic::Status, attempted: &str, maximum: &str) {
    let metadata = assert_error(refused, Code::ResourceExhausted, "IMAGE_QUOTA_EXCEEDED");
    assert_eq!((metadata["attempted"].as_str(), metadata["maximum"].as_str()), (attempted, maximum));
    assert_eq!(metadata["resource"], "properties");
    assert_eq!(refused.get_details_quota_failure().unwrap().violations[0].subject, "image properties");
}

async fn takes_as_many_as_the_quota_allows(db: TestDb) {
    let glance = Glance::start(db).await;
    let refused = glance.create(Image { properties: numbered(129), ..named("cirros") }).await.unwrap_err();
    assert_quota(&refused, "129", "128");
    let full = glance.create(Image { properties: numbered(128), ..named("cirros") }).await.unwrap();
    assert_eq!(full.properties.len(), 128);
    assert_quota(&glance.set(&full.id, &[("one more", "")]).await.unwrap_err(), "129", "128");
    assert_eq!(glance.get(&full.id).await.unwrap(), full);
    assert_eq!(glance.set(&full.id, &[("k0", "changed")]).await.unwrap().properties.len(), 128);
}

async fn refuses_only_growth_above_the_quota(db: TestDb) {
    let glance = Glance::start_with_quota(db, 10).await;
    let image = glance.create(Image { properties: numbered(5), ..named("cirros") }).await.unwrap();
    let mut small = glance.beside(2).await;
    let mut update = async |set: &[(&str, &str)], remove: &[&str]| {
        let remove = remove.iter().map(|name| (*name).to_owned()).collect();
        let request = UpdateImagePropertiesRequest { remove, ..setting(&image.id, set) };
        small.update_image_properties(request).await.map(|answer| answer.into_inner().properties.len())
    };
    assert_quota(&update(&[("new", "")], &[]).await.unwrap_err(), "6", "2");
    assert_eq!(update(&[("k0", "changed")], &[]).await.unwrap(), 5);
    assert_eq!(update(&[("swapped", "")], &["k0"]).await.unwrap(), 5);
    assert_quota(&update(&[("a", ""), ("b", "")], &["k1"]).await.unwrap_err(), "6", "2");
    assert_eq!(update(&[], &["k1", "k2", "k3", "k4"]).await.unwrap(), 1);
    assert_eq!(update(&[("second", "")], &[]).await.unwrap(), 2);
    assert_quota(&update(&[("third", "")], &[]).await.unwrap_err(), "3", "2");
}

async fn counts_the_replacement_when_it_purges(db: TestDb) {
    let glance = Glance::start_with_quota(db, 3).await;
    let image = glance.create(Image { properties: numbered(2), ..named("cirros") }).await.unwrap();
    let purge =
        |set: &[(&str, &str)]| UpdateImagePropertiesRequest { purge: true, ..setting(&image.id, set) };
    let four = [("a", ""), ("b", ""), ("c", ""), ("d", "")];
    assert_quota(&glance.update_properties(purge(&four)).await.unwrap_err(), "4", "3");
    assert_eq!(glance.get(&image.id).await.unwrap(), image);
    assert_eq!(glance.update_properties(purge(&four[..3])).await.unwrap().properties.len(), 3);
}

/// Properties of exactly `bytes` bytes, names and values together.
fn weighing(bytes: usize, character: char) -> BTreeMap<String, String> {
    const LONGEST: usize = 65_535;
    let value = |size: usize| character.to_string().repeat(size);
    let full = bytes / (LONGEST + 3);
    let mut properties: BTreeMap<_, _> =
        (0..full).map(|number| (format!("k{number:02}"), value(LONGEST))).collect();
    properties.insert("end".to_owned(), value(bytes - full * (LONGEST + 3) - 3));
    properties
}

async fn limits_the_bytes_of_all_properties(db: TestDb) {
    let glance = Glance::start(db).await;
    let most = 1_572_864;
    let more = Image { properties: weighing(most + 1, 'x'), ..named("cirros") };
    let refused = glance.create(more).await.unwrap_err();
    let metadata = assert_error(&refused, Code::ResourceExhausted, "IMAGE_QUOTA_EXCEEDED");
    assert_eq!(metadata["resource"], "bytes of properties");
    assert_eq!([&metadata["attempted"], &metadata["maximum"]], ["1572865", "1572864"]);
    let full = glance.create(Image { properties: weighing(most, 'x'), ..named("cirros") }).await.unwrap();
    let refused = glance.set(&full.id, &[("a", "")]).await.unwrap_err();
    assert_error(&refused, Code::ResourceExhausted, "IMAGE_QUOTA_EXCEEDED");
    assert_eq!(glance.get(&full.id).await.unwrap(), full);
    assert_eq!(glance.set(&full.id, &[("k00", "short"), ("a", "")]).await.unwrap().revision, 2);
}

async fn a_change_of_all_bytes_stays_readable(db: TestDb) {
    let glance = Glance::start(db).await;
    let most = 1_572_864;
    let image = Image { properties: weighing(most, 'x'), ..named("cirros") };
    let id = glance.create(image).await.unwrap().id;
    let set = weighing(most, 'y');
    let request = UpdateImagePropertiesRequest { set, ..setting(&id, &[]) };
    let changed = glance.update_properties(request).await.unwrap();
    assert_eq!(glance.get(&id).await.unwrap(), changed);
    assert_eq!(glance.get_at(&id, 2).await.unwrap(), changed);
    let request = ListImageRevisionsRequest { image_id: id, page_size: 1, ..Default::default() };
    let page = glance.client.clone().list_image_revisions(request).await.unwrap().into_inner();
    assert_eq!(page.revisions[0].changes.len(), changed.properties.len());
}

async fn a_negative_quota_allows_any_number(db: TestDb) {
    let glance = Glance::start_with_quota(db, -1).await;
    let image = glance.create(Image { properties: numbered(25_000), ..named("cirros") }).await.unwrap();
    assert_eq!(image.properties.len(), 25_000);
    let set = numbered(25_000).into_keys().map(|name| (name, "changed".to_owned())).collect();
    let request = UpdateImagePropertiesRequest { set, ..setting(&image.id, &[]) };
    assert_eq!(glance.update_properties(request).await.unwrap().properties["k7"], "changed");
    let request = UpdateImagePropertiesRequest { purge: true, ..setting(&image.id, &[("only", "")]) };
    glance.update_properties(request).await.unwrap();
    assert_eq!(glance.get(&image.id).await.unwrap().properties.len(), 1);
}
