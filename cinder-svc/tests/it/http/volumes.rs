//! Volumes over HTTP.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::support::{Cinder, Http};

on_both_databases!(
    a_volume_of_an_image_shows_what_it_remembers,
    a_version_shows_what_it_knows,
    what_clients_send_as_null_is_not_given,
    sources_that_do_not_exist_are_told,
    volumes_are_listed_page_by_page,
    volumes_are_found,
    metadata_is_merged_replaced_and_removed,
    image_metadata_is_set_shown_and_unset,
    a_volume_grows_and_gets_another_type,
    a_volume_becomes_an_image,
    a_volume_is_changed_and_deleted,
    what_a_volume_is_can_be_reset_by_operators,
    another_project_sees_nothing,
);

const FIXED: [(&str, &str); 2] = [("os_distro", "debian"), ("hw_disk_bus", "virtio")];

async fn a_volume_of_an_image_shows_what_it_remembers(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    let image = cinder.glance.with(&FIXED);
    let body = json!({"name": "disk", "imageRef": image.id, "size": "50", "metadata": {"a": "b"}});
    let created = alice.create(body).await;
    let volume = alice.show(&created).await;
    assert_eq!([&volume["status"], &volume["bootable"]], ["available", "true"]);
    assert_eq!([&volume["name"], &volume["user_id"]], ["disk", "alice"]);
    assert_eq!((&volume["size"], &volume["metadata"]), (&json!(50), &json!({"a": "b"})));
    let metadata = &volume["volume_image_metadata"];
    assert_eq!([&metadata["image_id"], &metadata["os_distro"]], [&image.id, "debian"]);
    assert!(metadata.as_object().unwrap().values().all(Value::is_string), "{metadata}");
    let time = volume["created_at"].as_str().unwrap();
    assert!(time.len() == 26 && !time.ends_with('Z'), "{time}");
    assert_eq!(volume["updated_at"], Value::Null);
    let blank = alice.create(json!({"size": 1})).await;
    assert_eq!((&blank["bootable"], blank.get("volume_image_metadata")), (&json!("false"), None));
}

async fn a_version_shows_what_it_knows(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    let volume = alice.create(json!({"size": 1})).await;
    let since = |version: &str, http: Http| (version.to_owned(), http);
    for (key, (version, before)) in [
        ("volume_type_id", since("volume 3.63", alice.speaking(Some("volume 3.62")))),
        ("consumes_quota", since("volume 3.65", alice.speaking(Some("volume 3.64")))),
        ("group_id", since("volume 3.13", alice.speaking(Some("volume 3.12")))),
    ] {
        assert!(before.show(&volume).await.get(key).is_none(), "{key} before {version}");
        assert!(alice.show(&volume).await.get(key).is_some(), "{key} since {version}");
    }
    assert!(alice.show(&volume).await.get("os-vol-host-attr:host").is_none());
    let root = cinder.http("root", "admin", "admin");
    assert_eq!(root.show(&volume).await["os-vol-host-attr:host"], "cinder-svc");
    let old = alice.speaking(Some("volume 3.67"));
    let reimage = json!({"os-reimage": {"image_id": volume["id"]}});
    old.act(&volume, reimage).await.fault(404, "itemNotFound", "METHOD_NOT_FOUND");
}

async fn what_clients_send_as_null_is_not_given(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    let body = json!({
        "volume_type": null, "description": null, "metadata": null, "size": 1, "source_volid": null,
        "backup_id": null, "consistencygroup_id": null, "snapshot_id": null, "availability_zone": null,
        "imageRef": null, "name": "v", "multiattach": false,
    });
    let volume = alice.create(body).await;
    assert_eq!((&volume["name"], &volume["description"]), (&json!("v"), &Value::Null));
    let refused = alice.post("/v3/volumes", json!({"volume": {"size": 1, "multiattach": true}})).await;
    refused.fault(400, "badRequest", "INVALID_REQUEST");
}

