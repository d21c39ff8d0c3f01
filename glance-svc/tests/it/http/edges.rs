//! Two edges, one image: what is written over one is read over the other, and history records who did it.

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{
    GetImageRequest, Image,
    image::Visibility,
    image_change::Subject::{Attribute, Property},
    image_revision::Action,
};
use serde_json::json;
use tonic::Code;

use crate::support::{Who, World, change_of, id_of, image_path, named};

on_both_databases!(
    what_http_writes_grpc_reads,
    what_grpc_writes_http_reads,
    history_names_who_came_over_http,
    a_patch_is_one_revision,
    every_revision_can_be_read_again,
    a_token_for_development_names_the_caller,
    http_2_does_the_same,
);

async fn what_http_writes_grpc_reads(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let given = json!({
        "name": "cirros", "visibility": "community", "protected": true, "os_hidden": true, "min_ram": 64,
        "min_disk": 1, "disk_format": "qcow2", "container_format": "bare", "tags": ["b", "a"], "k": "v", "é/": "🦀",
    });
    let id = id_of(&http.create(given).await);
    let image = world.get(&id).await.unwrap();
    let expected = Image {
        id: id.clone(),
        name: "cirros".to_owned(),
        visibility: Visibility::Community.into(),
        owner: "owner".to_owned(),
        protected: true,
        os_hidden: true,
        min_ram: 64,
        min_disk: 1,
        disk_format: "qcow2".to_owned(),
        container_format: "bare".to_owned(),
        tags: vec!["a".to_owned(), "b".to_owned()],
        properties: [("k".to_owned(), "v".to_owned()), ("é/".to_owned(), "🦀".to_owned())].into(),
        revision: 1,
        status: image.status,
        etag: image.etag.clone(),
        create_time: image.create_time,
        update_time: image.update_time,
        ..Image::default()
    };
    assert_eq!(image, expected);
    http.patch(
        &id,
        json!([{"op": "remove", "path": "/é~1"}, {"op": "replace", "path": "/name", "value": null}]),
    )
    .await
    .is(200);
    let image = world.get(&id).await.unwrap();
    assert_eq!((image.name.as_str(), image.properties.len(), image.revision), ("", 1, 2));
}

