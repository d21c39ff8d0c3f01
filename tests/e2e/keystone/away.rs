//! Keystone is away, and back again.

use serde_json::json;
use tonic::Code;

use super::{Cloud, get};
use crate::world::{GRPCURL_RPC_ERROR, grpcurl_with};

#[test]
fn known_tokens_go_on_and_nobody_else_is_let_in() {
    let mut cloud = Cloud::start(&[]);
    let [known, new] = [("demo", "demo"), ("alt_demo", "alt_demo")]
        .map(|(user, project)| cloud.keystone.token(user, project).unwrap());
    let status = |cloud: &Cloud, token: &str| get(&cloud.glance, "/v2/images", &[("x-auth-token", token)]);
    assert_eq!(status(&cloud, &known).0, 200);

    cloud.keystone.kill().unwrap();
    assert_eq!(status(&cloud, &known).0, 200);
    for token in [new.as_str(), "nonsense"] {
        let (code, answer) = status(&cloud, token);
        assert_eq!(code, 503, "{answer}");
        assert!(answer.contains("retry-after: 1") && answer.contains("KEYSTONE_UNAVAILABLE"), "{answer}");
    }
    // Whoever runs the service learns of it, over either edge.
    assert!(cloud.glance.log().contains("request failed for now"), "{}", cloud.glance.log());
    let header = format!("x-auth-token: {new}");
    let output = grpcurl_with(&[&header], &cloud.glance, "glance.v1.ImageService/ListImages", &json!({}));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(GRPCURL_RPC_ERROR + Code::Unavailable as i32), "{said}");
    assert!(said.contains("KEYSTONE_UNAVAILABLE") && said.contains("google.rpc.RetryInfo"), "{said}");
    // The service is ready for whoever is known.
    assert_eq!(get(&cloud.glance, "/healthcheck", &[]).0, 200);

    cloud.keystone.start_again(3600).unwrap();
    assert_eq!(status(&cloud, &new).0, 200);
    assert_eq!(status(&cloud, "nonsense").0, 401);
}

#[test]
fn a_service_that_keystone_has_forgotten_logs_in_again() {
    let mut cloud = Cloud::start(&["--keystone-cache-s", "0"]);
    let status = |cloud: &Cloud, token: &str| get(&cloud.glance, "/v2/images", &[("x-auth-token", token)]).0;
    let before = cloud.keystone.token("demo", "demo").unwrap();
    assert_eq!(status(&cloud, &before), 200);
    // With other keys, no token of before is one.
    cloud.keystone.change_keys().unwrap();
    let after = cloud.keystone.token("demo", "demo").unwrap();
    assert_eq!(status(&cloud, &after), 200);
    assert_eq!(status(&cloud, &before), 401);
}
