//! The description of an API for programs (OpenAPI), made from its handlers: each has its own in `#[utoipa::path]`, and
//! [`complete`] adds what holds for all of them.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use utoipa::{
    IntoResponses,
    openapi::{OpenApi, Ref, RefOr, Response},
};
use utoipa_axum::router::UtoipaMethodRouter;

use super::Conventions;

mod errors;

/// An error with this status, among the `responses` of a handler; [`complete`] adds those of every call.
#[derive(Debug, Clone, Copy)]
pub struct Refused<const STATUS: u16>;

impl<const STATUS: u16> IntoResponses for Refused<STATUS> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        BTreeMap::from([(STATUS.to_string(), Ref::from_response_name(errors::name(STATUS)).into())])
    }
}

/// Errors of every call that is not open to everybody: a request that makes no sense, an unknown caller, a failure, and
/// a database that is down or a service that is busy.
const OF_EVERY_CALL: [u16; 4] = [400, 401, 500, 503];

/// Errors of every call with a body: too large, and of the wrong type.
const OF_EVERY_BODY: [u16; 2] = [413, 415];

/// What an error with a status means in an API, by status.
pub type Errors = [(u16, &'static str)];

/// The whole document: `api`, whose errors look as `conventions` have it and mean this. Every answer has its request id,
/// every call needs a token unless its `security` says otherwise, and may fail as calls do.
#[must_use]
pub fn complete(api: &OpenApi, conventions: Conventions, errors: &Errors) -> Value {
    let mut document = json!(api);
    for operation in operations(&mut document) {
        describe_answers(operation);
    }
    let components = &mut document["components"];
    components["headers"] = errors::headers();
    components["responses"] = errors::responses(conventions.error_body, errors);
    for (name, schema) in errors::schemas(conventions) {
        components["schemas"][name] = schema;
    }
    components["securitySchemes"] = json!({"token": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Auth-Token",
        "description": "Who is calling: a token that Keystone issued. Behind a proxy that checks it, the proxy tells \
                        user, project and roles; for development, write it as USER:PROJECT:ROLE,ROLE.",
    }});
    document["security"] = json!([{"token": []}]);
    document
}

/// Lets programs follow an answer, at this pointer into the document, to operations whose path needs no more than
/// values of its body: `values` has the name of each, in the path and in the body.
pub fn link(document: &mut Value, answer: &str, values: &[(&str, &str)], operations: &[&str]) {
    let parameters: Map<_, _> = values
        .iter()
        .map(|(parameter, member)| ((*parameter).to_owned(), json!(format!("$response.body#/{member}"))))
        .collect();
    let links =
        operations.iter().map(|id| ((*id).to_owned(), json!({"operationId": id, "parameters": parameters})));
    if let Some(answer) = document.pointer_mut(answer) {
        answer["links"] = Value::Object(links.collect());
    }
}

/// The calls of an API, as method and path.
#[must_use]
pub fn calls(api: &OpenApi) -> Vec<(Method, String)> {
    let calls = api.paths.paths.iter().flat_map(|(path, item)| {
        let methods = [
            (Method::GET, &item.get),
            (Method::POST, &item.post),
            (Method::PUT, &item.put),
            (Method::PATCH, &item.patch),
            (Method::DELETE, &item.delete),
        ];
        methods.into_iter().filter(|(_, call)| call.is_some()).map(move |(method, _)| (method, path.clone()))
    });
    calls.collect()
}

/// The same call at another path, with an operation id of its own.
pub fn alias<S>(path: &str, id: &str, call: UtoipaMethodRouter<S>) -> UtoipaMethodRouter<S> {
    let (schemas, mut paths, router) = call;
    let items = std::mem::take(&mut paths.paths).into_values();
    for mut item in items {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            operation.operation_id = Some(id.to_owned());
        }
        paths.paths.insert(path.to_owned(), item);
    }
    (schemas, paths, router)
}

/// Every operation of every path.
fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    let items = paths.filter_map(|(_, item)| item.as_object_mut());
    items.flat_map(|item| item.iter_mut().map(|(_, operation)| operation))
}

fn describe_answers(operation: &mut Value) {
    let (has_body, is_open) = (operation.get("requestBody").is_some(), operation.get("security").is_some());
    let answers = &mut operation["responses"];
    for answer in answers.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if answer.get("$ref").is_some() {
            continue;
        }
        for header in
            answer.get_mut("headers").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
        {
            header["required"] = json!(true);
        }
        answer["headers"][errors::REQUEST_ID] = errors::header(errors::REQUEST_ID);
    }
    let of_call = OF_EVERY_CALL.iter().filter(|_| !is_open);
    for status in of_call.chain(OF_EVERY_BODY.iter().filter(|_| has_body)) {
        let reference = format!("#/components/responses/{}", errors::name(*status));
        answers[status.to_string()] = json!({"$ref": reference});
    }
}

#[cfg(test)]
mod tests;
