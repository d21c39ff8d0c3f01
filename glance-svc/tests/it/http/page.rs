//! Order and links of a list.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::json;

use crate::support::{Http, Who, World, id_of, names_of};

on_both_databases!(
    sorts_in_both_forms,
    ties_are_in_the_direction_of_a_single_key,
    the_newest_is_first_unless_told_otherwise,
    refuses_an_order_that_makes_no_sense,
    a_page_has_25_images_unless_told_otherwise,
    a_limit_is_a_number_up_to_1000,
    links_keep_the_whole_query,
    next_is_there_only_if_something_follows,
    refuses_a_marker_that_is_not_seen,
    a_marker_need_not_be_in_the_list,
    pages_of_huge_images_are_cut,
);

/// Images that differ in size and order, by name.
async fn images(world: &World) -> Http {
    let http = world.http(Who::OWNER);
    for (name, bytes) in [("b", Some(1)), ("a", None), ("c", Some(3)), ("d", Some(0))] {
        let image = json!({"name": name, "disk_format": "raw", "container_format": "bare"});
        let id = crate::support::id_of(&http.create(image).await);
        if let Some(bytes) = bytes {
            http.upload(&id, vec![0; bytes]).await.is(204);
        }
    }
    http
}

async fn sorts_in_both_forms(db: TestDb) {
    let http = images(&World::start(db).await).await;
    for (query, expected) in [
        ("sort=name:asc", ["a", "b", "c", "d"]),
        ("sort=name", ["d", "c", "b", "a"]),
        ("sort=name:desc", ["d", "c", "b", "a"]),
        ("sort_key=name&sort_dir=asc", ["a", "b", "c", "d"]),
        ("sort_key=name", ["d", "c", "b", "a"]),
        ("sort_dir=asc", ["b", "a", "c", "d"]),
        // What has no size yet is smaller than what is empty.
        ("sort=size:asc", ["a", "d", "b", "c"]),
        ("sort=status:desc,size:asc", ["a", "d", "b", "c"]),
        ("sort=status:asc,name:desc", ["d", "c", "b", "a"]),
        ("sort=disk_format:asc,name:asc", ["a", "b", "c", "d"]),
        ("sort_key=status&sort_key=name&sort_dir=asc", ["b", "c", "d", "a"]),
        ("sort_key=status&sort_key=name&sort_dir=desc&sort_dir=asc", ["a", "b", "c", "d"]),
        ("sort=%20name%20:%20asc%20", ["a", "b", "c", "d"]),
        ("sort=created_at:asc", ["b", "a", "c", "d"]),
        ("sort=container_format,created_at:asc", ["b", "a", "c", "d"]),
    ] {
        assert_eq!(http.list(query).await, expected, "{query}");
    }
}

/// Glance: one direction counts for what the order does not name, in either form.
async fn ties_are_in_the_direction_of_a_single_key(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(id_of(&http.create(json!({"name": "same"})).await));
    }
    let listed = async |query: &str| {
        let page = http.get(&format!("/v2/images?{query}")).await.is(200).json();
        page["images"].as_array().unwrap().iter().map(id_of).collect::<Vec<_>>()
    };
    for query in ["sort=name:asc", "sort_key=name&sort_dir=asc", "sort_key=name&sort_key=size&sort_dir=asc"] {
        assert_eq!(listed(query).await, ids, "{query}");
    }
    ids.reverse();
    for query in ["sort=name", "sort=name:desc", "sort=name:asc,size:asc", "sort_key=name"] {
        assert_eq!(listed(query).await, ids, "{query}");
    }
}

async fn the_newest_is_first_unless_told_otherwise(db: TestDb) {
    let http = images(&World::start(db).await).await;
    for query in [
        "",
        "sort=created_at:desc",
        "sort_key=created_at",
        "sort_dir=desc",
        "sort_key=created_at&sort_dir=desc",
    ] {
        assert_eq!(http.list(query).await, ["d", "c", "a", "b"], "{query}");
    }
}

async fn refuses_an_order_that_makes_no_sense(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for (query, part) in [
        ("sort=nonsense", "is no sort key"),
        ("sort=min_ram:asc", "is no sort key"),
        ("sort=", "is no sort key"),
        ("sort=name,", "is no sort key"),
        ("sort_key=owner", "is no sort key"),
        ("sort=name:up", "is no direction"),
        ("sort=name:asc:desc", "is no direction"),
        ("sort_dir=ASC", "is no direction"),
        ("sort=name&sort_key=name", "cannot be combined"),
        ("sort=name&sort_dir=asc", "cannot be combined"),
        ("sort_key=name&sort_dir=asc&sort_dir=desc", "one for each sort_key"),
        ("sort_dir=asc&sort_dir=desc", "one for each sort_key"),
    ] {
        http.get(&format!("/v2/images?{query}")).await.violation("sort", part);
    }
}

