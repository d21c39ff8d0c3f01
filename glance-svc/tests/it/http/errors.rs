//! What every answer has, and the two forms of an error.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::json;

use crate::support::{Http, Settings, V21, Who, World};

on_both_databases!(
    every_answer_has_a_request_id,
    an_error_has_the_form_that_is_asked_for,
    an_error_in_html_tells_every_problem_escaped,
    an_error_in_json_says_all_that_grpc_says,
    refuses_a_body_that_is_no_json,
    refuses_a_body_that_is_too_large,
    refuses_bad_headers_of_the_caller,
    head_is_get_without_a_body,
    grpc_does_not_reach_http,
    a_text_that_no_database_takes_is_no_fault_of_ours,
    without_a_caller_nothing_is_known,
);

async fn every_answer_has_a_request_id(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for (given, shown) in [("mine", "req-mine"), ("req-mine", "req-mine")] {
        for path in ["/", "/v2/images", "/v2/images/nonsense", "/v2/nonsense", "/v2/images?limit=x"] {
            let answer = http.call("GET", path).header("x-request-id", given).send().await;
            assert_eq!(answer.header("x-openstack-request-id"), shown, "{path}");
        }
    }
    let (one, other) = (http.get("/").await, http.get("/").await);
    assert_ne!(one.header("x-openstack-request-id"), other.header("x-openstack-request-id"));
}

async fn an_error_has_the_form_that_is_asked_for(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for accept in [
        "*/*",
        "text/html",
        "text/html, application/json",
        "application/json, text/html",
        "application/octet-stream",
        "",
    ] {
        let answer = http.call("GET", "/v2/images/nonsense").header("accept", accept).send().await.is(404);
        assert_eq!(answer.header("content-type"), "text/html; charset=UTF-8", "{accept}");
        assert_eq!(answer.header("x-error-reason"), "IMAGE_NOT_FOUND");
        let text = answer.text();
        // The command-line client shows the lines of the body, without their tags.
        assert!(text.contains("<title>404 Not Found</title>"), "{text}");
        assert!(text.contains("no image nonsense<br /><br />"), "{text}");
    }
    for accept in ["text/plain", "application/octet-stream;q=0, text/plain;q=0.1"] {
        let answer = http.call("GET", "/v2/images/nonsense").header("accept", accept).send().await.is(404);
        assert_eq!(answer.header("content-type"), "text/plain; charset=UTF-8", "{accept}");
        assert_eq!(answer.header("x-error-reason"), "IMAGE_NOT_FOUND");
        assert_eq!(answer.text(), "404 Not Found\n\nno image nonsense\n");
    }
    for accept in ["application/json", "application/json, text/html;q=0.5", "application/json;charset=utf-8"]
    {
        let answer = http.call("GET", "/v2/images/nonsense").header("accept", accept).send().await;
        answer.error(404, "IMAGE_NOT_FOUND");
    }
}

