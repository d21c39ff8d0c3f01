//! Requests with one token at the same time are one question to Keystone.

use std::{io::Write as _, thread};

use harness::http;
use serde_json::json;

use super::{Cloud, get, until_asked};
use crate::{limits::until_in_flight, world::grpcurl_with};

const QUESTION: &str = "GET /v3/auth/tokens";

/// Requests at the same time.
const CALLERS: usize = 30;

#[test]
fn checks_of_one_token_are_one_question() {
    let cloud = Cloud::start(&["--keystone-cache-s", "0"]);
    let token = cloud.keystone.token("demo", "demo").unwrap();
    let headers = [("x-auth-token", token.as_str())];
    // From now on it has a token of its own.
    assert_eq!(get(&cloud.glance, "/v2/images", &headers).0, 200);
    let before = cloud.keystone.calls(QUESTION);

    cloud.keystone.signal("STOP").unwrap();
    // The one that asks first leaves.
    let mut first = http::connect(cloud.glance.address()).unwrap();
    write!(first, "GET /v2/images HTTP/1.1\r\nhost: glance\r\nx-auth-token: {token}\r\n\r\n").unwrap();
    until_in_flight(&cloud.glance, 1);
    thread::scope(|scope| {
        let callers: Vec<_> =
            (0..CALLERS).map(|_| scope.spawn(|| get(&cloud.glance, "/v2/images", &headers).0)).collect();
        until_in_flight(&cloud.glance, CALLERS + 1);
        drop(first);
        until_in_flight(&cloud.glance, CALLERS);
        cloud.keystone.signal("CONT").unwrap();
        for caller in callers {
            assert_eq!(caller.join().unwrap(), 200);
        }
    });
    assert_eq!(cloud.keystone.calls(QUESTION), before + 1);
    until_asked(&cloud.glance, "valid", 2);
}

#[test]
fn what_keystone_says_is_known_for_a_while() {
    let cloud = Cloud::start(&[]);
    let token = cloud.keystone.token("demo", "demo").unwrap();
    for _ in 0..10 {
        assert_eq!(get(&cloud.glance, "/v2/images", &[("x-auth-token", &token)]).0, 200);
    }
    assert_eq!(cloud.keystone.calls(QUESTION), 1);
    // Over gRPC as well.
    let header = format!("x-auth-token: {token}");
    let listed = grpcurl_with(&[&header], &cloud.glance, "glance.v1.ImageService/ListImages", &json!({}));
    assert!(listed.status.success(), "{listed:?}");
    assert_eq!(cloud.keystone.calls(QUESTION), 1);
}
