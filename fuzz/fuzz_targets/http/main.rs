//! The whole HTTP edge on a database of its own, in this process: no request makes it fail, and every answer is documented in
//! the OpenAPI document.
#![no_main]

use std::cell::RefCell;

use axum::http::{HeaderMap, StatusCode, header};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

use call::{Call, Target};
use document::Document;
use world::{Answer, World};

mod call;
mod document;
mod world;

/// After how many inputs to start a new world, so that lists stay short.
const INPUTS: usize = 500;

/// Maximum number of calls per input.
const CALLS: usize = 8;

thread_local! {
    static STATE: RefCell<Option<(World, usize)>> = const { RefCell::new(None) };
}

fuzz_target!(|input: (Option<&[u8]>, Vec<Call>)| {
    let (data, calls) = input;
    STATE.with_borrow_mut(|state| {
        let (world, inputs) = state.get_or_insert_with(|| (World::start(), 0));
        let image = world.image(data);
        for call in calls.iter().take(CALLS) {
            let Some(request) = call.request(&image) else { continue };
            let asked = request.headers().clone();
            check(&call.target, &asked, &world.send(request));
        }
        *inputs += 1;
        if *inputs == INPUTS {
            *state = None;
        }
    });
});

fn check(target: &Target, asked: &HeaderMap, answer: &Answer) {
    let Answer { status, headers, body } = answer;
    assert!(!status.is_server_error(), "{answer:?}");
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    if content_type.starts_with(b"application/grpc") {
        return;
    }
    if let Some((method, path)) = target.known() {
        let is_described = Document::get().statuses(&method, path).any(|known| known == status.as_str());
        assert!(is_described, "{method} {path} does not document {answer:?}");
    }
    if content_type == b"application/json" {
        let json: Value = serde_json::from_slice(body).expect("JSON is JSON");
        assert!(!status.is_client_error() || json["error"]["code"] == status.as_u16(), "{answer:?}");
    }
    if status.is_client_error() {
        assert!(headers.contains_key("x-error-reason"), "{answer:?}");
        let wants_json = asked.get(header::ACCEPT).is_some_and(|accept| accept == "application/json");
        assert_eq!(content_type == b"application/json", wants_json, "{answer:?}");
    }
    if matches!(*status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        assert!(body.is_empty(), "{answer:?}");
    }
}
