//! Registering an image.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::support::{Settings, V21, Who, World, id_of};

on_both_databases!(
    a_new_image_has_defaults,
    takes_every_attribute,
    gives_the_place_of_the_image,
    takes_an_id_once,
    an_id_is_never_given_out_again,
    what_is_null_or_empty_is_not_there,
    amazon_formats_go_with_every_other,
    an_owner_that_is_null_is_no_owner,
    whole_numbers_are_written_in_any_form,
    takes_any_text,
    names_with_special_characters_are_found_and_changed,
    names_that_only_grpc_has_fields_of_are_properties,
    who_registers_an_image_owns_it,
    only_operators_give_an_image_away_or_publish_it,
    one_who_may_only_read_registers_nothing,
);

async fn a_new_image_has_defaults(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let mut image = http.create(json!({})).await;
    let id = id_of(&image);
    let created = image["created_at"].as_str().unwrap().to_owned();
    assert!(created.len() == 20 && created.ends_with('Z'), "{created}");
    let shown = image.as_object_mut().unwrap();
    assert_eq!(shown.remove("created_at"), shown.remove("updated_at"));
    let expected = json!({
        "id": id, "name": null, "status": "queued", "visibility": "shared", "owner": "owner",
        "protected": false, "os_hidden": false, "disk_format": null, "container_format": null,
        "min_ram": 0, "min_disk": 0, "size": null, "virtual_size": null, "checksum": null,
        "os_hash_algo": null, "os_hash_value": null, "tags": [],
        "self": format!("/v2/images/{id}"), "file": format!("/v2/images/{id}/file"),
        "schema": "/v2/schemas/image",
    });
    assert_eq!(image, expected);
}

async fn takes_every_attribute(db: TestDb) {
    let http = World::start(db).await.http(Who::ADMIN);
    let given = json!({
        "id": "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11", "name": "cirros", "visibility": "community",
        "owner": "somebody", "protected": true, "os_hidden": true, "disk_format": "qcow2",
        "container_format": "bare", "min_ram": 2_147_483_647, "min_disk": 1, "tags": ["b", "a", "b"],
        "hw_disk_bus": "virtio", "empty": "", "Case": "A", "case": "b",
    });
    let image = http.create(given.clone()).await;
    for (name, value) in given.as_object().unwrap() {
        let expected = if name == "tags" { &json!(["a", "b"]) } else { value };
        assert_eq!(&image[name], expected, "{name}");
    }
    assert_eq!(http.show(&id_of(&image)).await, image);
}

async fn gives_the_place_of_the_image(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let call = http.call("POST", "/v2/images").header("host", "glance:9292").json(&json!({"name": "a"}));
    let answer = call.send().await.is(201);
    let image = answer.json();
    assert_eq!(answer.header("location"), format!("http://glance:9292/v2/images/{}", id_of(&image)));
    let shown = http.get(image["self"].as_str().unwrap()).await.is(200);
    assert_eq!(shown.json(), image);
    assert!(!answer.header("etag").is_empty());
    assert_eq!(shown.header("etag"), answer.header("etag"));
}

async fn takes_an_id_once(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11";
    http.create(json!({"id": id, "name": "mine"})).await;
    for who in [Who::OWNER, Who::STRANGER, Who::ADMIN] {
        let again = world.http(who).post("/v2/images", json!({"id": id, "name": "again"})).await;
        assert_eq!(again.error(409, "IMAGE_ID_TAKEN")["image_id"], id);
    }
    // Upper case is the same id.
    http.post("/v2/images", json!({"id": id.to_uppercase()})).await.error(409, "IMAGE_ID_TAKEN");
    assert_eq!(http.show(id).await["name"], "mine");
    for bad in [
        json!("nonsense"),
        json!(""),
        json!(null),
        json!(1),
        json!(id.replace('-', "")),
        json!(format!(" {id}")),
    ] {
        http.post("/v2/images", json!({"id": bad})).await.violation("id", "must be a UUID");
    }
}

async fn an_id_is_never_given_out_again(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    http.delete(&format!("/v2/images/{id}")).await.is(204);
    http.post("/v2/images", json!({"id": id})).await.error(409, "IMAGE_ID_TAKEN");
}

async fn what_is_null_or_empty_is_not_there(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let image =
        http.create(json!({"name": null, "disk_format": null, "container_format": null, "tags": []})).await;
    assert_eq!((&image["name"], &image["disk_format"]), (&Value::Null, &Value::Null));
    assert_eq!(http.create(json!({"name": ""})).await["name"], Value::Null);
    // A property that is empty is there.
    assert_eq!(http.create(json!({"k": ""})).await["k"], "");
}

async fn amazon_formats_go_with_every_other(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for (disk, container) in [("ami", "bare"), ("aki", "bare"), ("ari", "aki"), ("raw", "ami")] {
        let image = http.create(json!({"disk_format": disk, "container_format": container})).await;
        assert_eq!((&image["disk_format"], &image["container_format"]), (&json!(disk), &json!(container)));
        http.upload(&id_of(&image), "x").await.is(204);
    }
    let image = http.create(json!({"disk_format": "ami"})).await;
    assert_eq!(image["container_format"], Value::Null, "nothing is filled in");
}

async fn an_owner_that_is_null_is_no_owner(db: TestDb) {
    let world = World::start(db).await;
    let image = world.http(Who::ADMIN).create(json!({"name": "a", "owner": null})).await;
    assert_eq!(image["owner"], Value::Null);
    assert_eq!(world.http(Who::ADMIN).show(&id_of(&image)).await["owner"], Value::Null);
    world.http(Who::OWNER).post("/v2/images", json!({"owner": null})).await.error(403, "NOT_PERMITTED");
}

