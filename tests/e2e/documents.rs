//! The documents agree with the sources.

use std::{collections::BTreeSet, fs};

use harness::workspace;

/// The files that define reasons of errors.
const SOURCES: &[&str] = &[
    "chassis/src/caller.rs",
    "chassis/src/db/error.rs",
    "chassis/src/edge.rs",
    "chassis/src/edge/answer.rs",
    "chassis/src/edge/complete.rs",
    "chassis/src/edge/limits.rs",
    "chassis/src/edge/places.rs",
    "chassis/src/http/body.rs",
    "chassis/src/http/conditions.rs",
    "chassis/src/http/microversion.rs",
    "chassis/src/http/problem.rs",
    "chassis/src/quota.rs",
    "chassis/src/status.rs",
    "chassis/src/status/shared.rs",
    "cinder-svc/src/error/attachment.rs",
    "cinder-svc/src/error/data.rs",
    "cinder-svc/src/error/describe.rs",
    "cinder-svc/src/error/volume_type.rs",
    "cinder-svc/src/http/metadata.rs",
    "cinder-svc/src/http/volumes/attach.rs",
    "cinder-svc/src/http/volumes/image_metadata.rs",
    "cinder-svc/src/storage/unusable.rs",
    "glance-svc/src/error.rs",
    "glance-svc/src/http.rs",
    "glance-svc/src/http/absent.rs",
    "nova-api-svc/src/error/describe.rs",
    "nova-api-svc/src/error/volume.rs",
    "peers/src/cinder/describe.rs",
    "peers/src/glance/describe.rs",
];

#[test]
fn every_reason_is_documented_and_every_documented_reason_exists() {
    let read = |path: &str| fs::read_to_string(workspace::root().join(path)).unwrap();
    let codes = [
        "ABORTED",
        "ALREADY_EXISTS",
        "DATA_LOSS",
        "FAILED_PRECONDITION",
        "INVALID_ARGUMENT",
        "OUT_OF_RANGE",
        "PERMISSION_DENIED",
        "UNIMPLEMENTED",
        "UNKNOWN",
    ];
    let reasons = |words: BTreeSet<String>| -> BTreeSet<String> {
        words.into_iter().filter(|word| !codes.contains(&word.as_str())).collect()
    };
    let given = reasons(SOURCES.iter().flat_map(|path| constants(&read(path), '"')).collect());
    assert!(given.len() > 30, "{given:?}");
    assert_eq!(reasons(constants(&read("docs/errors.md"), '`')), given);
}

/// The quoted words in capitals.
fn constants(text: &str, quote: char) -> BTreeSet<String> {
    let words = text.split(quote).skip(1).step_by(2);
    let is_constant =
        |word: &&str| word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    words.filter(is_constant).map(str::to_owned).collect()
}
