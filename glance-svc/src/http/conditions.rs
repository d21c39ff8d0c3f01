//! Conditions of a request (RFC 9110, 13): the etags that what it is about must have, or must not have.

use axum::http::{HeaderMap, HeaderName, header};
use common::id::Id;

use crate::{error::Error, images::Etags};

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

/// The etags one of which an image must have to be changed (`If-Match`); none if any will do.
pub(super) fn of_change(headers: &HeaderMap) -> Etags {
    match Named::of(headers, &header::IF_MATCH) {
        None | Some(Named::Any) => Etags::new(),
        // A weak one looks like none of ours.
        Some(Named::These(tags)) => tags.into_iter().map(Tag::shown).collect(),
    }
}

/// Whether what a PUT makes must not be there yet (`If-None-Match: *`).
pub(super) fn must_be_new(headers: &HeaderMap) -> bool {
    Named::of(headers, &header::IF_NONE_MATCH) == Some(Named::Any)
}

/// Checks the conditions of a change of what has no etag: any that it may name is another one.
pub(super) fn check_without_etag(headers: &HeaderMap, what: &'static str) -> Result<(), Error> {
    if !of_change(headers).is_empty() {
        return Err(Error::Condition { header: "If-Match", problem: format!("{what} has no etag") });
    }
    if must_be_new(headers) {
        return Err(exists(what));
    }
    Ok(())
}

/// The error of a PUT of what must be new and is there.
pub(super) fn exists(what: &str) -> Error {
    Error::Condition { header: "If-None-Match", problem: format!("{what} is there already") }
}

/// Whether a read of what has this etag is to be answered with it: not if the caller has it. If it must be another one
/// (`If-Match`), the read is refused.
pub(super) fn of_read(headers: &HeaderMap, id: Id, current: &str) -> Result<bool, Error> {
    if Named::of(headers, &header::IF_MATCH).is_some_and(|named| !named.strongly(current)) {
        let given = common::text::clip(&of_change(headers).join(", "), 100);
        return Err(Error::StaleEtag { id, given, current: current.to_owned() });
    }
    Ok(!Named::of(headers, &header::IF_NONE_MATCH).is_some_and(|named| named.weakly(current)))
}

/// Whether the part counts that a request names: only of what it has begun to read (`If-Range`). Data have no date, so
/// that none is theirs.
pub(super) fn counts_part(headers: &HeaderMap, current: &str) -> bool {
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
        let id = Id::random();
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
            assert_eq!(of_read(&headers, id, "a").unwrap(), is_sent, "{lines:?}");
            let headers = given(&header::IF_MATCH, lines);
            let is_strong = lines.is_empty() || (!is_sent && !lines.concat().contains("W/"));
            assert_eq!(of_read(&headers, id, "a").is_ok(), is_strong, "{lines:?}");
        }
    }

    #[test]
    fn a_part_counts_of_the_same_data_alone() {
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
