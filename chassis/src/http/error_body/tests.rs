//! What errors look like to clients of each service.

use axum::http::HeaderValue;

use super::*;
use crate::status::{Code, Description};
use common::violations::Violations;

const NOVA: Form = Form::Fault { over_quota: StatusCode::FORBIDDEN };
const CINDER: Form = Form::Fault { over_quota: StatusCode::PAYLOAD_TOO_LARGE };

/// The status, the body and `Retry-After` of an error.
fn answer(form: Form, problem: &Problem) -> (u16, serde_json::Value, Option<u64>) {
    let status = form.status(problem, problem.description.http_status());
    let body = form.render(problem, status, "nova");
    (status.as_u16(), serde_json::from_str(&body).unwrap(), form.retry_after(problem))
}

#[test]
fn the_form_is_what_is_asked_for() {
    use Form::{Html, Json, Plain};
    for (accept, form) in [
        ("application/json", Json),
        ("application/json; charset=utf-8", Json),
        ("application/json, text/html;q=0.5", Json),
        ("application/*", Json),
        ("text/html;q=0, */*", Json),
        ("application/json, text/html", Html),
        ("text/html, application/json", Html),
        ("application/json;q=0, */*;q=0.1", Html),
        ("TEXT/HTML", Html),
        ("text/*", Html),
        ("*/*", Html),
        ("text/plain", Plain),
        ("text/plain, text/html;q=0", Plain),
        ("application/octet-stream", Html),
        ("application/json;q=0", Html),
        ("", Html),
    ] {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        assert_eq!(Form::accepted(&headers), form, "{accept}");
    }
    assert_eq!(Form::accepted(&HeaderMap::new()), Html);
}

#[test]
fn html_holds_nothing_of_the_caller_unescaped() {
    let mut violations = Violations::one("<a>", "\"b\" & c");
    violations.add("d", "<script>");
    let problem = Problem::from(violations);
    let html = as_html(&problem, StatusCode::BAD_REQUEST);
    assert!(html.contains("<title>400 Bad Request</title>"));
    assert!(html.contains("&lt;a&gt;: &quot;b&quot; &amp; c<br />\n  d: &lt;script&gt;<br /><br />"));
    let text = as_text(&problem, StatusCode::BAD_REQUEST);
    assert!(text.starts_with("400 Bad Request\n\n2 violations") && text.ends_with("\n  d: <script>\n"));
}
#[test]
fn a_fault_has_the_name_of_its_status() {
    for (code, status, name) in [
        (Code::InvalidArgument, 400, "badRequest"),
        (Code::Unauthenticated, 401, "unauthorized"),
        (Code::PermissionDenied, 403, "forbidden"),
        (Code::NotFound, 404, "itemNotFound"),
        (Code::AlreadyExists, 409, "conflictingRequest"),
        (Code::Unimplemented, 501, "notImplemented"),
        (Code::Unavailable, 503, "serviceUnavailable"),
        (Code::Internal, 500, "computeFault"),
    ] {
        let problem = Problem::new("Instance s1 could not be found.", Description::new(code, "X"));
        let expected = json!({name: {"code": status, "message": "Instance s1 could not be found."}});
        assert_eq!(answer(NOVA, &problem), (status, expected, None), "{name}");
    }
    for (status, name) in [(405, "badMethod"), (406, "computeFault"), (415, "badMediaType")] {
        assert_eq!(fault_name(StatusCode::from_u16(status).unwrap()), name);
    }
}

#[test]
fn what_is_over_quota_is_forbidden_in_nova_and_over_limit_in_cinder() {
    let description = Description::new(Code::ResourceExhausted, "QUOTA_EXCEEDED");
    let quota = description.clone().detail(Detail::Quota { subject: "project volumes".to_owned() });
    let quota = Problem::new("too many", quota);
    let expected = json!({"forbidden": {"code": 403, "message": "too many"}});
    assert_eq!(answer(NOVA, &quota), (403, expected, None));
    let expected = json!({"overLimit": {"code": 413, "message": "too many", "retryAfter": "0"}});
    assert_eq!(answer(CINDER, &quota), (413, expected, Some(0)));
    let rate = description.http(StatusCode::TOO_MANY_REQUESTS);
    let rate = Problem::new("too fast", rate.detail(Detail::Retry(std::time::Duration::from_secs(2))));
    let expected = json!({"overLimit": {"code": 429, "message": "too fast", "retryAfter": "2"}});
    assert_eq!(answer(NOVA, &rate), (429, expected, Some(2)));
}

#[test]
fn a_fault_tells_every_violation() {
    let mut violations = Violations::one("name", "is too long");
    violations.add("size", "must be an integer");
    let (status, fault, _) = answer(CINDER, &Problem::from(violations));
    let message = fault["badRequest"]["message"].as_str().unwrap();
    assert!(status == 400 && message.ends_with("\nname: is too long\nsize: must be an integer"), "{message}");
}
