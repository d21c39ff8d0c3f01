//! What a list can be filtered by.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::json;

use crate::support::{Http, Who, World, id_of};

on_both_databases!(
    finds_by_name_and_its_operators,
    finds_by_other_texts,
    finds_by_id,
    finds_by_numbers,
    finds_by_flags,
    finds_by_all_of_several_tags,
    finds_by_properties,
    finds_by_hashes,
    all_conditions_must_hold,
    a_name_with_a_colon_is_found_as_it_is,
    of_a_filter_twice_the_last_counts,
    what_was_deleted_is_not_listed,
);

/// Images that differ in everything, by name.
async fn images(world: &World) -> Http {
    let http = world.http(Who::OWNER);
    for image in [
        json!({"name": "a", "disk_format": "raw", "container_format": "bare", "min_ram": 512, "tags": ["x", "y"]}),
        json!({"name": "b", "disk_format": "qcow2", "container_format": "ovf", "tags": ["x"], "protected": true}),
        json!({"name": "a,b", "disk_format": "raw", "container_format": "bare", "min_disk": 3, "k": "in:v"}),
        json!({"name": "q\"t", "disk_format": "iso", "k": "V"}),
        json!({"name": "a:b", "k": "v", "os_distro": "é &", "tags": ["Y", "x,y"]}),
        json!({"name": "%_", "k": "", "foo_min": "1", "owner": "owner"}),
        json!({"name": "hidden", "os_hidden": true}),
    ] {
        http.create(image).await;
    }
    http
}

/// Checks what each query finds, in any order.
async fn finds(http: &Http, table: &[(&str, &[&str])]) {
    for (query, expected) in table {
        let mut found = http.list(query).await;
        found.sort_unstable();
        let mut expected: Vec<_> = expected.iter().map(|name| (*name).to_owned()).collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "{query}");
    }
}

async fn finds_by_name_and_its_operators(db: TestDb) {
    let http = images(&World::start(db).await).await;
    finds(
        &http,
        &[
            ("name=a", &["a"]),
            ("name=A", &[]),
            ("name=a,b", &["a,b"]),
            ("name=in:a,b", &["a", "b"]),
            ("name=in:%22a,b%22", &["a,b"]),
            ("name=in:%22a,b%22,b,nonsense", &["a,b", "b"]),
            ("name=in:%22q%5C%22t%22,a", &["q\"t", "a"]),
            ("name=eq:a", &["a"]),
            ("name=eq:a:b", &["a:b"]),
            ("name=in:a:b", &["a:b"]),
            ("name=%25_", &["%_"]),
            ("name=%25", &[]),
            ("name=", &[]),
            ("name=in:a,b&name=b", &["b"]),
        ],
    )
    .await;
}

async fn finds_by_other_texts(db: TestDb) {
    let http = images(&World::start(db).await).await;
    finds(
        &http,
        &[
            ("disk_format=raw", &["a", "a,b"]),
            ("disk_format=in:qcow2,iso", &["b", "q\"t"]),
            ("disk_format=nonsense", &[]),
            ("container_format=ovf", &["b"]),
            ("container_format=in:ovf,bare", &["a", "b", "a,b"]),
            ("container_format=eq:ovf", &["b"]),
            ("status=active", &[]),
            ("status=in:active,queued&name=a", &["a"]),
            ("status=nonsense", &[]),
            ("owner=owner&name=b", &["b"]),
            ("owner=stranger", &[]),
            ("owner=in:owner", &[]),
            ("visibility=shared&name=a", &["a"]),
            ("visibility=private", &[]),
        ],
    )
    .await;
}

async fn finds_by_id(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(id_of(&http.create(json!({"name": name})).await));
    }
    let [a, b, _] = ids.as_slice() else { unreachable!() };
    for (query, expected) in [
        (format!("id={a}"), &["a"][..]),
        (format!("id=in:{a},{b}"), &["a", "b"]),
        (format!("id=in:{a},nonsense"), &["a"]),
        (format!("id=eq:{b}"), &["b"]),
        ("id=nonsense".to_owned(), &[]),
    ] {
        finds(&http, &[(query.as_str(), expected)]).await;
    }
}

async fn finds_by_numbers(db: TestDb) {
    let http = images(&World::start(db).await).await;
    for (name, bytes) in [("five", 5), ("seven", 7)] {
        let image = json!({"name": name, "disk_format": "raw", "container_format": "bare"});
        let id = id_of(&http.create(image).await);
        http.upload(&id, vec![0; bytes]).await.is(204);
    }
    finds(
        &http,
        &[
            ("size=5", &["five"]),
            ("size_min=6", &["seven"]),
            ("size_max=6", &["five"]),
            ("size_min=5&size_max=7", &["five", "seven"]),
            ("size_min=0", &["five", "seven"]),
            ("size_min=-1", &["five", "seven"]),
            ("virtual_size_min=6", &["seven"]),
            ("min_ram=512", &["a"]),
            ("min_ram_min=1", &["a"]),
            ("min_ram=0&min_disk=3", &["a,b"]),
            ("min_disk_max=2&name=a,b", &[]),
            // No number has this name, so that a property may.
            ("foo_min=1", &["%_"]),
        ],
    )
    .await;
}

