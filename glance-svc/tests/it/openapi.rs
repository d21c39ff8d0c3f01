//! The document that describes the API to programs.

use std::collections::BTreeSet;

use chassis::testing::TestDb;
use glance_svc::http::document;
use serde_json::Value;

use crate::support::{Who, World};

/// Every call that the document describes: its method, its path, its description.
fn described(document: &Value) -> impl Iterator<Item = (String, &String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, call)| (method.to_uppercase(), path, call))
    })
}

#[tokio::test]
async fn every_call_that_is_described_is_served() {
    let http = World::start(TestDb::sqlite()).await.http(Who::ADMIN);
    let document = document();
    for (method, path, _) in described(&document) {
        let path = path.replace("{name}", "image");
        let answer = http.call(&method, &path).text("").send().await;
        assert_ne!(answer.header("x-error-reason"), "METHOD_NOT_FOUND", "{method} {path}");
    }
}

#[test]
fn every_path_says_what_its_parameters_are() {
    let document = document();
    for (method, path, call) in described(&document) {
        let parameters = call["parameters"].as_array().into_iter().flatten();
        let described: BTreeSet<_> = parameters
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let named = path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap());
        assert_eq!(described, named.collect(), "{method} {path}");
    }
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

#[test]
fn every_link_leads_to_a_call() {
    let document = document();
    let ids: BTreeSet<_> = described(&document).map(|(_, _, call)| call["operationId"].as_str()).collect();
    let answers =
        described(&document).flat_map(|(_, _, call)| call["responses"].as_object().unwrap().values());
    let links: Vec<_> = answers.filter_map(|answer| answer["links"].as_object()).flatten().collect();
    assert!(links.len() > 10, "{links:?}");
    for (name, link) in links {
        assert!(ids.contains(&link["operationId"].as_str()), "{name}");
    }
}

#[tokio::test]
async fn is_served_to_whoever_asks() {
    let world = World::start(TestDb::sqlite()).await;
    let answer = world.http(Who::NOBODY).get("/openapi.json").await.is(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.json(), document());
}
