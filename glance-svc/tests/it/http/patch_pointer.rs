//! What the path of a patch's operation names.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::json;

use crate::support::{Who, World, id_of};

on_both_databases!(
    escapes_stand_for_what_they_escape,
    blanks_around_a_name_are_no_part_of_it,
    refuses_what_names_nothing,
    any_other_name_is_a_property,
    names_of_any_script_are_properties,
);

async fn escapes_stand_for_what_they_escape(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    for (pointer, name) in [
        ("/a~1b", "a/b"),
        ("/a~0b", "a~b"),
        ("/~1", "/"),
        ("/~0", "~"),
        ("/~01", "~1"),
        ("/~00", "~0"),
        ("/~0~1~1~0", "~//~"),
        ("/a%2Fb", "a%2Fb"),
        ("/0", "0"),
        ("/-", "-"),
    ] {
        let added =
            http.patch(&id, json!([{"op": "add", "path": pointer, "value": "v"}])).await.is(200).json();
        assert_eq!(added[name], "v", "{pointer}");
        let removed = http.patch(&id, json!([{"op": "remove", "path": pointer}])).await.is(200).json();
        assert_eq!(removed.get(name), None, "{pointer}");
    }
}

async fn blanks_around_a_name_are_no_part_of_it(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = id_of(&http.create(json!({"k": "v"})).await);
    for pointer in ["/ k", "/k ", "/ k "] {
        let changed = http.patch(&id, json!([{"op": "replace", "path": pointer, "value": pointer}])).await;
        assert_eq!(changed.is(200).json()["k"], pointer);
    }
    let named = http.patch(&id, json!([{"op": "replace", "path": "/ name ", "value": "other"}])).await;
    assert_eq!(named.is(200).json()["name"], "other");
    let refused = http.patch(&id, json!([{"op": "replace", "path": "/ status ", "value": "active"}])).await;
    refused.error(403, "ATTRIBUTE_READ_ONLY");
}

async fn refuses_what_names_nothing(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = id_of(&http.create(json!({"k": "v", "a": "b"})).await);
    for (pointer, part) in [
        ("k", "must start with /"),
        ("", "must start with /"),
        (" /k", "must start with /"),
        ("/", "names nothing"),
        ("/ ", "names nothing"),
        ("//", "is no attribute or property"),
        ("/k/", "is no attribute or property"),
        ("//k", "is no attribute or property"),
        ("/a/b", "is no attribute or property"),
        ("/tags/0", "is no attribute or property"),
        ("/tags/-", "is no attribute or property"),
        ("/a~", "has a ~ that is neither"),
        ("/a~2", "has a ~ that is neither"),
        ("/~ 1", "has a ~ that is neither"),
    ] {
        for operation in ["add", "replace", "remove"] {
            let patch = json!([{"op": operation, "path": pointer, "value": "v"}]);
            http.patch(&id, patch).await.violation("[0].path", part);
        }
    }
}

async fn any_other_name_is_a_property(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    // Names that Glance loses or chokes on, because its images have attributes of these names.
    for name in
        ["delete", "base", "extra_properties", "image_id", "get_data", "__class__", "member", "toString"]
    {
        let added = http.set(&id, name, json!("v")).await.is(200).json();
        assert_eq!(added[name], "v");
        assert_eq!(http.list(&format!("{name}=v")).await, ["cirros"]);
        http.patch(&id, json!([{"op": "remove", "path": format!("/{name}")}])).await.is(200);
    }
}

async fn names_of_any_script_are_properties(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    for name in ["é", "ключ", "名前", "🦀", "a b", "trait:HW_CPU_X86_AVX", "a.b-c_d", "<b>", "Name", "STATUS"]
    {
        assert_eq!(http.set(&id, name, json!("v")).await.is(200).json()[name], "v", "{name}");
    }
    for bad in ["a\nb", "a\u{0}", "\u{7f}", "x\u{85}y"] {
        let (field, problem) = http.set(&id, bad, json!("v")).await.violations().remove(0);
        assert!(field.starts_with("properties["), "{field}");
        assert!(problem.contains("must not contain control characters"), "{problem}");
    }
    let long = "x".repeat(256);
    let (_, problem) = http.set(&id, &long, json!("v")).await.violations().remove(0);
    assert!(problem.contains("has 256 characters"), "{problem}");
    http.set(&id, &long[1..], json!("v")).await.is(200);
}
