//! Images that are not registered.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::support::{Http, READ_ONLY, Who, World};

on_both_databases!(
    tells_every_violation_at_once,
    refuses_values_of_the_wrong_type,
    refuses_values_out_of_range,
    refuses_unknown_formats_and_visibilities,
    refuses_what_only_the_service_sets,
    a_property_is_a_string,
    names_and_tags_have_no_control_characters,
);

/// Sends a request that is refused, and checks that nothing was created.
async fn refused(http: &Http, image: Value) -> crate::support::Answer {
    let answer = http.post("/v2/images", image).await;
    assert!(answer.status >= 400, "{}", answer.text());
    answer
}

async fn tells_every_violation_at_once(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let image = json!({
        "id": "nonsense", "name": 1, "visibility": "all", "protected": "true", "os_hidden": 1,
        "disk_format": "nonsense", "container_format": 1, "min_ram": -1, "min_disk": "1", "tags": "a",
        "k": 1, "l": null, "m": {},
    });
    let mut fields: Vec<_> =
        refused(&http, image).await.violations().into_iter().map(|(field, _)| field).collect();
    fields.sort_unstable();
    let expected = [
        "container_format",
        "disk_format",
        "id",
        "k",
        "l",
        "m",
        "min_disk",
        "min_ram",
        "name",
        "os_hidden",
        "protected",
        "tags",
        "visibility",
    ];
    assert_eq!(fields, expected);
    assert_eq!(http.list("visibility=all").await.len(), 0);
}

async fn refuses_values_of_the_wrong_type(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for (name, values, part) in [
        ("name", json!([1, true, [], {}]), "must be a string, or null"),
        ("owner", json!([1, [], {}]), "must be a string, or null"),
        ("disk_format", json!([1, [], true]), "must be a string, or null"),
        ("protected", json!(["true", 0, 1, null]), "must be true or false"),
        ("os_hidden", json!(["true", 0, 1, null]), "must be true or false"),
        ("min_ram", json!(["1", 1.5, null, true, [], {}]), "must be an integer"),
        ("min_disk", json!(["1", 1.5, null, true, [], {}]), "must be an integer"),
        ("tags", json!(["a", null, 1, {}, [1], ["a", null]]), "must be a list of strings"),
        ("visibility", json!([null, 1, "", "all", "Public"]), "must be public, private, shared or community"),
    ] {
        for value in values.as_array().unwrap() {
            refused(&http, json!({name: value})).await.violation(name, part);
        }
    }
}

async fn refuses_values_out_of_range(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for name in ["min_ram", "min_disk"] {
        for value in [json!(-1), json!(2_147_483_648_u64), json!(i64::MIN), json!(i64::MAX), json!(u64::MAX)]
        {
            refused(&http, json!({name: value})).await.violation(name, "is out of range");
        }
        refused(&http, serde_json::from_str(&format!("{{\"{name}\": 1e30}}")).unwrap())
            .await
            .violation(name, "is out of range");
        for value in [0, 2_147_483_647] {
            assert_eq!(http.create(json!({name: value})).await[name], value);
        }
    }
}

async fn refuses_unknown_formats_and_visibilities(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for (name, unknown) in
        [("disk_format", ["nonsense", "RAW", " raw"]), ("container_format", ["nonsense", "Bare", "raw"])]
    {
        for value in unknown {
            refused(&http, json!({name: value})).await.violation(name, "is unknown; allowed: a");
        }
        refused(&http, json!({name: ""})).await.violation(name, "must be a known format, or null");
    }
    for format in ["ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"] {
        http.create(json!({"disk_format": format})).await;
    }
    for format in ["ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"] {
        http.create(json!({"container_format": format})).await;
    }
}

async fn refuses_what_only_the_service_sets(db: TestDb) {
    let http = World::start(db).await.http(Who::ADMIN);
    for name in READ_ONLY {
        for value in [json!("x"), json!(1), json!(null)] {
            let metadata = refused(&http, json!({name: value})).await.error(403, "ATTRIBUTE_READ_ONLY");
            assert_eq!(metadata["attributes"], name);
        }
    }
    let several = refused(&http, json!({"size": 1, "name": "a", "checksum": "x"})).await;
    assert_eq!(several.error(403, "ATTRIBUTE_READ_ONLY")["attributes"], "checksum, size");
    // What is always invalid is reported first, as in a patch.
    let faulty = json!({"size": 1, "min_disk": "x", "name": "x".repeat(256)});
    assert_eq!(refused(&http, faulty).await.error(400, "INVALID_REQUEST")["fields"], "min_disk, name");
    assert_eq!(http.list("visibility=all").await.len(), 0);
}

async fn a_property_is_a_string(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for value in [json!(1), json!(1.5), json!(true), json!(null), json!(["a"]), json!({"a": "b"})] {
        refused(&http, json!({"k": value})).await.violation("k", "must be a string");
    }
    refused(&http, json!({"": "v"})).await.violation("properties[\"\"]", "the name is empty");
}

async fn names_and_tags_have_no_control_characters(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let part = "must not contain control characters";
    for text in ["a\nb", "a\u{0}", "\u{7f}", "a\u{85}"] {
        refused(&http, json!({"name": text})).await.violation("name", part);
        let tag = refused(&http, json!({"tags": [text]})).await.violations().remove(0);
        assert!(tag.0.starts_with("tags[") && tag.1.contains(part), "{tag:?}");
        let name = refused(&http, json!({text: "v"})).await.violations().remove(0);
        assert!(name.0.starts_with("properties[") && name.1.contains(part), "{name:?}");
    }
    for tag in ["", " "] {
        refused(&http, json!({"tags": [tag]})).await.violations();
    }
}
