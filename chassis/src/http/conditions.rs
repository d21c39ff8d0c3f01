//! Conditions of a request (RFC 9110, 13): the etags that its resource must have, or must not have.

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use common::text::clip;

use crate::status::{Code, Description};

/// A condition that does not hold, where there is no etag to compare.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{header} does not hold: {problem}")]
pub struct Unmet {
    header: &'static str,
    problem: String,
}

impl Unmet {
    /// The error of a PUT whose target must be new (`If-None-Match: *`) and exists already; `what` names the target.
    #[must_use]
    pub fn exists(what: &str) -> Self {
        Self { header: "If-None-Match", problem: format!("{what} is there already") }
    }

    /// How the error looks to a caller.
    #[must_use]
    pub fn describe(&self) -> Description {
        let description = Description::new(Code::FailedPrecondition, "CONDITION_FAILED");
        description.with("header", self.header).http(StatusCode::PRECONDITION_FAILED)
    }
}

/// The etags that a read insisted on (`If-Match`), none of which the resource has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale(
    /// Those etags, shortened for an error.
    pub String,
);

/// The etags that a header names.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    /// Whichever there is.
    Any,
    These(Vec<Tag>),
}

/// An etag.
#[derive(Debug, PartialEq, Eq)]
struct Tag {
    is_weak: bool,
    /// What is between its quotes; some clients leave them out.
    text: String,
}

impl Named {
    /// The etags of all lines of a header; none without it.
    fn of(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let lines: Vec<_> = headers.get_all(name).iter().collect();
        if lines.is_empty() {
            return None;
        }
        // What cannot be read is no etag of ours.
        let lines: Vec<_> = lines.iter().map(|line| line.to_str().unwrap_or("unreadable")).collect();
        let listed = lines.join(",");
        if listed.trim() == "*" {
            return Some(Self::Any);
        }
        Some(Self::These(listed.split(',').map(Tag::read).collect()))
    }

    /// Whether the one there is, is one of them; a weak one never is (RFC 9110, 8.8.3.2).
    fn strongly(&self, current: &str) -> bool {
        self.has(|tag| !tag.is_weak && tag.text == current)
    }

    /// As [`Named::strongly`], weak or not.
    fn weakly(&self, current: &str) -> bool {
        self.has(|tag| tag.text == current)
    }

    fn has(&self, is_it: impl Fn(&Tag) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(is_it),
        }
    }
}

impl Tag {
    fn read(text: &str) -> Self {
        let text = text.trim();
        let (is_weak, text) = text.strip_prefix("W/").map_or((false, text), |text| (true, text));
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        Self { is_weak, text: bare.to_owned() }
    }

    fn shown(self) -> String {
        if self.is_weak { format!("W/\"{}\"", self.text) } else { self.text }
    }
}

/// The etags one of which a resource must have to be changed (`If-Match`); none if any will do.
#[must_use]
pub fn of_change(headers: &HeaderMap) -> Vec<String> {
    match Named::of(headers, &header::IF_MATCH) {
        None | Some(Named::Any) => Vec::new(),
        // A weak etag never matches; written out, it equals none of a service's.
        Some(Named::These(tags)) => tags.into_iter().map(Tag::shown).collect(),
    }
}

/// Whether the target of a PUT must not exist yet (`If-None-Match: *`).
#[must_use]
pub fn must_be_new(headers: &HeaderMap) -> bool {
    Named::of(headers, &header::IF_NONE_MATCH) == Some(Named::Any)
}

/// Checks the conditions of a change of an existing resource that has no etag, so that none can match; `what` names
/// the resource.
pub fn check_without_etag(headers: &HeaderMap, what: &str) -> Result<(), Unmet> {
    if !of_change(headers).is_empty() {
        return Err(Unmet { header: "If-Match", problem: format!("{what} has no etag") });
    }
    if must_be_new(headers) {
        return Err(Unmet::exists(what));
    }
    Ok(())
}

/// Whether a read is to be answered with the resource, whose etag is `current`: not if the caller has it already
/// (`If-None-Match`). It is refused if the caller insists on another etag (`If-Match`).
pub fn of_read(headers: &HeaderMap, current: &str) -> Result<bool, Stale> {
    if Named::of(headers, &header::IF_MATCH).is_some_and(|named| !named.strongly(current)) {
        return Err(Stale(clip(&of_change(headers).join(", "), 100)));
    }
    Ok(!Named::of(headers, &header::IF_NONE_MATCH).is_some_and(|named| named.weakly(current)))
}

/// Whether `Range` counts: with `If-Range`, only while the data still have the etag it names. Data have no date, so
/// that a date never matches.
#[must_use]
pub fn counts_part(headers: &HeaderMap, current: &str) -> bool {
    let mut lines = headers.get_all(header::IF_RANGE).iter();
    match (lines.next(), lines.next()) {
        (None, _) => true,
        (Some(line), None) => line.to_str().is_ok_and(|etag| etag.trim() == format!("\"{current}\"")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        let lines = lines.iter().map(|line| (name.clone(), line.parse().unwrap()));
        let mut headers = HeaderMap::new();
        headers.extend(lines);
        headers
    }

    #[test]
    fn a_change_needs_one_of_the_strong_etags() {
        for (lines, expected) in [
            (&[][..], &[][..]),
            (&["*"], &[]),
            (&["\"a\""], &["a"]),
            (&["a"], &["a"]),
            (&["\"a\" , \"b\"", "c"], &["a", "b", "c"]),
            (&["W/\"a\""], &["W/\"a\""]),
            (&["\"a\", *"], &["a", "*"]),
            (&["*", "*"], &["*", "*"]),
            (&[""], &[""]),
        ] {
            assert_eq!(of_change(&given(&header::IF_MATCH, lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_read_is_answered_unless_the_caller_has_it() {
        for (lines, is_sent) in [
            (&[][..], true),
            (&["\"b\""], true),
            (&["*"], false),
            (&["\"a\""], false),
            (&["W/\"a\""], false),
            (&["\"b\",W/\"a\""], false),
            (&["\"b\"", "a"], false),
            (&["w/\"a\""], true),
        ] {
            let headers = given(&header::IF_NONE_MATCH, lines);
            assert_eq!(of_read(&headers, "a").unwrap(), is_sent, "{lines:?}");
            let headers = given(&header::IF_MATCH, lines);
            let is_strong = lines.is_empty() || (!is_sent && !lines.concat().contains("W/"));
            assert_eq!(of_read(&headers, "a").is_ok(), is_strong, "{lines:?}");
        }
    }

    #[test]
    fn a_range_counts_only_for_the_same_data() {
        for (lines, counts) in [
            (&[][..], true),
            (&["\"a\""], true),
            (&["\"b\""], false),
            (&["W/\"a\""], false),
            (&["a"], false),
            (&["*"], false),
            (&["\"a\", \"b\""], false),
            (&["Fri, 27 Nov 2026 16:00:00 GMT"], false),
            (&["\"a\"", "\"a\""], false),
        ] {
            assert_eq!(counts_part(&given(&header::IF_RANGE, lines), "a"), counts, "{lines:?}");
        }
    }
}