async fn finds_by_flags(db: TestDb) {
    let http = images(&World::start(db).await).await;
    finds(
        &http,
        &[
            ("protected=true", &["b"]),
            ("protected=false", &["a", "a,b", "q\"t", "a:b", "%_"]),
            ("protected=True", &["b"]),
            ("os_hidden=true", &["hidden"]),
            ("os_hidden=TRUE", &["hidden"]),
            ("os_hidden=false&name=hidden", &[]),
            ("name=hidden", &[]),
        ],
    )
    .await;
}

async fn finds_by_all_of_several_tags(db: TestDb) {
    let http = images(&World::start(db).await).await;
    finds(
        &http,
        &[
            ("tag=x", &["a", "b"]),
            ("tag=x&tag=y", &["a"]),
            ("tag=y&tag=x&tag=x", &["a"]),
            ("tag=x&tag=Y", &[]),
            ("tag=x,y", &["a:b"]),
            ("tag=nonsense", &[]),
            ("tag=", &[]),
        ],
    )
    .await;
}

async fn finds_by_properties(db: TestDb) {
    let http = images(&World::start(db).await).await;
    finds(
        &http,
        &[
            ("k=v", &["a:b"]),
            ("k=V", &["q\"t"]),
            ("k=", &["%_"]),
            ("K=v", &[]),
            // A property has no operators.
            ("k=in:v", &["a,b"]),
            ("k=in:v,V", &[]),
            ("os_distro=%C3%A9+%26&k=v", &["a:b"]),
            ("os_distro=%C3%A9%20%26", &["a:b"]),
            ("nonsense=1", &[]),
        ],
    )
    .await;
    let long = format!("{}é", "x".repeat(65_000));
    http.create(json!({"name": "long", "k": long})).await;
    finds(
        &http,
        &[(&format!("k={}%C3%A9", "x".repeat(65_000)), &["long"]), (&format!("k={}", "x".repeat(255)), &[])],
    )
    .await;
}

async fn finds_by_hashes(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    http.upload(&id, "hello").await.is(204);
    http.create(json!({"name": "other"})).await;
    let image = http.show(&id).await;
    let hash = image["os_hash_value"].as_str().unwrap();
    finds(
        &http,
        &[
            ("checksum=5d41402abc4b2a76b9719d911017c592", &["cirros"]),
            (&format!("os_hash_value={hash}"), &["cirros"]),
            (&format!("os_hash_algo=sha512&os_hash_value={hash}"), &["cirros"]),
            ("os_hash_algo=md5", &[]),
            ("checksum=nonsense", &[]),
            ("status=active", &["cirros"]),
        ],
    )
    .await;
}

async fn all_conditions_must_hold(db: TestDb) {
    let http = images(&World::start(db).await).await;
    let query =
        "name=in:a,b&disk_format=raw&min_ram_min=1&tag=x&protected=false&os_hidden=false&visibility=all";
    finds(&http, &[(query, &["a"])]).await;
    for one_more in
        ["k=v", "tag=z", "min_disk_min=1", "owner=x", "id=x", "created_at=lt:2020-01-01T00:00:00Z"]
    {
        finds(&http, &[(&format!("{query}&{one_more}"), &[])]).await;
    }
}

async fn a_name_with_a_colon_is_found_as_it_is(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for name in ["a: b", "ubuntu:24.04", "::", "x:in:y", "eq:z"] {
        http.create(json!({"name": name})).await;
    }
    for (query, found) in [
        ("name=a:%20b", "a: b"),
        ("name=a%3A+b", "a: b"),
        ("name=ubuntu:24.04", "ubuntu:24.04"),
        ("name=::", "::"),
        ("name=x:in:y", "x:in:y"),
        ("name=eq:eq:z", "eq:z"),
        ("name=in:ubuntu:24.04", "ubuntu:24.04"),
    ] {
        assert_eq!(http.list(query).await, [found], "{query}");
    }
}

/// Glance: but for two comparisons of a time, which are a range.
async fn of_a_filter_twice_the_last_counts(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for (name, value) in [("a", "v"), ("b", "w")] {
        http.create(json!({"name": name, "k": value})).await;
    }
    for query in ["name=a&name=b", "name=in:a,c&name=eq:b", "k=v&k=w", "min_ram=1&min_ram=0&name=b"] {
        assert_eq!(http.list(query).await, ["b"], "{query}");
    }
    assert_eq!(http.list("created_at=gt:2020-01-01&created_at=lt:2020-01-02").await.len(), 0);
    assert_eq!(http.list("created_at=lt:2020-01-01&created_at=lt:2090-01-01").await.len(), 2);
}

async fn what_was_deleted_is_not_listed(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = id_of(&http.create(json!({"name": "gone"})).await);
    http.delete(&crate::support::image_path(&id)).await.is(204);
    http.create(json!({"name": "there", "revision": "r"})).await;
    for query in
        ["deleted=true", "deleted=False", "deleted=nonsense", "revision=r", "deleted=true&revision=r"]
    {
        assert_eq!(http.list(query).await, ["there"], "{query}");
    }
}
