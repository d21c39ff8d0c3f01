//! Schemas: what the command-line clients build their models from.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::json;

use crate::support::{Who, World};

on_both_databases!(an_image_is_what_its_schema_says, lists_have_schemas, a_member_is_what_its_schema_says);

async fn an_image_is_what_its_schema_says(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let schema = http.get("/v2/schemas/image").await.is(200).json();
    assert_eq!(schema["name"], "image");
    assert_eq!(schema["additionalProperties"], json!({"type": "string"}));
    let properties = schema["properties"].as_object().unwrap();
    let image = http.create(json!({"name": "cirros"})).await;
    for name in image.as_object().unwrap().keys() {
        assert!(properties.contains_key(name), "{name} is not in the schema");
    }
    for read_only in ["status", "size", "checksum", "os_hash_value", "created_at", "self", "file", "schema"] {
        assert_eq!(properties[read_only]["readOnly"], json!(true), "{read_only}");
    }
    for settable in ["id", "name", "visibility", "protected", "os_hidden", "tags", "min_ram", "disk_format"] {
        assert_eq!(properties[settable].get("readOnly"), None, "{settable}");
    }
    assert_eq!(properties["name"]["maxLength"], 255);
    let formats = properties["disk_format"]["enum"].as_array().unwrap();
    assert!(formats.contains(&json!(null)) && formats.contains(&json!("qcow2")), "{formats:?}");
    let rels: Vec<_> = schema["links"].as_array().unwrap().iter().map(|link| &link["rel"]).collect();
    assert_eq!(rels, ["self", "enclosure", "describedby"]);
}

async fn lists_have_schemas(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for (list, item) in [("images", "image"), ("members", "member"), ("tasks", "task")] {
        let schema = http.get(&format!("/v2/schemas/{list}")).await.is(200).json();
        assert_eq!(schema["name"], list);
        let item = http.get(&format!("/v2/schemas/{item}")).await.is(200).json();
        assert_eq!(schema["properties"][list]["items"], item, "{list}");
        let paged = schema["properties"].get("next").is_some();
        assert_eq!(paged, list != "members", "{list}");
    }
    for name in ["nonsense", "Image", "image%00"] {
        http.get(&format!("/v2/schemas/{name}")).await.error(404, "METHOD_NOT_FOUND");
    }
}

async fn a_member_is_what_its_schema_says(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let members = format!("/v2/images/{}/members", http.queued().await);
    let member = http.post(&members, json!({"member": "p"})).await.is(200).json();
    let schema = http.get("/v2/schemas/member").await.is(200).json();
    let mut described: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
    let mut shown: Vec<_> = member.as_object().unwrap().keys().collect();
    described.sort_unstable();
    shown.sort_unstable();
    assert_eq!(shown, described);
    assert_eq!(schema["properties"]["status"]["enum"], json!(["pending", "accepted", "rejected"]));
}