async fn whole_numbers_are_written_in_any_form(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for (text, number) in [("1.0", 1), ("1e3", 1000), ("0.0", 0), ("20.00e1", 200)] {
        let body = format!("{{\"min_disk\": {text}, \"min_ram\": {text}}}");
        let call = http.call("POST", "/v2/images").header("content-type", "application/json").text(&body);
        let image = call.send().await.is(201).json();
        assert_eq!((&image["min_disk"], &image["min_ram"]), (&json!(number), &json!(number)), "{text}");
        let patch = format!("[{{\"op\": \"replace\", \"path\": \"/min_ram\", \"value\": {text}}}]");
        let id = id_of(&image);
        let call = http.call("PATCH", &format!("/v2/images/{id}")).header("content-type", V21).text(&patch);
        assert_eq!(call.send().await.is(200).json()["min_ram"], number);
    }
}

async fn takes_any_text(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for text in
        ["é", "名前", "🦀", "e\u{301}", "\u{200b}", "\u{ffff}", " a b ", "a\"b'c\\d", "<&>", "%41", "${x}"]
    {
        let image = http.create(json!({"name": text, "tags": [text], text: text})).await;
        let shown = http.show(&id_of(&image)).await;
        assert_eq!((&shown["name"], &shown[text]), (&json!(text), &json!(text)));
        assert_eq!(shown["tags"], json!([text]));
    }
    // A property's value may have lines, its name may not.
    assert_eq!(http.create(json!({"k": "a\nb\t"})).await["k"], "a\nb\t");
    http.post("/v2/images", json!({"k": "a\u{0}"}))
        .await
        .violation("properties[\"k\"]", "must not contain NUL");
}

async fn names_with_special_characters_are_found_and_changed(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for (name, pointer, query) in [
        ("a/b", "a~1b", "a%2Fb"),
        ("a~b", "a~0b", "a~b"),
        ("a%20b", "a%20b", "a%2520b"),
        ("a b", "a b", "a+b"),
        ("a&b=c", "a&b=c", "a%26b%3Dc"),
        ("~1", "~01", "~1"),
        ("ключ🗝", "ключ🗝", "%D0%BA%D0%BB%D1%8E%D1%87%F0%9F%97%9D"),
    ] {
        let id = id_of(&http.create(json!({"name": name, name: "v"})).await);
        let change = json!([{"op": "replace", "path": format!("/{pointer}"), "value": "w"}]);
        let image = http.patch(&id, change).await.is(200).json();
        assert_eq!(image[name], "w");
        assert_eq!(http.list(&format!("{query}=w")).await, [name]);
        let removal = json!([{"op": "remove", "path": format!("/{pointer}")}]);
        assert_eq!(http.patch(&id, removal).await.is(200).json().get(name), None);
    }
}

async fn who_registers_an_image_owns_it(db: TestDb) {
    let world = World::start(db).await;
    assert_eq!(world.http(Who::OWNER).create(json!({})).await["owner"], "owner");
    assert_eq!(world.http(Who::OWNER).create(json!({"owner": "owner"})).await["owner"], "owner");
    assert_eq!(world.http(Who::ADMIN).create(json!({})).await["owner"], "ops");
    assert_eq!(world.http(Who::NOBODY).create(json!({})).await["owner"], Value::Null);
}

async fn only_operators_give_an_image_away_or_publish_it(db: TestDb) {
    let world = World::start(db).await;
    let (http, admin) = (world.http(Who::OWNER), world.http(Who::ADMIN));
    for image in [json!({"owner": "stranger"}), json!({"owner": null}), json!({"visibility": "public"})] {
        http.post("/v2/images", image.clone()).await.error(403, "NOT_PERMITTED");
        admin.create(image).await;
    }
    for visibility in ["private", "shared", "community"] {
        assert_eq!(http.create(json!({"visibility": visibility})).await["visibility"], visibility);
    }
    admin.post("/v2/images", json!({"owner": ""})).await.error(400, "INVALID_REQUEST");
    assert_eq!(world.http(Who::STRANGER).list("owner=stranger").await.len(), 1, "it was given to it");
}

async fn one_who_may_only_read_registers_nothing(db: TestDb) {
    let settings = Settings { identity: chassis::caller::Identity::Proxy, ..Settings::default() };
    let world = World::start_with(db, settings).await;
    for who in [Who::READER, Who::new("x", "owner", "observer"), Who::new("x", "", "reader")] {
        world.http(who).post("/v2/images", json!({"name": "a"})).await.error(403, "NOT_PERMITTED");
    }
    // Without roles from the proxy, the caller is a member.
    world.http(Who::new("x", "owner", "")).create(json!({"name": "a"})).await;
    world.http(Who::new("x", "owner", "Manager")).create(json!({"name": "b"})).await;
    assert_eq!(world.http(Who::READER).list("sort=name:asc").await, ["a", "b"]);
}

async fn names_that_only_grpc_has_fields_of_are_properties(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for name in ["properties", "is_public", "revision", "etag", "create_time", "update_time", "members"] {
        let id = id_of(&http.create(json!({"name": "n", name: "abc"})).await);
        assert_eq!(http.show(&id).await[name], "abc");
        assert_eq!(http.list(&format!("{name}=abc")).await.len(), 1, "{name}");
        assert_eq!(http.set(&id, name, json!("def")).await.is(200).json()[name], "def");
        assert_eq!(http.list(&format!("{name}=abc")).await.len(), 0, "{name}");
        let patch = json!([{"op": "remove", "path": format!("/{name}")}]);
        assert_eq!(http.patch(&id, patch).await.is(200).json().get(name), None);
    }
}
