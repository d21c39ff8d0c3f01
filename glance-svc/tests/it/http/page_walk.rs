//! Walking a list page by page, while images come and go: each image that stays is seen once.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::support::{Http, Who, World, id_of};

on_both_databases!(
    walks_by_every_key_while_images_are_added,
    walks_by_two_keys_while_images_are_added,
    walks_on_behind_an_image_that_has_changed,
    goes_on_where_grpc_is,
);

const KEYS: [&str; 8] =
    ["name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"];

/// Twenty images with many equal attributes; returns their ids, sorted.
async fn images(http: &Http) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..20_usize {
        let disk_format = [None, Some("raw"), Some("iso")][number % 3];
        let (name, container_format) = (["b", "a", "B", "é", ""][number % 5], ["bare", "ovf"][number % 2]);
        let image = json!({"name": name, "disk_format": disk_format, "container_format": container_format});
        let id = id_of(&http.create(image).await);
        if disk_format.is_some() && number % 4 < 2 {
            http.upload(&id, vec![0; number % 3]).await.is(204);
        }
        ids.push(id);
    }
    ids.sort_unstable();
    ids
}

/// The ids of all pages, sorted; between two pages, images are added at both ends and in the middle.
async fn walked(http: &Http, query: &str, known: &[String]) -> Vec<String> {
    let mut path = format!("/v2/images?limit=3&{query}");
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let page: Value = http.get(&path).await.is(200).json();
        let ids = page["images"].as_array().unwrap().iter().map(id_of);
        seen.extend(ids.filter(|id| known.contains(id)));
        let Some(next) = page["next"].as_str() else { break };
        next.clone_into(&mut path);
        pages += 1;
        // Not forever: where a walk meets what is added, each page would be followed by one of it.
        if seen.len() < known.len() && pages < 8 {
            for name in ["!", "am", "~"] {
                http.create(json!({"name": name, "disk_format": "vdi", "container_format": "docker"})).await;
            }
        }
    }
    seen.sort_unstable();
    seen
}

async fn walks_by_every_key_while_images_are_added(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let ids = images(&http).await;
    for key in KEYS {
        for direction in ["asc", "desc"] {
            assert_eq!(
                walked(&http, &format!("sort={key}:{direction}"), &ids).await,
                ids,
                "{key} {direction}"
            );
            // So that the next walk is no longer than this one.
            for image in
                http.get("/v2/images?limit=1000&disk_format=vdi").await.json()["images"].as_array().unwrap()
            {
                http.delete(&format!("/v2/images/{}", id_of(image))).await.is(204);
            }
        }
    }
}

async fn walks_by_two_keys_while_images_are_added(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let ids = images(&http).await;
    for query in
        ["sort=size:asc,name:desc", "sort_key=status&sort_key=disk_format&sort_dir=desc&sort_dir=asc"]
    {
        assert_eq!(walked(&http, query, &ids).await, ids, "{query}");
    }
}

async fn walks_on_behind_an_image_that_has_changed(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for name in ["a", "b", "c", "d"] {
        http.create(json!({"name": name})).await;
    }
    let page = http.get("/v2/images?limit=2&sort=name:asc").await.is(200).json();
    let marker = id_of(&page["images"][1]);
    // A marker is the image as it is now (Glance): what it was sorted behind is seen again, nothing is lost.
    http.set(&marker, "name", json!("0")).await.is(200);
    let next = page["next"].as_str().unwrap();
    assert_eq!(crate::support::names_of(&http.get(next).await.is(200).json()), ["a", "c"]);
    http.delete(&format!("/v2/images/{marker}")).await.is(204);
    http.get(next).await.violation("marker", "names no image that you can see");
}

async fn goes_on_where_grpc_is(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::ADMIN);
    let ids = images(&http).await;
    for key in ["name", "size", "id", "disk_format"] {
        let order = if key == "id" { "id".to_owned() } else { format!("{key},create_time,id") };
        let over_grpc: Vec<_> =
            world.walk(crate::support::by(&order)).await.into_iter().map(|image| image.id).collect();
        let page =
            http.get(&format!("/v2/images?limit=1000&sort_key={key}&sort_dir=asc")).await.is(200).json();
        let over_http: Vec<_> = page["images"].as_array().unwrap().iter().map(id_of).collect();
        assert_eq!(over_http, over_grpc, "{key}");
        assert_eq!(over_http.len(), ids.len());
    }
}