async fn sources_that_do_not_exist_are_told(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    let nobody = "5f1f1f5e-0000-4000-8000-000000000000";
    for (volume, status, name, reason) in [
        (json!({"size": 1, "imageRef": nobody}), 400, "badRequest", "IMAGE_NOT_FOUND"),
        (json!({"size": 1, "imageRef": ""}), 400, "badRequest", "INVALID_REQUEST"),
        (json!({"size": 1, "snapshot_id": nobody}), 404, "itemNotFound", "SNAPSHOT_NOT_FOUND"),
        (json!({"size": 1, "source_volid": nobody}), 404, "itemNotFound", "VOLUME_NOT_FOUND"),
        (json!({"size": 1, "volume_type": "x"}), 404, "itemNotFound", "VOLUME_TYPE_NOT_FOUND"),
        (json!({"size": 1, "availability_zone": "x"}), 400, "badRequest", "AVAILABILITY_ZONE_NOT_FOUND"),
        (json!({"imageRef": nobody, "source_volid": nobody}), 400, "badRequest", "INVALID_REQUEST"),
    ] {
        alice.post("/v3/volumes", json!({ "volume": volume })).await.fault(status, name, reason);
    }
}

async fn volumes_are_listed_page_by_page(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    for number in 0..5 {
        alice.create(json!({"size": 5 - number, "name": format!("v{number}")})).await;
    }
    for (query, expected) in [
        ("limit=2", ["v4", "v3", "v2", "v1", "v0"]),
        ("limit=2&sort=name:asc", ["v0", "v1", "v2", "v3", "v4"]),
        ("limit=3&sort_key=size&sort_dir=desc", ["v0", "v1", "v2", "v3", "v4"]),
    ] {
        for path in ["/v3/volumes", "/v3/demo/volumes/detail"] {
            assert_eq!(walk(&alice, &format!("{path}?{query}")).await, expected, "{path}?{query}");
        }
    }
    for (query, status) in [
        ("limit=-1", 400),
        ("sort=nothing", 400),
        ("marker=nonsense", 404),
        ("marker=5f1f1f5e-0000-4000-8000-000000000000", 404),
    ] {
        alice.get(&format!("/v3/volumes?{query}")).await.is(status);
    }
    let brief = alice.get("/v3/volumes?limit=1").await.is(200).json();
    let keys: Vec<_> = brief["volumes"][0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "links", "name"]);
}

