//! The document that describes the API to programs.

use std::collections::BTreeSet;

use chassis::testing::TestDb;
use glance_svc::http::calls;
use serde_json::Value;

use crate::support::{Who, World};

/// What is beside the methods of a path: parameters that all of them have.
const SHARED: &str = "parameters";

fn document() -> Value {
    serde_json::from_str(include_str!("../../openapi.json")).unwrap()
}

/// Every call that the document describes: its method, its path, its description.
fn described(document: &Value) -> impl Iterator<Item = (String, &String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter().filter(|(name, _)| *name != SHARED);
        methods.map(move |(method, call)| (method.to_uppercase(), path, call))
    })
}

#[test]
fn describes_every_call_and_no_other() {
    let document = document();
    let described: BTreeSet<_> =
        described(&document).map(|(method, path, _)| (method, path.clone())).collect();
    let served: BTreeSet<_> = calls().map(|(method, path)| (method.to_string(), path.to_owned())).collect();
    assert_eq!(described, served);
}

#[test]
fn every_call_has_an_id_of_its_own_and_a_summary() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (method, path, call) in described(&document) {
        assert!(ids.insert(call["operationId"].as_str().unwrap()), "{method} {path}");
        assert!(!call["summary"].as_str().unwrap().is_empty(), "{method} {path}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut open = vec![&document];
    while let Some(value) = open.pop() {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        open.extend(value.as_array().into_iter().flatten());
        open.extend(value.as_object().into_iter().flat_map(|members| members.values()));
    }
}

#[tokio::test]
async fn is_served_to_whoever_asks() {
    let world = World::start(TestDb::sqlite()).await;
    let answer = world.http(Who::NOBODY).get("/openapi.json").await.is(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.json(), document());
}
