//! Conditional requests: no header with a condition is overlooked (for changes of an image itself, see `etags`).

use chassis::{on_both_databases, testing::TestDb};
use serde_json::json;

use crate::support::{Answer, Http, Who, World, file_path, image_path};

on_both_databases!(
    an_image_that_is_known_is_not_sent_again,
    a_read_of_what_it_is_no_more_is_refused,
    data_that_are_known_are_not_sent_again,
    a_part_is_sent_of_the_same_data_alone,
    a_head_knows_no_part,
    tags_and_actions_change_what_was_seen,
    data_are_for_the_image_that_was_seen,
    data_and_tags_can_be_required_to_be_new,
    members_have_no_etag,
);

async fn ask(http: &Http, method: &str, path: &str, header: (&str, &str)) -> Answer {
    http.call(method, path).header(header.0, header.1).send().await
}

async fn etag(http: &Http, path: &str) -> String {
    http.get(path).await.is(200).header("etag").to_owned()
}

/// An image with the data `0123456789`.
async fn ten(http: &Http) -> String {
    let id = http.queued().await;
    http.upload(&id, "0123456789").await.is(204);
    id
}

/// Checks what `If-None-Match` does to a read of that path.
async fn assert_known(http: &Http, path: &str) {
    let current = etag(http, path).await;
    for (known, status) in [
        (current.clone(), 304),
        (format!("W/{current}"), 304),
        (format!("\"a\", W/{current} ,\"b\""), 304),
        ("*".to_owned(), 304),
        ("\"a\"".to_owned(), 200),
        ("W/\"a\", \"b\"".to_owned(), 200),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = ask(http, method, path, ("if-none-match", &known)).await.is(status);
            assert_eq!(answer.header("etag"), current, "{known}");
            assert_eq!(answer.body.is_empty(), status == 304 || method == "HEAD", "{method} {known}");
        }
    }
    // In lines of their own.
    let call = http.call("GET", path).header("if-none-match", "\"a\"").header("if-none-match", &current);
    call.send().await.is(304);
}

/// Checks what `If-Match` does to a read of that path.
async fn assert_matched(http: &Http, path: &str) {
    let current = etag(http, path).await;
    for (given, status) in [
        (current.clone(), 200),
        ("*".to_owned(), 200),
        (format!("\"a\", {current}"), 200),
        (format!("W/{current}"), 412),
        ("\"a\"".to_owned(), 412),
    ] {
        let answer = ask(http, "GET", path, ("if-match", &given)).await;
        if status == 412 {
            assert_eq!(answer.error(412, "STALE_ETAG")["etag"], current.trim_matches('"'));
        }
        assert_eq!(answer.status, status, "{given}");
    }
}

async fn an_image_that_is_known_is_not_sent_again(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    assert_known(&http, &image_path(&id)).await;
}

async fn a_read_of_what_it_is_no_more_is_refused(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = ten(&http).await;
    assert_matched(&http, &image_path(&id)).await;
    assert_matched(&http, &file_path(&id)).await;
    let stranger =
        http.call("GET", "/v2/images/00000000-0000-4000-8000-000000000000").header("if-match", "\"a\"");
    stranger.send().await.error(404, "IMAGE_NOT_FOUND");
}

async fn data_that_are_known_are_not_sent_again(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = ten(&http).await;
    assert_known(&http, &file_path(&id)).await;
    // Before there are any, they are not known.
    let queued = http.queued().await;
    ask(&http, "GET", &file_path(&queued), ("if-none-match", "*")).await.is(204);
}

async fn a_part_is_sent_of_the_same_data_alone(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = ten(&http).await;
    let current = etag(&http, &file_path(&id)).await;
    for (begun, data) in [
        (current.clone(), "0123"),
        (format!("W/{current}"), "0123456789"),
        ("\"other\"".to_owned(), "0123456789"),
        (format!("{current}, \"other\""), "0123456789"),
        ("*".to_owned(), "0123456789"),
        ("Fri, 27 Nov 2026 16:00:00 GMT".to_owned(), "0123456789"),
        ("nonsense".to_owned(), "0123456789"),
    ] {
        for range in [("range", "bytes=0-3"), ("content-range", "bytes 0-3/*")] {
            let call = http.call("GET", &file_path(&id)).header(range.0, range.1).header("if-range", &begun);
            let answer = call.send().await.is(if data.len() == 4 { 206 } else { 200 });
            assert_eq!(answer.text(), data, "{begun}");
        }
    }
    // Nor is a part outside of other data.
    let call = http.call("GET", &file_path(&id)).header("range", "bytes=10-").header("if-range", "\"other\"");
    call.send().await.is(200);
}