/// The names of all volumes of a list.
async fn walk(http: &Http, first: &str) -> Vec<String> {
    let (mut names, mut path) = (Vec::new(), first.to_owned());
    loop {
        let page = http.get(&path).await.is(200).json();
        let volumes = page["volumes"].as_array().unwrap().iter();
        names.extend(volumes.map(|volume| volume["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["volumes_links"][0]["href"].as_str() else { return names };
        next[next.find("/v3").unwrap()..].clone_into(&mut path);
    }
}

async fn volumes_are_found(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    let image = cinder.glance.with(&FIXED);
    alice.create(json!({"name": "disk", "imageRef": image.id, "size": 50})).await;
    alice.create(json!({"name": "data", "size": 2, "metadata": {"it's": "1"}})).await;
    let found = async |http: &Http, query: &str| walk(http, &format!("/v3/volumes/detail?{query}")).await;
    for (query, expected) in [
        ("name=disk", vec!["disk"]),
        ("status=available", vec!["data", "disk"]),
        ("status=in-use", vec![]),
        ("status=uploading", vec![]),
        ("status=managing", vec![]),
        ("bootable=true", vec!["disk"]),
        ("size=2", vec!["data"]),
        ("glance_metadata={'os_distro':%20'debian',%20'hw_disk_bus':%20'virtio'}", vec!["disk"]),
        ("glance_metadata={%22os_distro%22:%20%22arch%22}", vec![]),
        ("metadata={%22it's%22:%201}", vec!["data"]),
        ("all_tenants=1&name=data", vec!["data"]),
    ] {
        assert_eq!(found(&alice, query).await, expected, "{query}");
        assert_eq!(found(&alice.speaking(None), query).await, expected, "{query}");
    }
    assert_eq!(found(&alice.speaking(None), "nothing=1").await.len(), 2);
    let refused = alice.get("/v3/volumes?nothing=1").await.fault(400, "badRequest", "INVALID_REQUEST");
    assert!(refused.contains("nothing"), "{refused}");
    let wrong = alice.get("/v3/volumes?limit=-1&offset=3&sort=nothing&metadata=a&size=x").await;
    let refused = wrong.fault(400, "badRequest", "INVALID_REQUEST");
    for field in ["limit", "offset", "sort", "metadata", "size"] {
        assert!(refused.contains(&format!("{field}: ")), "{refused}");
    }
    let root = cinder.http("root", "admin", "admin");
    assert_eq!(found(&root, "").await.len(), 0);
    assert_eq!(found(&root, "all_tenants=True&project_id=demo").await.len(), 2);
}

async fn metadata_is_merged_replaced_and_removed(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    let volume = alice.create(json!({"size": 1, "metadata": {"a": "1"}})).await;
    let path = format!("/v3/volumes/{}/metadata", volume["id"].as_str().unwrap());
    let merged = alice.post(&path, json!({"metadata": {"b": "2", "c": "3"}})).await.is(200).json();
    assert_eq!(merged["metadata"], json!({"a": "1", "b": "2", "c": "3"}));
    let replaced = alice.put(&path, json!({"metadata": {"d": "4"}})).await.is(200).json();
    assert_eq!(replaced["metadata"], json!({"d": "4"}));
    let item = alice.put(&format!("{path}/e"), json!({"meta": {"e": "5"}})).await.is(200).json();
    assert_eq!(item["meta"], json!({"e": "5"}));
    alice.put(&format!("{path}/e"), json!({"meta": {"f": "5"}})).await.is(400);
    assert_eq!(alice.get(&format!("{path}/d")).await.is(200).json()["meta"], json!({"d": "4"}));
    alice.delete(&format!("{path}/d")).await.is(200);
    alice.delete(&format!("{path}/d")).await.fault(404, "itemNotFound", "METADATA_NOT_FOUND");
    assert_eq!(alice.get(&path).await.is(200).json()["metadata"], json!({"e": "5"}));
    // Changes at once are all made.
    let all = (0..8).map(|number| {
        let (http, path) = (alice.clone(), path.clone());
        async move {
            let key = format!("key{number}");
            let meta = json!({"meta": {key.as_str(): "x"}});
            http.put(&format!("{path}/{key}"), meta).await.is(200)
        }
    });
    futures_util::future::join_all(all).await;
    assert_eq!(alice.get(&path).await.json()["metadata"].as_object().unwrap().len(), 9);
    let wrong = alice.post(&path, json!({"metadata": {"a": "x".repeat(256)}})).await;
    let message = wrong.fault(400, "badRequest", "INVALID_REQUEST");
    assert!(message.starts_with("metadata[\"a\"]"), "{message}");
    cinder.http("rita", "demo", "reader").post(&path, json!({"metadata": {}})).await.is(403);
}

async fn image_metadata_is_set_shown_and_unset(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    let image = cinder.glance.with(&FIXED);
    let volume = alice.create(json!({"imageRef": image.id, "size": 50})).await;
    let set = json!({"os-set_image_metadata": {"metadata": {"hw_disk_bus": "scsi", "new": "1"}}});
    let shown = alice.act(&volume, set).await.is(200).json()["metadata"].clone();
    assert_eq!([&shown["hw_disk_bus"], &shown["new"], &shown["image_id"]], ["scsi", "1", &image.id]);
    // The whole list can be sent back; an attribute of the image cannot be changed.
    let again = json!({"os-set_image_metadata": {"metadata": shown.clone()}});
    assert_eq!(alice.act(&volume, again).await.is(200).json()["metadata"], shown);
    let attribute = json!({"os-set_image_metadata": {"metadata": {"image_id": "x"}}});
    alice.act(&volume, attribute).await.fault(400, "badRequest", "INVALID_REQUEST");
    let unset = json!({"os-unset_image_metadata": {"key": "new"}});
    assert!(alice.act(&volume, unset.clone()).await.is(200).body.is_empty());
    alice.act(&volume, unset).await.fault(404, "itemNotFound", "IMAGE_METADATA_NOT_FOUND");
    let show = json!({"os-show_image_metadata": null});
    let left = alice.act(&volume, show.clone()).await.is(200).json()["metadata"].clone();
    assert_eq!((left.get("new"), &left["os_distro"]), (None, &json!("debian")));
    let blank = alice.create(json!({"size": 1})).await;
    alice.act(&blank, show).await.fault(404, "itemNotFound", "IMAGE_METADATA_NOT_FOUND");
}

async fn a_volume_grows_and_gets_another_type(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (root, alice) = (cinder.http("root", "admin", "admin"), cinder.http("alice", "demo", "member"));
    root.post("/v3/types", json!({"volume_type": {"name": "ssd"}})).await.is(200);
    let volume = alice.create(json!({"size": 1})).await;
    alice.act(&volume, json!({"os-extend": {"new_size": 3}})).await.is(202);
    alice.act(&volume, json!({"os-extend": {"new_size": 2}})).await.fault(400, "badRequest", "NOT_LARGER");
    let wrong = alice.act(&volume, json!({"os-extend": {"new_size": 0}})).await;
    assert!(wrong.fault(400, "badRequest", "INVALID_REQUEST").starts_with("os-extend.new_size"));
    let retype = json!({"os-retype": {"new_type": "ssd", "migration_policy": "never"}});
    alice.act(&volume, retype).await.is(202);
    let unknown = json!({"os-retype": {"new_type": "hdd"}});
    alice.act(&volume, unknown).await.fault(404, "itemNotFound", "VOLUME_TYPE_NOT_FOUND");
    let shown = alice.show(&volume).await;
    assert_eq!((&shown["size"], &shown["volume_type"]), (&json!(3), &json!("ssd")));
    let image = cinder.glance.with(&FIXED);
    let reimage = json!({"os-reimage": {"image_id": image.id, "reimage_reserved": false}});
    alice.act(&volume, reimage).await.is(202);
    assert_eq!(alice.show(&volume).await["volume_image_metadata"]["os_distro"], "debian");
    let unknown = alice.act(&volume, json!({"os-nothing": {}})).await;
    assert!(unknown.fault(400, "badRequest", "INVALID_REQUEST").contains("os-nothing"));
}

async fn a_volume_becomes_an_image(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    let image = cinder.glance.with(&FIXED);
    let volume = alice.create(json!({"imageRef": image.id, "size": 50})).await;
    // As openstackclient sends it.
    let upload = json!({
        "image_name": "n", "force": false, "disk_format": "raw", "container_format": "bare",
        "visibility": "private", "protected": false,
    });
    let uploading = alice.act(&volume, json!({"os-volume_upload_image": upload})).await.is(202).json();
    let shown = &uploading["os-volume_upload_image"];
    assert_eq!((&shown["id"], &shown["image_name"]), (&volume["id"], &json!("n")));
    assert_eq!([&shown["volume_type"]["name"], &shown["visibility"]], ["__DEFAULT__", "private"]);
    let made = cinder.glance.find(shown["image_id"].as_str().unwrap()).unwrap();
    assert_eq!((made.name.as_str(), made.properties["os_distro"].as_str()), ("n", "debian"));
    let old = alice.speaking(None);
    old.act(&volume, json!({"os-volume_upload_image": upload})).await.fault(
        400,
        "badRequest",
        "INVALID_REQUEST",
    );
    let sparse = json!({"os-volume_upload_image": {"image_name": "m", "disk_format": "qcow2"}});
    let told = old.act(&volume, sparse).await.fault(400, "badRequest", "INVALID_REQUEST");
    assert!(told.starts_with("os-volume_upload_image.disk_format"), "{told}");
}

async fn a_volume_is_changed_and_deleted(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    let volume = alice.create(json!({"size": 1, "name": "v", "metadata": {"a": "1"}})).await;
    let path = format!("/v3/volumes/{}", volume["id"].as_str().unwrap());
    let update = json!({"volume": {"display_name": "w", "description": "d", "metadata": {"b": "2"}}});
    let changed = alice.put(&path, update).await.is(200).json()["volume"].clone();
    assert_eq!([&changed["name"], &changed["description"]], ["w", "d"]);
    assert_eq!(changed["metadata"], json!({"b": "2"}));
    assert!(changed["updated_at"].is_string());
    alice.put(&path, json!({"volume": {}})).await.fault(400, "badRequest", "INVALID_REQUEST");
    alice.act(&volume, json!({"os-set_bootable": {"bootable": "True"}})).await.is(200);
    alice.act(&volume, json!({"os-update_readonly_flag": {"readonly": true}})).await.is(202);
    let shown = alice.show(&volume).await;
    assert_eq!((&shown["bootable"], &shown["metadata"]["readonly"]), (&json!("true"), &json!("True")));
    cinder.http("rita", "demo", "reader").delete(&path).await.fault(403, "forbidden", "NOT_PERMITTED");
    alice.delete(&format!("{path}?cascade=False&force=True")).await.fault(403, "forbidden", "NOT_PERMITTED");
    alice.delete(&format!("{path}?cascade=False&force=False")).await.is(202);
    alice.get(&path).await.fault(404, "itemNotFound", "VOLUME_NOT_FOUND");
}

async fn what_a_volume_is_can_be_reset_by_operators(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (root, alice) = (cinder.http("root", "admin", "admin"), cinder.http("alice", "demo", "member"));
    let volume = alice.create(json!({"size": 1})).await;
    let reset = |status: &str| json!({"os-reset_status": {"status": status}});
    alice.act(&volume, reset("error")).await.fault(403, "forbidden", "NOT_PERMITTED");
    root.act(&volume, reset("error")).await.is(202);
    assert_eq!(alice.show(&volume).await["status"], "error");
    alice.act(&volume, json!({"os-extend": {"new_size": 2}})).await.fault(400, "badRequest", "WRONG_STATE");
    root.act(&volume, reset("available")).await.is(202);
    assert_eq!(alice.show(&volume).await["status"], "available");
    root.act(&volume, reset("in-use")).await.fault(400, "badRequest", "INVALID_REQUEST");
    root.act(&volume, json!({"os-force_delete": null})).await.is(202);
}

async fn another_project_sees_nothing(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (alice, mallory) = (cinder.http("alice", "demo", "member"), cinder.http("mallory", "tea", "member"));
    let volume = alice.create(json!({"size": 1})).await;
    let path = format!("/v3/volumes/{}", volume["id"].as_str().unwrap());
    for call in ["", "/metadata"] {
        mallory.get(&format!("{path}{call}")).await.fault(404, "itemNotFound", "VOLUME_NOT_FOUND");
    }
    mallory.delete(&path).await.is(404);
    mallory.put(&path, json!({"volume": {"name": "mine"}})).await.is(404);
    mallory.act(&volume, json!({"os-extend": {"new_size": 2}})).await.is(404);
    mallory.act(&volume, json!({"os-show_image_metadata": null})).await.is(404);
    assert_eq!(walk(&mallory, "/v3/volumes?all_tenants=1").await, Vec::<String>::new());
    mallory.get(&format!("/v3/volumes?marker={}", volume["id"].as_str().unwrap())).await.is(404);
}
