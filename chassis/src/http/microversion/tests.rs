//! What Nova and Cinder do with versions, over HTTP.

use axum::{Router, body::to_bytes, middleware, routing::get};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::http::{Conventions, ErrorBody};

fn compute() -> Microversions {
    Microversions {
        service: "compute",
        legacy_header: Some(HeaderName::from_static("x-openstack-nova-api-version")),
        min: Microversion::new(2, 1),
        max: Microversion::new(2, 104),
    }
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    headers
}

#[test]
fn a_request_speaks_the_version_that_it_names() {
    const LEGACY: &str = "X-OpenStack-Nova-API-Version";
    const STANDARD: &str = "OpenStack-API-Version";
    for (lines, expected) in [
        (&[][..], "2.1"),
        (&[(STANDARD, "compute 2.53")], "2.53"),
        (&[(STANDARD, "Compute  2.53 ")], "2.53"),
        (&[(STANDARD, "compute latest")], "2.104"),
        (&[(STANDARD, "volume 3.60, compute 2.53,placement 1.0")], "2.53"),
        (&[(STANDARD, "volume 3.60"), (STANDARD, "compute 2.53")], "2.53"),
        (&[(STANDARD, "compute 2.53, compute 2.60")], "2.60"),
        (&[(STANDARD, "volume 3.60")], "2.1"),
        (&[(STANDARD, "2.53")], "2.1"),
        (&[(LEGACY, "2.53")], "2.53"),
        (&[(LEGACY, "latest")], "2.104"),
        (&[(LEGACY, "2.53"), (STANDARD, "compute 2.60")], "2.60"),
        (&[(LEGACY, "2.53"), (STANDARD, "volume 3.60")], "2.53"),
    ] {
        let version = compute().requested(&headers(lines)).unwrap();
        assert_eq!(version.to_string(), expected, "{lines:?}");
    }
}

#[test]
fn a_version_has_one_spelling() {
    assert_eq!("2.0".parse(), Ok(Microversion::new(2, 0)));
    for text in ["", "2", "2.", ".1", "2.1.0", "02.1", "2.01", "0.1", "2.x", "-2.1", "2.+1", " 2.1", "Latest"]
    {
        assert!(text.parse::<Microversion>().is_err(), "{text}");
    }
    let (ninth, tenth) = ("2.9".parse::<Microversion>().unwrap(), "2.10".parse().unwrap());
    assert!(ninth < tenth);
}

#[test]
fn ranges_include_both_ends() {
    let at = |minor| Microversion::new(2, minor);
    let (tags, personality) = (Range::since(at(26)), Range::until(at(56)));
    assert_eq!([25, 26, 104].map(|minor| at(minor).is_in(tags)), [false, true, true]);
    assert_eq!([1, 56, 57].map(|minor| at(minor).is_in(personality)), [true, true, false]);
    let between = tags.and_until(at(56));
    assert_eq!([25, 26, 56, 57].map(|minor| at(minor).is_in(between)), [false, true, true, false]);
    assert!(at(26).require(between).is_ok() && at(57).require(between).is_err());
}

/// A router with one call that exists since 2.26, on a server of its own; gives its address.
async fn serve() -> String {
    async fn tags(version: Microversion) -> Result<String, Problem> {
        version.require(Range::since(Microversion::new(2, 26)))?;
        Ok(version.to_string())
    }
    let edge = Conventions {
        domain: "nova",
        error_body: ErrorBody::Faults { over_quota: StatusCode::FORBIDDEN },
        compute_request_id: true,
    };
    let router = Router::new()
        .route("/tags", get(tags))
        .layer(middleware::from_fn_with_state(Arc::new(compute()), negotiate))
        .layer(edge);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/tags", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// What a GET with that version is answered: status, headers and body.
async fn ask(address: &str, version: &str) -> (u16, HeaderMap, String) {
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new());
    let client: hyper_util::client::legacy::Client<_, axum::body::Body> = client.build_http();
    let request = axum::http::Request::get(address)
        .header(API_VERSION, version)
        .header("x-request-id", "req-1")
        .body(axum::body::Body::empty());
    let (parts, body) = client.request(request.unwrap()).await.unwrap().into_parts();
    let body = to_bytes(axum::body::Body::new(body), 4096).await.unwrap();
    (parts.status.as_u16(), parts.headers, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn answers_say_which_version_they_speak() {
    let address = serve().await;
    let (status, headers, body) = ask(&address, "compute 2.53").await;
    assert_eq!((status, body.as_str()), (200, "2.53"));
    assert_eq!(headers[API_VERSION], "compute 2.53");
    assert_eq!(headers["x-openstack-nova-api-version"], "2.53");
    let vary: Vec<_> = headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["openstack-api-version", "x-openstack-nova-api-version"]);
    assert_eq!(headers["x-openstack-request-id"], "req-1");
    assert_eq!(headers["x-compute-request-id"], "req-1");
}

#[tokio::test]
async fn what_a_version_does_not_have_is_not_found() {
    let address = serve().await;
    let (status, headers, body) = ask(&address, "compute 2.25").await;
    assert_eq!((status, &headers[API_VERSION]), (404, &HeaderValue::from_static("compute 2.25")));
    let fault = serde_json::from_str::<Value>(&body).unwrap();
    assert_eq!(fault["itemNotFound"]["code"], 404);
}

#[tokio::test]
async fn versions_out_of_range_and_malformed_ones_are_refused() {
    let address = serve().await;
    let (status, headers, body) = ask(&address, "compute 2.999").await;
    assert_eq!((status, headers.get(API_VERSION)), (406, None));
    let message = "Version 2.999 is not supported by the API. Minimum is 2.1 and maximum is 2.104.";
    let expected = json!({"computeFault": {"code": 406, "message": message}});
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
    assert_eq!(headers["x-error-reason"], "MICROVERSION_NOT_SUPPORTED");
    let (status, _, body) = ask(&address, "compute 2.x").await;
    assert_eq!(status, 400);
    assert!(serde_json::from_str::<Value>(&body).unwrap()["badRequest"]["message"].is_string(), "{body}");
}
