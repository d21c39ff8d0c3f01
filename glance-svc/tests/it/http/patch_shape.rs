//! What a patch looks like: its media type, its operations.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::json;

use super::patch::{image, older};
use crate::support::{V20, V21, Who, World, id_of};

on_both_databases!(
    refuses_other_media_types,
    refuses_a_patch_of_the_wrong_shape,
    refuses_other_operations,
    a_patch_may_be_long
);

async fn refuses_other_media_types(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = id_of(&image(&http).await);
    let path = format!("/v2/images/{id}");
    for kind in
        ["application/json", "application/json-patch+json", "text/plain", "", &V21.replace("2.1", "2.2")]
    {
        let answer = http.call("PATCH", &path).header("content-type", kind).text("[]").send().await;
        let metadata = answer.error(415, "UNSUPPORTED_MEDIA_TYPE");
        assert_eq!(
            (&metadata["given"], answer.header("accept-patch")),
            (&json!(kind), &*format!("{V20}, {V21}"))
        );
    }
    http.call("PATCH", &path).text("[]").send().await.error(415, "UNSUPPORTED_MEDIA_TYPE");
    for kind in [V20, V21, &V21.to_uppercase(), &format!("{V21}; charset=utf-8"), &format!("{V20};a=b")] {
        http.call("PATCH", &path).header("content-type", kind).text("[]").send().await.is(200);
    }
}

async fn refuses_a_patch_of_the_wrong_shape(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = id_of(&image(&http).await);
    for body in
        [json!({}), json!("x"), json!(1), json!(null), json!({"op": "add", "path": "/k", "value": "v"})]
    {
        http.patch(&id, body).await.violation("body", "must be a list of operations");
    }
    for (operation, field, part) in [
        (json!(1), "[0]", "must be an object"),
        (json!([]), "[0]", "must be an object"),
        (json!({}), "[0]", "must name one of the operations add, remove, replace"),
        (json!({"op": "add", "value": "v"}), "[0]", "must have a path"),
        (json!({"op": "add", "path": 1, "value": "v"}), "[0]", "must have a path"),
        (json!({"op": "add", "path": ["k"], "value": "v"}), "[0]", "must have a path"),
        (json!({"op": "add", "path": "/k"}), "k", "has no value"),
        (json!({"op": "replace", "path": "/name"}), "name", "has no value"),
    ] {
        http.patch(&id, json!([operation])).await.violation(field, part);
    }
    let all = json!([1, {"op": "add", "path": "/k", "value": 1}, {"op": "add", "path": "/ok", "value": "v"}, {"op": "x"}]);
    let refused = http.patch(&id, all).await;
    let fields: Vec<_> = refused.violations().into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["[0]", "k", "[3]"]);
    assert_eq!(refused.error(400, "INVALID_REQUEST")["operations"], "0, 1, 3");
    let both = json!([{"add": "/new", "remove": "/k", "value": "v"}]);
    older(&http, &id, both).await.violation("[0]", "and no two");
}

async fn refuses_other_operations(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = id_of(&image(&http).await);
    for verb in [json!("test"), json!("move"), json!("copy"), json!("ADD"), json!(""), json!(1), json!(null)]
    {
        let patch = json!([{"op": verb, "path": "/k", "from": "/l", "value": "v"}]);
        http.patch(&id, patch).await.violation("[0]", "must name one of the operations");
    }
    // Each format has its own members.
    http.patch(&id, json!([{"add": "/new", "value": "v"}])).await.violation("[0]", "must name one of");
    older(&http, &id, json!([{"op": "add", "path": "/new", "value": "v"}]))
        .await
        .violation("[0]", "must name one of");
}

async fn a_patch_may_be_long(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = id_of(&image(&http).await);
    let patch: Vec<_> = (0..2000)
        .map(
            |number| json!({"op": "add", "path": format!("/p{}", number % 100), "value": number.to_string()}),
        )
        .collect();
    let changed = http.patch(&id, json!(patch)).await.is(200).json();
    assert_eq!((&changed["p0"], &changed["p99"]), (&json!("1900"), &json!("1999")));
    assert_eq!(world.get(&id).await.unwrap().revision, 2);
}