async fn an_error_in_html_tells_every_problem_escaped(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let image = json!({"<script>": 1, "disk_format": "<b>\"&", "min_ram": "x"});
    let call = http.call("POST", "/v2/images").header("accept", "text/html").json(&image);
    let text = call.send().await.is(400).text();
    assert!(!text.contains("<script>") && !text.contains("<b>"), "{text}");
    for part in
        ["&lt;script&gt;: must be a string", "disk_format: &quot;&lt;b&gt;", "min_ram: must be an integer"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let text = http.call("GET", "/v2/images/%3Cscript%3E").header("accept", "*/*").send().await.text();
    assert!(text.contains("no image &lt;script&gt;"), "{text}");
}

async fn an_error_in_json_says_all_that_grpc_says(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    http.set(&id, "protected", json!(true)).await.is(200);
    let answer = http.delete(&format!("/v2/images/{id}")).await;
    assert_eq!(answer.error(403, "IMAGE_PROTECTED"), json!({"image_id": id}));
    let refused = world.delete(&id, "").await.unwrap_err();
    assert_eq!(answer.json()["error"]["message"], refused.message());
    assert_eq!(answer.json()["error"]["title"], "Forbidden");
    let metadata =
        http.post("/v2/images", json!({"min_ram": -1, "name": 1})).await.error(400, "INVALID_REQUEST");
    assert_eq!(metadata, json!({"fields": "name, min_ram", "violations": "2"}));
}

async fn refuses_a_body_that_is_no_json(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    let (image, members) = (format!("/v2/images/{id}"), format!("/v2/images/{id}/members"));
    for (method, path, kind) in [
        ("POST", "/v2/images", "application/json"),
        ("POST", &members, "application/json"),
        ("PATCH", &image, V21),
    ] {
        for body in ["", "{", "[", "nonsense", "{\"a\": 1,}", "[]]", "\u{feff}{}"] {
            let call = http.call(method, path).header("content-type", kind).text(body);
            call.send().await.violation("body", "is no JSON");
        }
        let call = http.call(method, path).header("content-type", kind).body(&b"{\"name\": \"\xff\"}"[..]);
        call.send().await.violation("body", "is no JSON");
    }
    for body in ["[]", "\"x\"", "1", "null"] {
        let call = http.call("POST", "/v2/images").header("content-type", "application/json").text(body);
        call.send().await.violation("body", "must be an object");
    }
    assert_eq!(http.list("").await, ["cirros"]);
}

async fn refuses_a_body_that_is_too_large(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    // With the names around it, a little more than is read.
    let value = "x".repeat(4 * 1024 * 1024);
    let metadata =
        http.post("/v2/images", json!({"name": "large", "k": value})).await.error(413, "MESSAGE_TOO_LARGE");
    assert_eq!(metadata["limit_bytes"], "4194304");
    let patch = json!([{"op": "add", "path": "/k", "value": value}]);
    http.patch(&id, patch).await.error(413, "MESSAGE_TOO_LARGE");
    assert_eq!(http.list("").await, ["cirros"]);
}

async fn refuses_bad_headers_of_the_caller(db: TestDb) {
    let http = World::start(db).await.http(Who::NOBODY);
    let long = "x".repeat(256);
    for name in ["x-user-id", "x-project-id", "x-roles"] {
        for (value, part) in [(long.as_str(), "has 256 characters"), ("é", "must be visible ASCII")] {
            let call = http.call("GET", "/v2/images").header(name, value);
            call.send().await.violation(name, part);
        }
    }
    let longest = "x".repeat(255);
    http.call("GET", "/v2/images").header("x-project-id", &longest).send().await.is(200);
}

async fn head_is_get_without_a_body(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    for path in ["/v2/images", "/v2/schemas/image", &format!("/v2/images/{id}")] {
        let (head, get) = (http.call("HEAD", path).send().await, http.get(path).await);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
    }
    http.call("HEAD", "/v2/images/nonsense").send().await.is(404);
}

/// A call as gRPC clients make it, but over HTTP/1.1, of which only the head is read.
async fn as_grpc(http: &Http, method: &str, path: &str) -> axum::http::response::Parts {
    let call = http.call(method, path).header("content-type", "application/grpc").body(&b"\0\0\0\0\0"[..]);
    call.begin().await.into_parts().0
}

async fn grpc_does_not_reach_http(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    for (method, path) in [
        ("POST", "/v2/images".to_owned()),
        ("DELETE", format!("/v2/images/{id}")),
        ("POST", "/nonsense".to_owned()),
        ("POST", "/".to_owned()),
    ] {
        let head = as_grpc(&http, method, &path).await;
        assert_eq!(
            (head.status.as_u16(), &head.headers["grpc-status"]),
            (200, &"12".parse().unwrap()),
            "{path}"
        );
        assert_eq!(head.headers["content-type"], "application/grpc");
    }
    assert_eq!(http.list("").await, ["cirros"], "nothing happened");
}

async fn a_text_that_no_database_takes_is_no_fault_of_ours(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    for text in ["%00", "a%00b", "%01", "%ED%A0%80", "%FF", "%F4%8F%BF%BF"] {
        for (method, path) in glance_svc::http::calls() {
            let parameters: Vec<_> = path.match_indices('{').map(|(start, _)| start).collect();
            for odd in &parameters {
                let mut named = String::new();
                for (position, part) in path.split_inclusive('}').enumerate() {
                    let (before, parameter) = part.split_once('{').unwrap_or((part, ""));
                    let is_odd = parameters.get(position) == Some(odd);
                    let known = if parameter == "image_id}" { &*id } else { "known" };
                    named.push_str(before);
                    if !parameter.is_empty() {
                        named.push_str(if is_odd { text } else { known });
                    }
                }
                let call = http.call(method.as_str(), &named).header("content-type", "application/json");
                let answer = call.text("{\"status\": \"accepted\"}").send().await;
                assert!(
                    (400..500).contains(&answer.status) || answer.status < 300,
                    "{method} {named}: {answer:?}"
                );
            }
        }
        for name in [
            "name",
            "status",
            "owner",
            "tag",
            "id",
            "marker",
            "limit",
            "sort",
            "created_at",
            "member_status",
            text,
        ] {
            let answer = http.get(&format!("/v2/images?{name}={text}")).await;
            assert!(answer.status < 500, "{name}={text}: {answer:?}");
        }
    }
    let member = http.delete(&format!("/v2/images/{id}/members/%00")).await;
    member.error(404, "MEMBER_NOT_FOUND");
}

async fn without_a_caller_nothing_is_known(db: TestDb) {
    let settings = Settings { identity: chassis::caller::Identity::Proxy, ..Settings::default() };
    let world = World::start_with(db, settings).await;
    let id = world.http(Who::OWNER).queued().await;
    let http = world.http(Who::NOBODY);
    for (method, path) in glance_svc::http::calls() {
        let path = path.replace("{image_id}", &id).replace("{name}", "image");
        let is_open = !path.starts_with("/v2/") || path == "/v2/";
        let call = http.call(method.as_str(), &path).header("x-auth-token", "root:ops:admin").text("{}");
        let answer = call.send().await;
        if is_open {
            assert!(answer.status < 400, "{method} {path}: {}", answer.text());
        } else {
            answer.error(401, "UNAUTHENTICATED");
        }
    }
    assert_eq!(world.http(Who::OWNER).list("").await, ["cirros"]);
}
