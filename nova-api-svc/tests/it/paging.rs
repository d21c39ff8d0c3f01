//! Lists page by page.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::{on_both_databases, testing::TestDb};
use proto::nova::v1::{CreateInstanceRequest, Instance, ListFlavorsRequest, ListInstancesRequest};

use crate::support::{Nova, assert_violation, several};

on_both_databases!(
    small_pages_of_a_batch_neither_repeat_nor_miss,
    a_walk_is_steady_while_others_create_and_delete,
    the_size_of_a_page_has_a_default_and_a_limit,
    a_page_ends_where_clients_would_refuse_it,
    a_token_belongs_to_its_list,
    what_is_no_token_is_told,
    a_forged_token_is_told,
);

fn pages(page_size: i32, order_by: &str, filter: &str) -> ListInstancesRequest {
    ListInstancesRequest {
        page_size,
        order_by: order_by.to_owned(),
        filter: filter.to_owned(),
        ..ListInstancesRequest::default()
    }
}

fn ids(instances: Vec<Instance>) -> Vec<String> {
    instances.into_iter().map(|instance| instance.id).collect()
}

/// All of a batch have the same times, state and project.
async fn small_pages_of_a_batch_neither_repeat_nor_miss(db: TestDb) {
    let nova = Nova::start(db).await;
    let linux = nova.glance.with(&[("os_type", "linux")]);
    let windows = nova.glance.with(&[("os_type", "windows")]);
    nova.create(several(&linux, 20)).await.unwrap();
    nova.create(several(&windows, 17)).await.unwrap();
    for order_by in
        ["", "create_time", "state desc", "update_time desc, state, id", "name desc", "state, name"]
    {
        for filter in ["", "state = BUILDING AND system_metadata.image_os_type = linux"] {
            let whole = nova.list(pages(1000, order_by, filter)).await.unwrap();
            assert_eq!(whole.next_page_token, "");
            assert_eq!(whole.instances.len(), if filter.is_empty() { 37 } else { 20 });
            for size in [1, 7, 20, 37] {
                let walked = nova.walk(pages(size, order_by, filter)).await;
                assert_eq!(walked, whole.instances, "{size} by {order_by:?} of {filter:?}");
            }
        }
    }
}

async fn a_walk_is_steady_while_others_create_and_delete(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    nova.create(several(&image, 10)).await.unwrap();
    let expected = ids(nova.list(pages(0, "", "")).await.unwrap().instances);
    let first = nova.list(pages(4, "", "")).await.unwrap();
    // Newer ones stand before the first page; the last of the first page is where the second one starts.
    nova.create(several(&image, 3)).await.unwrap();
    nova.delete(&first.instances[3].id).await.unwrap();
    let request = ListInstancesRequest { page_token: first.next_page_token.clone(), ..pages(4, "", "") };
    let rest = nova.walk(request).await;
    assert_eq!([ids(first.instances), ids(rest)].concat(), expected);
}

async fn the_size_of_a_page_has_a_default_and_a_limit(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    nova.create(several(&image, 1000)).await.unwrap();
    nova.create(several(&image, 1)).await.unwrap();
    for (size, expected) in [(0, 25), (1, 1), (999, 999), (1000, 1000), (1001, 1000), (i32::MAX, 1000)] {
        let page = nova.list(pages(size, "", "")).await.unwrap();
        assert_eq!(page.instances.len(), expected);
        assert_ne!(page.next_page_token, "");
    }
    for size in [-1, i32::MIN] {
        let status = nova.list(pages(size, "", "")).await.unwrap_err();
        assert_violation(&status, "page_size", "must not be negative: 1 to 1000, or 0 for 25");
    }
}

async fn a_page_ends_where_clients_would_refuse_it(db: TestDb) {
    let nova = Nova::start(db).await;
    let metadata = (0..128).map(|number| (format!("{number:0>255}"), "🎉".repeat(255))).collect();
    let image = nova.glance.with(&[]);
    nova.create(CreateInstanceRequest { metadata, ..several(&image, 30) }).await.unwrap();
    let page = nova.list(pages(1000, "", "")).await.unwrap();
    assert!((10..30).contains(&page.instances.len()), "{}", page.instances.len());
    assert_ne!(page.next_page_token, "");
    let mut walked = ids(nova.walk(pages(1000, "", "")).await);
    assert_eq!(walked.len(), 30);
    walked.dedup();
    assert_eq!(walked.len(), 30);
}

