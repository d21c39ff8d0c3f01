//! Bodies of requests: their types, codings and sizes, and JSON. How many values a body has is counted before any is
//! made, since an object takes some hundred times as many bytes in memory as on its way.

use std::error::Error as _;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use common::{text::clip, violations::Violations};
use http_body_util::LengthLimitError;
use serde_json::Value;

use super::Problem;
use crate::status::{Code, Description};

/// The type of most bodies.
pub const JSON: &str = "application/json";

/// How large a body may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum size, in bytes.
    pub bytes: usize,
    /// Maximum number of values that it has as JSON: lists, objects, and what is in them.
    pub values: usize,
}

/// Reads the JSON of a body, whose type has been checked. Of a name that an object repeats, the last value counts, as in
/// Python.
pub async fn json(request: Request, limits: Limits) -> Result<Value, Problem> {
    check_coding(request.headers())?;
    let body = axum::body::to_bytes(request.into_body(), limits.bytes).await;
    let body = body.map_err(|error| unread(&error, limits.bytes))?;
    parse(&body, limits.values).map_err(Problem::from)
}

/// Why a body could not be read.
fn unread(error: &axum::Error, limit: usize) -> Problem {
    let is_too_large = error.source().is_some_and(<dyn std::error::Error>::is::<LengthLimitError>);
    if !is_too_large {
        return Violations::one("body", "broke off, or is not framed as its headers say").into();
    }
    let description = Description::new(Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    let sentence = format!("the body is larger than {limit} bytes");
    Problem::new(sentence, description.with("limit_bytes", limit))
}

/// The type of a request's body, without its parameters; empty where it is missing, or given twice.
#[must_use]
pub fn media_type(headers: &HeaderMap) -> &str {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let value = values.next().filter(|_| values.next().is_none());
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// Refuses a body of another type than `expected`. JSON must say so as well: a web page can have a browser send any
/// other type.
pub fn check_type(headers: &HeaderMap, expected: &str) -> Result<(), Problem> {
    let given = media_type(headers);
    if given.eq_ignore_ascii_case(expected) { Ok(()) } else { Err(unsupported_media_type(given, expected)) }
}

/// The answer to a body of a type that a call does not take.
#[must_use]
pub fn unsupported_media_type(given: &str, expected: &str) -> Problem {
    let description = Description::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE")
        .with("given", clip(given, 100))
        .with("expected", expected)
        .http(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    Problem::new(format!("the body must be of type {expected}"), description)
}

/// The name of no coding at all.
const PLAIN: &str = "identity";

/// Refuses a body that is coded, such as with gzip: it would be taken for the content itself.
pub fn check_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    let mut codings =
        values.flat_map(|value| value.to_str().unwrap_or("unreadable").split(',')).map(str::trim);
    match codings.find(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(PLAIN)) {
        None => Ok(()),
        Some(coding) => {
            let description = Description::new(Code::InvalidArgument, "UNSUPPORTED_CONTENT_ENCODING")
                .with("given", clip(coding, 100))
                .http(StatusCode::UNSUPPORTED_MEDIA_TYPE);
            let sentence = "the body must be sent as it is, without a Content-Encoding";
            let plain = HeaderValue::from_static(PLAIN);
            Err(Problem::new(sentence, description).with_header(header::ACCEPT_ENCODING, plain))
        }
    }
}

fn parse(body: &[u8], most_values: usize) -> Result<Value, Violations> {
    let count = count(body);
    if count > most_values {
        let problem = format!("has {count} values, at most {most_values} are allowed");
        return Err(Violations::one("body", problem));
    }
    serde_json::from_slice(body).map_err(|error| Violations::one("body", format!("is no JSON: {error}")))
}

/// How many values there are, or a few more: one, and one for each list, object and comma.
fn count(body: &[u8]) -> usize {
    let (mut count, mut is_text, mut is_escaped) = (1, false, false);
    for byte in body {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' | b'{' | b',' if !is_text => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_and_not_what_texts_say() {
        for (body, expected) in
            [("", 1), ("1", 1), ("[]", 2), (r#"{"a": 1, "b": [2, 3]}"#, 5), (r#"["[,\"{,\\", 1]"#, 3)]
        {
            assert_eq!(count(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn too_many_values_are_refused_with_their_number() {
        let problem = parse(b"[1, 1, 1, 1]", 4).unwrap_err().to_string();
        assert_eq!(problem, "body: has 5 values, at most 4 are allowed");
        assert!(parse(b"[1, 2]", 4).is_ok());
        assert!(parse(b"[", 4).unwrap_err().to_string().contains("is no JSON"));
    }

    #[test]
    fn of_a_name_that_is_repeated_the_last_value_counts() {
        assert_eq!(parse(br#"{"a": 1, "a": 2}"#, 4).unwrap()["a"], 2);
    }

    #[test]
    fn a_type_is_told_without_its_parameters() {
        for (lines, expected) in [
            (&[][..], ""),
            (&["application/json"], "application/json"),
            (&["Application/JSON; charset=utf-8"], "Application/JSON"),
            (&["application/json", "text/plain"], ""),
        ] {
            let lines = lines.iter().map(|line| (header::CONTENT_TYPE, line.parse().unwrap()));
            let mut headers = HeaderMap::new();
            headers.extend(lines);
            assert_eq!(media_type(&headers), expected);
            assert_eq!(check_type(&headers, JSON).is_ok(), expected.eq_ignore_ascii_case(JSON));
        }
    }

    #[test]
    fn a_body_must_not_be_coded() {
        for (line, is_plain) in [("identity", true), ("", true), ("gzip", false), ("identity, gzip", false)] {
            let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, line.parse().unwrap())]);
            assert_eq!(check_coding(&headers).is_ok(), is_plain, "{line}");
        }
    }
}