async fn what_grpc_writes_http_reads(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let image = Image {
        owner: "owner".to_owned(),
        size: Some(7),
        virtual_size: Some(70),
        checksum: "c".to_owned(),
        os_hash_algo: "sha512".to_owned(),
        os_hash_value: "h".to_owned(),
        disk_format: "raw".to_owned(),
        container_format: "bare".to_owned(),
        ..named("elsewhere")
    };
    let id = world.create(image).await.unwrap().id;
    let shown = http.show(&id).await;
    for (name, value) in [
        ("status", json!("active")),
        ("size", json!(7)),
        ("virtual_size", json!(70)),
        ("checksum", json!("c")),
        ("os_hash_algo", json!("sha512")),
        ("os_hash_value", json!("h")),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    world.set(&id, &[("kernel_id", "k"), ("a/b", "")]).await.unwrap();
    world.update(Image { tags: vec!["t".to_owned()], ..change_of(&id) }, &["tags"]).await.unwrap();
    let shown = http.show(&id).await;
    assert_eq!(
        (&shown["kernel_id"], &shown["a/b"], &shown["tags"]),
        (&json!("k"), &json!(""), &json!(["t"]))
    );
    // Its data is stored elsewhere.
    http.download(&id).await.is(204);
    world.delete(&id, "").await.unwrap();
    http.get(&image_path(&id)).await.error(404, "IMAGE_NOT_FOUND");
}

async fn history_names_who_came_over_http(db: TestDb) {
    let world = World::start(db).await;
    let (owner, admin) = (world.http(Who::OWNER), world.http(Who::ADMIN));
    let id = owner.queued().await;
    admin.set(&id, "k", json!("v")).await.is(200);
    owner.put(&format!("/v2/images/{id}/tags/t"), json!(null)).await.is(204);
    owner.upload(&id, "hello").await.is(204);
    admin.call("POST", &format!("/v2/images/{id}/actions/deactivate")).send().await.is(204);
    owner.delete(&image_path(&id)).await.is(204);
    let mut history = world.revisions(&id).await;
    history.reverse();
    let actors: Vec<_> =
        history.iter().map(|entry| (entry.user_id.as_str(), entry.project_id.as_str())).collect();
    let (alice, root) = (("alice", "owner"), ("root", "ops"));
    assert_eq!(actors, [alice, root, alice, alice, alice, root, alice]);
    let changed: Vec<Vec<_>> = history
        .iter()
        .map(|entry| entry.changes.iter().map(|change| change.subject.clone().unwrap()).collect())
        .collect();
    assert_eq!(changed[1], [Property("k".to_owned())]);
    assert_eq!(changed[2], [Attribute("tags".to_owned())]);
    assert_eq!(changed[3], [Attribute("status".to_owned())]);
    assert!(changed[4].contains(&Attribute("checksum".to_owned())), "{:?}", changed[4]);
    assert_eq!(history[6].action(), Action::Delete);
}

async fn a_patch_is_one_revision(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = id_of(&http.create(json!({"name": "cirros", "k": "v", "l": "w"})).await);
    let patch = json!([
        {"op": "replace", "path": "/name", "value": "other"},
        {"op": "add", "path": "/k", "value": "x"},
        {"op": "remove", "path": "/l"},
        {"op": "add", "path": "/m", "value": ""},
    ]);
    http.patch(&id, patch).await.is(200);
    let last = world.revisions(&id).await.remove(0);
    let changes: Vec<_> = last
        .changes
        .iter()
        .map(|change| (change.old_value.as_deref(), change.new_value.as_deref()))
        .collect();
    let expected =
        [(Some("cirros"), Some("other")), (Some("v"), Some("x")), (Some("w"), None), (None, Some(""))];
    assert_eq!((last.revision, changes), (2, expected.to_vec()));
}

async fn every_revision_can_be_read_again(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let mut states = vec![world.get(&id).await.unwrap()];
    for (name, value) in
        [("k", json!("v")), ("visibility", json!("private")), ("tags", json!(["t"])), ("k", json!("w"))]
    {
        http.set(&id, name, value).await.is(200);
        states.push(world.get(&id).await.unwrap());
    }
    http.upload(&id, "hello").await.is(204);
    states.push(world.get_at(&id, 6).await.unwrap());
    states.push(world.get(&id).await.unwrap());
    for state in &states {
        assert_eq!(&world.get_at(&id, state.revision).await.unwrap(), state);
    }
    http.delete(&image_path(&id)).await.is(204);
    assert_eq!(world.get_at(&id, 5).await.unwrap(), states[4]);
}

async fn a_token_for_development_names_the_caller(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::NOBODY);
    let token = |method, path: &str| http.call(method, path).header("x-auth-token", "tom:tea:member,reader");
    let id = id_of(&token("POST", "/v2/images").json(&json!({"name": "cirros"})).send().await.is(201).json());
    let shown = token("GET", &image_path(&id)).send().await.is(200).json();
    assert_eq!(shown["owner"], "tea");
    let last = world.revisions(&id).await.remove(0);
    assert_eq!((last.user_id.as_str(), last.project_id.as_str()), ("tom", "tea"));
    // As python-glanceclient sends it.
    let encoded = |token| http.call("GET", &image_path(&id)).header("x-auth-token", token);
    encoded("tom%3Atea%3Amember%2Creader").send().await.is(200);
    encoded("eve%3Astranger%3Amember").send().await.error(404, "IMAGE_NOT_FOUND");
    // A proxy's headers take precedence over a token.
    let call = token("GET", &image_path(&id)).header("x-project-id", "stranger").header("x-roles", "member");
    call.send().await.error(404, "IMAGE_NOT_FOUND");
    for operator in ["x", "notused"] {
        encoded(operator).send().await.is(200);
    }
    for nonsense in ["nonsense", "tom:tea", "tom%3Atea", "a:b:c:d", "::", ""] {
        encoded(nonsense).send().await.error(401, "UNAUTHENTICATED");
        http.call("GET", "/versions").header("x-auth-token", nonsense).send().await.is(200);
        let mut request = tonic::Request::new(GetImageRequest { id: id.clone(), revision: 0 });
        request.metadata_mut().insert("x-auth-token", nonsense.parse().unwrap());
        let refused = world.client.clone().get_image(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
}

async fn http_2_does_the_same(db: TestDb) {
    let world = World::start(db).await;
    let (http, http_2) = (world.http(Who::OWNER), world.http(Who::OWNER).http_2());
    let id = http_2.queued().await;
    assert_eq!(http_2.set(&id, "k", json!("v")).await.is(200).json(), http.show(&id).await);
    let data = vec![7; 3_000_000];
    http_2.upload(&id, data.clone()).await.is(204);
    assert!(http_2.download(&id).await.is(200).body == data);
    http_2.set(&id, "size", json!(1)).await.error(403, "ATTRIBUTE_READ_ONLY");
    http_2.get("/nonsense").await.is(300);
    http_2.delete(&image_path(&id)).await.is(204);
    http.get(&image_path(&id)).await.error(404, "IMAGE_NOT_FOUND");
}
