//! How errors are described: their headers, and their bodies in each form.

use super::{Conventions, Errors, Map, StatusCode, Value, json};
use crate::http::ErrorBody;

/// The header with the id of a request.
pub(super) const REQUEST_ID: &str = "x-openstack-request-id";

/// The name of the answer with an error of that status, such as `NotFound`.
pub(super) fn name(status: u16) -> String {
    let status = StatusCode::from_u16(status).ok();
    let words = status.and_then(|status| status.canonical_reason()).unwrap_or("Error");
    words.split(' ').collect()
}

/// A reference to a header of [`headers`].
pub(super) fn header(name: &str) -> Value {
    json!({"$ref": format!("#/components/headers/{name}")})
}

/// The headers of errors, and the request id.
pub(super) fn headers() -> Value {
    json!({
        REQUEST_ID: {
            "description": "Id of the request, as it stands in the log of the service.",
            "required": true,
            "schema": {"type": "string", "pattern": "^req-"},
        },
        "x-error-reason": {
            "description": "The reason of the error, for programs; a reason is never renamed.",
            "required": true,
            "schema": {"type": "string", "pattern": "^[A-Z0-9_]+$"},
        },
        "WWW-Authenticate": {
            "description": "How callers make themselves known: Keystone, and where it is, if the service knows.",
            "required": true,
            "schema": {"type": "string", "pattern": "^Keystone"},
        },
        "Accept-Patch": {
            "description": "The media types that a patch may have.",
            "schema": {"type": "string"},
        },
        "Accept-Encoding": {
            "description": "Where the body was coded: that it must not be.",
            "schema": {"type": "string", "enum": ["identity"]},
        },
        "Content-Range": {
            "description": "How many bytes there are.",
            "required": true,
            "schema": {"type": "string", "pattern": "^bytes \\*/[0-9]+$"},
        },
        "Retry-After": {
            "description": "Seconds to wait before trying again.",
            "required": true,
            "schema": {"type": "integer", "minimum": 1},
        },
    })
}

/// The headers that an error has beside those of every error.
const fn own_headers(status: u16) -> &'static [&'static str] {
    match status {
        401 => &["WWW-Authenticate"],
        415 => &["Accept-Patch", "Accept-Encoding"],
        416 => &["Content-Range"],
        503 => &["Retry-After"],
        _ => &[],
    }
}

/// The answers with errors, by their names.
pub(super) fn responses(body: ErrorBody, errors: &Errors) -> Value {
    let content: Map<_, _> = forms(body)
        .iter()
        .map(|(form, schema)| {
            let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
            ((*form).to_owned(), json!({"schema": schema}))
        })
        .collect();
    let answer = |status: u16, description: &str| {
        let names = [REQUEST_ID, "x-error-reason"].iter().chain(own_headers(status));
        let headers: Map<_, _> = names.map(|name| ((*name).to_owned(), header(name))).collect();
        json!({"description": description, "headers": headers, "content": content})
    };
    let answers = errors.iter().map(|(status, description)| (name(*status), answer(*status, description)));
    Value::Object(answers.collect())
}

/// The media types of errors, each with the name of its schema.
const fn forms(body: ErrorBody) -> &'static [(&'static str, &'static str)] {
    match body {
        ErrorBody::ByAccept => {
            &[("text/html", "ErrorPage"), ("text/plain", "ErrorText"), ("application/json", "Error")]
        }
        ErrorBody::Faults { .. } => &[("application/json", "Fault")],
    }
}

/// The schemas of errors, by their names.
pub(super) fn schemas(conventions: Conventions) -> Vec<(&'static str, Value)> {
    match conventions.error_body {
        ErrorBody::ByAccept => vec![
            (
                "ErrorPage",
                json!({
                    "type": "string",
                    "description": "The error as a page, for clients that ask for nothing else.",
                    "pattern": "^<html>",
                }),
            ),
            (
                "ErrorText",
                json!({
                    "type": "string",
                    "description": "The error as text, for clients that ask for it.",
                    "pattern": "^[45]",
                }),
            ),
            ("Error", error(conventions.domain)),
        ],
        ErrorBody::Faults { .. } => vec![("Fault", fault())],
    }
}

fn error(domain: &str) -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    let violation = json!({
        "type": "object",
        "required": ["field", "description"],
        "properties": {"field": text("What is wrong."), "description": text("Why.")},
    });
    let mut reason = text("What went wrong, for programs; never renamed.");
    reason["examples"] = json!(["UNAUTHENTICATED"]);
    let error = json!({
        "type": "object",
        "required": ["code", "title", "message", "reason", "domain", "metadata"],
        "properties": {
            "code": {"type": "integer", "description": "The HTTP status."},
            "title": text("The words of the HTTP status."),
            "message": text("What is wrong and what to do."),
            "reason": reason,
            "domain": {"type": "string", "enum": [domain]},
            "metadata": {
                "type": "object",
                "description": "The values of the message, by name.",
                "additionalProperties": {"type": "string"},
            },
            "violations": {
                "type": "array",
                "description": "Everything that is wrong with the request.",
                "items": violation,
            },
        },
        "additionalProperties": false,
    });
    json!({
        "type": "object",
        "description": "The error, for clients whose `Accept` names application/json.",
        "required": ["error"],
        "properties": {"error": error},
        "additionalProperties": false,
    })
}

fn fault() -> Value {
    let fault = json!({
        "type": "object",
        "required": ["code", "message"],
        "properties": {
            "code": {"type": "integer", "description": "The HTTP status."},
            "message": {"type": "string", "description": "What is wrong and what to do."},
            "retryAfter": {"type": "string", "description": "Seconds to wait before trying again."},
        },
    });
    json!({
        "type": "object",
        "description": "The error, under the name of its status, such as `itemNotFound`.",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": fault,
    })
}