async fn a_head_knows_no_part(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = ten(&http).await;
    for range in ["bytes=0-3", "bytes=10-", "bytes=0-1,3-4"] {
        let head = ask(&http, "HEAD", &file_path(&id), ("range", range)).await.is(200);
        assert_eq!((head.header("content-length"), head.body.len()), ("10", 0), "{range}");
        assert_eq!(head.header("content-range"), "");
    }
}

async fn tags_and_actions_change_what_was_seen(db: TestDb) {
    let world = World::start(db).await;
    let (http, admin) = (world.http(Who::OWNER), world.http(Who::ADMIN));
    let id = ten(&http).await;
    let (path, tag) = (image_path(&id), format!("{}/tags/t", image_path(&id)));
    for (http, method, target) in [
        (&http, "PUT", tag.clone()),
        (&http, "DELETE", tag.clone()),
        (&admin, "POST", format!("{path}/actions/deactivate")),
        (&admin, "POST", format!("{path}/actions/reactivate")),
    ] {
        let current = etag(http, &path).await;
        for stale in ["\"stale\"".to_owned(), format!("W/{current}"), "\"a\", \"b\"".to_owned()] {
            let refused = ask(http, method, &target, ("if-match", &stale)).await;
            assert_eq!(
                refused.error(412, "STALE_ETAG")["etag"],
                current.trim_matches('"'),
                "{method} {target}"
            );
        }
        assert_eq!(etag(http, &path).await, current, "{method} {target} did nothing");
        ask(http, method, &target, ("if-match", &current)).await.is(204);
        assert_ne!(etag(http, &path).await, current, "{method} {target}");
    }
    ask(&http, "PUT", &tag, ("if-match", "*")).await.is(204);
    // Callers who must not see it learn nothing of it.
    let stranger = world.http(Who::STRANGER);
    ask(&stranger, "PUT", &tag, ("if-match", "\"stale\"")).await.error(404, "IMAGE_NOT_FOUND");
}

async fn data_are_for_the_image_that_was_seen(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let upload = |etag: &str| {
        let call = http.call("PUT", &file_path(&id)).header("content-type", "application/octet-stream");
        call.header("if-match", etag).text("hello").send()
    };
    let first = etag(&http, &image_path(&id)).await;
    http.set(&id, "k", json!("v")).await.is(200);
    upload(&first).await.error(412, "STALE_ETAG");
    let current = etag(&http, &image_path(&id)).await;
    upload(&format!("W/{current}")).await.error(412, "STALE_ETAG");
    assert_eq!(etag(&http, &image_path(&id)).await, current);
    assert!(world.data().is_empty());
    upload(&current).await.is(204);
    assert_eq!(http.download(&id).await.is(200).text(), "hello");
}

async fn data_and_tags_can_be_required_to_be_new(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    let tag = format!("{}/tags/t", image_path(&id));
    let new = ("if-none-match", "*");
    ask(&http, "PUT", &tag, new).await.is(204);
    assert_eq!(ask(&http, "PUT", &tag, new).await.error(412, "CONDITION_FAILED")["header"], "If-None-Match");
    http.call("PUT", &tag).send().await.is(204);
    let upload = || {
        let call = http.call("PUT", &file_path(&id)).header("content-type", "application/octet-stream");
        call.header(new.0, new.1).text("hello").send()
    };
    upload().await.is(204);
    upload().await.error(412, "CONDITION_FAILED");
    http.upload(&id, "other").await.error(409, "ILLEGAL_STATUS_MOVE");
    assert_eq!(http.download(&id).await.is(200).text(), "hello");
}

async fn members_have_no_etag(db: TestDb) {
    let world = World::start(db).await;
    let (http, member) = (world.http(Who::OWNER), world.http(Who::PENDING));
    let id = http.queued().await;
    http.set(&id, "visibility", json!("shared")).await.is(200);
    let members = format!("{}/members", image_path(&id));
    let path = format!("{members}/{}", Who::PENDING.project);
    let image = etag(&http, &image_path(&id)).await;
    let answer = |header: (&'static str, String)| {
        let call = member.call("PUT", &path).header(header.0, &header.1);
        call.json(&json!({"status": "accepted"})).send()
    };
    // Before there is one, it is not found.
    answer(("if-match", image.clone())).await.error(404, "IMAGE_NOT_FOUND");
    http.post(&members, json!({"member": Who::PENDING.project})).await.is(200);
    for (header, value) in [("if-match", &*image), ("if-match", "\"a\""), ("if-none-match", "*")] {
        let refused = answer((header, value.to_owned())).await.error(412, "CONDITION_FAILED");
        assert_eq!(refused["header"].as_str().unwrap().to_lowercase(), header);
        ask(&http, "DELETE", &path, (header, value)).await.error(412, "CONDITION_FAILED");
    }
    assert_eq!(http.get(&path).await.is(200).json()["status"], "pending");
    answer(("if-match", "*".to_owned())).await.is(200);
    ask(&http, "DELETE", &path, ("if-none-match", "\"a\"")).await.is(204);
}
