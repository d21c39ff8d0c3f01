//! The OpenAPI document, and the words in it.

use std::{collections::BTreeSet, sync::LazyLock};

use axum::http::Method;
use serde_json::Value;

static DOCUMENT: LazyLock<Document> = LazyLock::new(Document::read);

/// The OpenAPI document.
pub(crate) struct Document {
    document: Value,
    /// Names of query parameters.
    pub(crate) filters: Vec<String>,
    /// Names of request headers.
    pub(crate) headers: Vec<String>,
    /// Names of base attributes.
    pub(crate) attributes: Vec<String>,
    /// Values of enumerations.
    pub(crate) words: Vec<String>,
}

impl Document {
    pub(crate) fn get() -> &'static Self {
        &DOCUMENT
    }

    fn read() -> Self {
        let document = glance_svc::http::document();
        let names = |place: &str| {
            let paths = document["paths"].as_object().into_iter().flatten();
            let calls = paths.flat_map(|(_, item)| item.as_object().into_iter().flatten());
            let parameters = calls.flat_map(|(_, call)| call["parameters"].as_array().into_iter().flatten());
            let those = parameters.filter(|parameter| parameter["in"] == place);
            let names: BTreeSet<_> = those.filter_map(|parameter| parameter["name"].as_str()).collect();
            names.into_iter().map(str::to_owned).collect()
        };
        let (filters, mut headers): (_, Vec<_>) = (names("query"), names("header"));
        let others =
            ["Accept", "Content-Type", "Host", "X-Auth-Token", "X-Project-Id", "X-Request-Id", "X-Roles"];
        headers.extend(others.map(str::to_owned));
        let attributes = &document["components"]["schemas"]["Image"]["properties"];
        let attributes = attributes.as_object().into_iter().flat_map(|map| map.keys().cloned()).collect();
        let mut words = vec!["application/json".to_owned(), "application/octet-stream".to_owned()];
        collect(&document, &mut words);
        words.sort();
        words.dedup();
        Self { filters, headers, attributes, words, document }
    }

    /// The documented statuses of a call.
    pub(crate) fn statuses(&self, method: &Method, path: &str) -> impl Iterator<Item = &String> {
        let responses = &self.document["paths"][path][method.as_str().to_lowercase()]["responses"];
        responses.as_object().into_iter().flat_map(|responses| responses.keys())
    }
}

/// Collects the values of every enumeration, examples, and the types of bodies.
fn collect(value: &Value, words: &mut Vec<String>) {
    let members = value.as_object().into_iter().flatten();
    for (name, member) in members {
        match name.as_str() {
            "enum" | "examples" => {
                let texts = member.as_array().into_iter().flatten().filter_map(Value::as_str);
                words.extend(texts.map(str::to_owned));
            }
            "content" => words.extend(member.as_object().into_iter().flat_map(|types| types.keys().cloned())),
            _ => {}
        }
        collect(member, words);
    }
    value.as_array().into_iter().flatten().for_each(|item| collect(item, words));
}