async fn a_page_has_25_images_unless_told_otherwise(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for number in 0..27 {
        http.create(json!({"name": format!("{number:02}")})).await;
    }
    let page = http.get("/v2/images?sort=name:asc").await.is(200).json();
    assert_eq!(names_of(&page).len(), 25);
    let rest = http.get(page["next"].as_str().unwrap()).await.is(200).json();
    assert_eq!((names_of(&rest), rest.get("next")), (vec!["25".to_owned(), "26".to_owned()], None));
}

async fn a_limit_is_a_number_up_to_1000(db: TestDb) {
    let http = images(&World::start(db).await).await;
    for (limit, count) in [("2", 2), ("+2", 2), ("1000", 4), ("1001", 4), ("99999999999999999999", 4)] {
        assert_eq!(http.list(&format!("limit={}", limit.replace('+', "%2B"))).await.len(), count, "{limit}");
    }
    let empty = http.get("/v2/images?limit=0").await.is(200).json();
    let expected = json!({"images": [], "first": "/v2/images?limit=0", "schema": "/v2/schemas/images"});
    assert_eq!(empty, expected);
    for (limit, part) in
        [("-1", "must not be negative"), ("x", "must be an integer"), ("", "must be"), ("1.5", "must be")]
    {
        http.get(&format!("/v2/images?limit={limit}")).await.violation("limit", part);
    }
}

async fn links_keep_the_whole_query(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for _ in 0..3 {
        http.create(json!({"name": "é &", "tags": ["x", "y"], "k": "v w"})).await;
    }
    let query = "tag=x&tag=y&name=%C3%A9+%26&k=v+w&sort_key=name&sort_key=size&sort_dir=asc&limit=1";
    let mut page = http.get(&format!("/v2/images?{query}")).await.is(200).json();
    let first = page["first"].clone();
    assert_eq!(first, format!("/v2/images?{query}"));
    for _ in 0..2 {
        let last = page["images"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(page["next"], format!("/v2/images?{query}&marker={last}"));
        page = http.get(page["next"].as_str().unwrap()).await.is(200).json();
        assert_eq!((names_of(&page), &page["first"]), (vec!["é &".to_owned()], &first));
    }
    assert_eq!(page.get("next"), None);
    assert_eq!(http.get("/v2/images").await.is(200).json()["first"], "/v2/images");
}

async fn next_is_there_only_if_something_follows(db: TestDb) {
    let http = images(&World::start(db).await).await;
    for (query, has_next) in
        [("limit=3", true), ("limit=4", false), ("limit=5", false), ("limit=3&name=a", false)]
    {
        let page = http.get(&format!("/v2/images?{query}")).await.is(200).json();
        assert_eq!(page.get("next").is_some(), has_next, "{query}");
    }
}

async fn refuses_a_marker_that_is_not_seen(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let private = world.http(Who::STRANGER).queued().await;
    let deleted = http.queued().await;
    http.delete(&format!("/v2/images/{deleted}")).await.is(204);
    for marker in ["nonsense", "", "00000000-0000-4000-8000-000000000000", &private, &deleted] {
        let answer = http.get(&format!("/v2/images?marker={marker}")).await;
        answer.violation("marker", "names no image that you can see");
    }
}

async fn a_marker_need_not_be_in_the_list(db: TestDb) {
    let http = images(&World::start(db).await).await;
    let all = http.get("/v2/images?sort=name:asc").await.is(200).json();
    let b = all["images"][1]["id"].as_str().unwrap().to_owned();
    assert_eq!(http.list(&format!("sort=name:asc&size=3&marker={b}")).await, ["c"]);
    assert_eq!(http.list(&format!("sort=name:desc&status=queued&marker={b}")).await, ["a"]);
}

async fn pages_of_huge_images_are_cut(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for name in ["a", "b", "c", "d", "e"] {
        let mut image = json!({"name": name});
        for number in 0..20 {
            image[format!("k{number}")] = json!("x".repeat(65_000));
        }
        http.create(image).await;
    }
    let mut path = "/v2/images?sort=name:asc".to_owned();
    let mut names = Vec::new();
    loop {
        let answer = http.get(&path).await.is(200);
        assert!(answer.body.len() < 4_000_000, "{} bytes", answer.body.len());
        let page = answer.json();
        assert!((1..5).contains(&names_of(&page).len()));
        names.extend(names_of(&page));
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut path),
            None => break,
        }
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
}