async fn a_token_belongs_to_its_list(db: TestDb) {
    let nova = Nova::start(db).await;
    nova.create(several(&nova.glance.with(&[]), 3)).await.unwrap();
    let page_token = nova.list(pages(1, "", "")).await.unwrap().next_page_token;
    let flavors = ListFlavorsRequest { page_size: 1, ..ListFlavorsRequest::default() };
    let of_flavors = nova.flavors().list_flavors(flavors).await.unwrap().into_inner().next_page_token;
    let of_another = ListInstancesRequest { page_token: of_flavors, ..pages(1, "", "") };
    for request in [
        ListInstancesRequest { page_token: page_token.clone(), ..pages(1, "", "name = web") },
        ListInstancesRequest { page_token: page_token.clone(), ..pages(1, "create_time", "") },
        ListInstancesRequest { page_token: page_token.clone(), ..pages(1, "create_time desc", "") },
        of_another,
    ] {
        let status = nova.list(request).await.unwrap_err();
        assert_violation(&status, "page_token", "filter and order_by must be those of the first page");
    }
    let flavors = ListFlavorsRequest { page_size: 1, page_token: page_token.clone() };
    let status = nova.flavors().list_flavors(flavors).await.unwrap_err();
    assert_violation(&status, "page_token", "belongs to another list");
    // Only the size may change.
    let request = ListInstancesRequest { page_token, ..pages(1000, "", "") };
    assert_eq!(nova.list(request).await.unwrap().instances.len(), 2);
}

async fn what_is_no_token_is_told(db: TestDb) {
    let nova = Nova::start(db).await;
    nova.create(several(&nova.glance.with(&[]), 3)).await.unwrap();
    let token = nova.list(pages(1, "", "")).await.unwrap().next_page_token;
    let long = "A".repeat(100_000);
    for bad in [
        "2",
        "!",
        "e30",
        "bnVsbA",
        " ",
        "\0",
        &token[1..],
        &format!("{token}A"),
        &token.to_lowercase(),
        &long,
    ] {
        let request = ListInstancesRequest { page_token: bad.to_owned(), ..pages(1, "", "") };
        assert_violation(&nova.list(request).await.unwrap_err(), "page_token", "is not a page token");
    }
}

/// A caller can forge a token.
async fn a_forged_token_is_told(db: TestDb) {
    let nova = Nova::start(db).await;
    nova.create(several(&nova.glance.with(&[]), 3)).await.unwrap();
    let by_time = nova.list(pages(1, "", "")).await.unwrap().next_page_token;
    let by_name = nova.list(pages(1, "name", "")).await.unwrap().next_page_token;
    let forge = |token: &str, after: serde_json::Value| {
        let json = URL_SAFE_NO_PAD.decode(token).unwrap();
        let mut token: serde_json::Value = serde_json::from_slice(&json).unwrap();
        token["after"] = after;
        URL_SAFE_NO_PAD.encode(token.to_string())
    };
    let id = serde_json::json!({"id": "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11"});
    for (token, order_by, after) in [
        (&by_time, "", serde_json::json!([])),
        (&by_time, "", serde_json::json!([id])),
        (&by_time, "", serde_json::json!([{"text": "2026"}, id])),
        (&by_time, "", serde_json::json!([{"time": "-262143-01-01T00:00:00Z"}, id])),
        (&by_time, "", serde_json::json!([{"time": "+262142-12-31T00:00:00Z"}, id])),
        (&by_time, "", serde_json::json!([{"time": "-4800-01-01T00:00:00Z"}, id])),
        (&by_name, "name", serde_json::json!([{"text": "a\0b"}, id])),
        (&by_name, "name", serde_json::json!([{"integer": 1}, id])),
    ] {
        let request = ListInstancesRequest { page_token: forge(token, after), ..pages(1, order_by, "") };
        assert_violation(&nova.list(request).await.unwrap_err(), "page_token", "is not a page token");
    }
}
