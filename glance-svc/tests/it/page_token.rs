//! Page tokens, sizes and orders that are wrong: `INVALID_ARGUMENT` that says what is allowed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::ListImagesRequest;

use crate::support::{Glance, assert_violation, by};

on_both_databases!(
    refuses_what_is_no_token,
    refuses_the_token_of_another_list,
    refuses_forged_tokens,
    refuses_a_negative_size,
    refuses_bad_orders,
);

/// A token of the list in that order.
async fn token(glance: &Glance, order_by: &str) -> String {
    for name in ["a", "b"] {
        glance.named(name).await;
    }
    let page = glance.list(ListImagesRequest { page_size: 1, ..by(order_by) }).await.unwrap();
    assert!(!page.next_page_token.is_empty());
    page.next_page_token
}

async fn refuses_what_is_no_token(db: TestDb) {
    let glance = Glance::start(db).await;
    let token = token(&glance, "name").await;
    let cut = &token[..token.len() - 2];
    for bad in ["x", "?", "🦀", "e30", "bnVsbA", cut, &format!("{token}="), &"A".repeat(100_000)] {
        let request = ListImagesRequest { page_token: bad.to_owned(), ..by("name") };
        let refused = glance.list(request).await.unwrap_err();
        assert_violation(&refused, "page_token", "take next_page_token of the previous page");
    }
}

async fn refuses_the_token_of_another_list(db: TestDb) {
    let glance = Glance::start(db).await;
    let page_token = token(&glance, "name").await;
    for (filter, order_by) in [("", ""), ("", "name desc"), ("", "status"), ("name = a", "name")] {
        let request = ListImagesRequest {
            page_token: page_token.clone(),
            filter: filter.to_owned(),
            order_by: order_by.to_owned(),
            page_size: 1,
        };
        let refused = glance.list(request).await.unwrap_err();
        assert_violation(&refused, "page_token", "filter and order_by must be those of the first page");
    }
    let other_size = ListImagesRequest { page_token, page_size: 7, ..by("name") };
    assert_eq!(glance.list(other_size).await.unwrap().images.len(), 1);
}

async fn refuses_forged_tokens(db: TestDb) {
    let glance = Glance::start(db).await;
    let token = token(&glance, "create_time").await;
    let json = String::from_utf8(URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap();
    let start = json.find("[{").unwrap();
    let id = "{\"id\":\"6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11\"}";
    for after in [
        "[]".to_owned(),
        "[{\"text\":\"a\"}]".to_owned(),
        format!("[{id}]"),
        format!("[{id},{id}]"),
        format!("[{{\"text\":\"a\"}},{id}]"),
        format!("[{{\"integer\":1}},{id}]"),
        format!("[{{\"time\":\"2026-01-01T00:00:00Z\"}},{id},{id}]"),
        format!("[{{\"time\":\"-100000-01-01T00:00:00Z\"}},{id}]"),
        format!("[{{\"time\":\"+262142-01-01T00:00:00Z\"}},{id}]"),
    ] {
        let forged = URL_SAFE_NO_PAD.encode(format!("{}{after}}}", &json[..start]));
        let request = ListImagesRequest { page_token: forged, ..by("create_time") };
        match glance.list(request).await {
            Ok(page) => panic!("{after} gives {page:?}"),
            Err(refused) => assert_violation(&refused, "page_token", "is not a page token"),
        }
    }
}

async fn refuses_a_negative_size(db: TestDb) {
    let glance = Glance::start(db).await;
    for page_size in [-1, i32::MIN] {
        let refused = glance.list(ListImagesRequest { page_size, ..Default::default() }).await.unwrap_err();
        assert_violation(&refused, "page_size", "1 to 1000, or 0 for 25");
    }
}

async fn refuses_bad_orders(db: TestDb) {
    let glance = Glance::start(db).await;
    let known = "name, status, disk_format, container_format, size, id, create_time, update_time";
    for bad in [
        "nonsense",
        "name ascending",
        "name desc desc",
        "name DESC",
        "Name",
        "name;",
        "name,",
        ",",
        "owner",
        "tags",
        "properties.os",
        "name desc status",
        "(name)",
        &"x".repeat(1000),
        &"🦀 ".repeat(500),
    ] {
        assert_violation(&glance.list(by(bad)).await.unwrap_err(), "order_by", known);
    }
    let twice = glance.list(by("name,size,name desc")).await.unwrap_err();
    assert_violation(&twice, "order_by", "\"name desc\" is there twice");
}
