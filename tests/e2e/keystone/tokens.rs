//! Which tokens count, over both edges.

use serde_json::json;
use tonic::Code;

use super::{Cloud, get};
use crate::world::{GRPCURL_RPC_ERROR, grpcurl_with};

const IMAGES: &str = "/v2/images";

/// Refused over both edges, each of which says where tokens are to be had.
fn is_refused(cloud: &Cloud, headers: &[(&str, &str)]) {
    let (status, answer) = get(&cloud.glance, IMAGES, headers);
    assert_eq!(status, 401, "{answer}");
    let challenge = format!("www-authenticate: Keystone uri=\"{}\"", cloud.keystone.url());
    assert!(answer.contains(&challenge), "{answer}");
    let (code, said) = over_grpc(cloud, headers);
    assert_eq!(code, Some(GRPCURL_RPC_ERROR + Code::Unauthenticated as i32), "{said}");
    assert!(said.contains(&cloud.keystone.url()), "{said}");
    assert!(headers.iter().all(|(_, value)| value.len() < 20 || !said.contains(value)), "{said}");
}

fn is_let_in(cloud: &Cloud, headers: &[(&str, &str)]) {
    let (status, answer) = get(&cloud.glance, IMAGES, headers);
    assert_eq!(status, 200, "{answer}");
    let (code, said) = over_grpc(cloud, headers);
    assert_eq!(code, Some(0), "{said}");
}

fn over_grpc(cloud: &Cloud, headers: &[(&str, &str)]) -> (Option<i32>, String) {
    let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let headers: Vec<_> = headers.iter().map(String::as_str).collect();
    let output = grpcurl_with(&headers, &cloud.glance, "glance.v1.ImageService/ListImages", &json!({}));
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn only_a_valid_token_counts() {
    let cloud = Cloud::start(&["--keystone-cache-s", "0"]);
    let token = cloud.keystone.token("demo", "demo").unwrap();
    is_let_in(&cloud, &[("x-auth-token", &token)]);
    is_refused(&cloud, &[]);
    for nonsense in ["nonsense", "demo:demo:admin", "x"] {
        is_refused(&cloud, &[("x-auth-token", nonsense)]);
    }
    // What a proxy would say counts for nobody.
    let said = [("x-user-id", "demo"), ("x-project-id", "demo"), ("x-roles", "admin")];
    is_refused(&cloud, &said);
    // Health and versions are for everybody.
    assert_eq!(get(&cloud.glance, "/healthcheck", &[]).0, 200);

    cloud.keystone.revoke(&token).unwrap();
    is_refused(&cloud, &[("x-auth-token", &token)]);
}

#[test]
fn headers_of_a_proxy_raise_nobody() {
    let cloud = Cloud::start(&[]);
    let reader = cloud.keystone.token("demo_reader", "demo").unwrap();
    let raised = [
        ("x-auth-token", reader.as_str()),
        ("x-roles", "admin"),
        ("x-project-id", "other"),
        ("x-on-behalf-of-roles", "admin"),
        ("content-type", "application/json"),
    ];
    let body = r#"{"name": "n"}"#;
    let answer = harness::http::call(cloud.glance.address(), "POST", IMAGES, &raised, body).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[test]
fn what_has_expired_counts_with_a_services_token_beside_it() {
    let mut cloud = Cloud::start(&["--keystone-cache-s", "0"]);
    // Whatever it issues for now has expired once it is up again.
    cloud.keystone.start_again(1).unwrap();
    let expired = cloud.keystone.token("demo", "demo").unwrap();
    cloud.keystone.start_again(3600).unwrap();
    let [service, user] = [("nova", "service"), ("demo", "demo")]
        .map(|(user, project)| cloud.keystone.token(user, project).unwrap());
    is_refused(&cloud, &[("x-auth-token", &expired)]);
    is_let_in(&cloud, &[("x-auth-token", &expired), ("x-service-token", &service)]);
    // That of a user is no service's, and one that is not valid spoils the request.
    is_refused(&cloud, &[("x-auth-token", &expired), ("x-service-token", &user)]);
    is_refused(&cloud, &[("x-auth-token", &user), ("x-service-token", "nonsense")]);
    is_refused(&cloud, &[("x-service-token", &service)]);
}
