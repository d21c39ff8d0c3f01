//! Compares two answers.

use serde_json::Value;

use crate::{
    answer::{Answer, Request},
    queries::decoded,
};

/// Headers that clients rely on.
const HEADERS: [&str; 7] =
    ["content-type", "content-range", "content-md5", "location", "accept-patch", "allow", "retry-after"];

/// The contents of an answer, without what always differs: times, hosts, messages, the order of tags.
pub(crate) fn told(request: &Request, answer: &Answer) -> Vec<(String, String)> {
    let mut told = Vec::new();
    for name in HEADERS {
        // `WebOb` declares an empty body as HTML.
        let is_of_nothing = name == "content-type" && answer.body.is_empty();
        if let Some(value) = answer.header(name).filter(|_| !is_of_nothing) {
            told.push((name.to_owned(), header(name, value)));
        }
    }
    if answer.is_good() {
        told.extend(body(request, answer));
    }
    told
}

fn header(name: &str, value: &str) -> String {
    match name {
        "content-type" => value.split(';').next().unwrap_or_default().to_lowercase(),
        "location" => value.split_once("/v2/").map_or(value, |(_, path)| path).to_owned(),
        "allow" | "accept-patch" => {
            let mut names: Vec<_> = value.split(',').map(str::trim).collect();
            names.sort_unstable();
            names.join(", ")
        }
        _ => value.to_owned(),
    }
}

fn body(request: &Request, answer: &Answer) -> Vec<(String, String)> {
    match serde_json::from_slice::<Value>(&answer.body) {
        Ok(Value::Object(members)) if !request.target.contains("/file") => members
            .into_iter()
            .map(|(name, value)| (name.clone(), member(&name, value).to_string()))
            .collect(),
        _ => vec![("body".to_owned(), String::from_utf8_lossy(&answer.body).into_owned())],
    }
}

fn member(name: &str, value: Value) -> Value {
    match value {
        Value::String(_) if matches!(name, "created_at" | "updated_at") => Value::from("TIME"),
        Value::String(_) if name == "description" => Value::from("DESCRIPTION"),
        Value::String(link) if matches!(name, "first" | "next") => Value::from(normal_link(&link)),
        Value::String(link) if name == "href" => Value::from(
            link.split_once("://")
                .and_then(|(_, rest)| rest.split_once('/'))
                .map_or(link.clone(), |(_, path)| path.to_owned()),
        ),
        Value::Array(mut tags) if name == "tags" => {
            tags.sort_by_key(ToString::to_string);
            Value::Array(tags)
        }
        // In no order.
        Value::Array(mut versions) if name == "versions" => {
            versions.sort_by_key(|version| version["id"].to_string());
            versions.into_iter().map(|version| member("version", version)).collect()
        }
        Value::Array(items) => items.into_iter().map(|item| member(name, item)).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name.clone(), member(&name, value))).collect()
        }
        other => other,
    }
}

/// A link, with its query pairs sorted and normalized.
fn normal_link(link: &str) -> String {
    let Some((path, query)) = link.split_once('?') else { return link.to_owned() };
    let mut pairs: Vec<_> = query.split('&').map(decoded).collect();
    pairs.sort();
    format!("{path}?{}", pairs.join("&"))
}

/// The differences between Glance's answer and ours.
pub(crate) fn differences(request: &Request, glance: &Answer, ours: &Answer) -> Vec<Difference> {
    if glance.status != ours.status {
        let status = |answer: &Answer| Some(answer.status.to_string());
        return vec![Difference { name: "status".to_owned(), glance: status(glance), ours: status(ours) }];
    }
    let (glance, ours) = (told(request, glance), told(request, ours));
    let find = |told: &[(String, String)], name: &str| {
        told.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let mut names: Vec<_> = glance.iter().chain(&ours).map(|(name, _)| name.clone()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .map(|name| Difference { glance: find(&glance, &name), ours: find(&ours, &name), name })
        .filter(|difference| difference.glance != difference.ours)
        .collect()
}

/// A difference between two answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// `status`, a header, or a member of the body.
    pub(crate) name: String,
    pub(crate) glance: Option<String>,
    pub(crate) ours: Option<String>,
}
