//! Queries of lists: their parameters, and the links to other pages of the same list.

use std::fmt;

use common::{text, violations::Violations};
use form_urlencoded::{Serializer, parse as pairs_of};

mod sort;
mod time;

pub use sort::Sort;
pub use time::time;

/// The parameter that names the last item of the previous page.
pub const MARKER: &str = "marker";

/// The parameters of a query, in their order; each may be repeated.
#[derive(Debug, Clone, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads a query. Parameters with NUL, which PostgreSQL does not store, are violations.
    pub fn parse(query: &str, violations: &mut Violations) -> Self {
        let mut pairs = Vec::new();
        for (name, value) in pairs_of(query.as_bytes()) {
            if value.contains('\0') || name.contains('\0') {
                violations.add(text::clip(&name, 60).escape_debug().to_string(), "must not contain NUL");
            } else {
                pairs.push((name.into_owned(), value.into_owned()));
            }
        }
        Self { pairs }
    }

    /// Each parameter with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Refuses parameters that are not among the `known` ones, as Nova does since microversion 2.75.
    pub fn refuse_unknown(&self, known: &[&str], violations: &mut Violations) {
        for (name, _) in self.iter().filter(|(name, _)| !known.contains(name)) {
            let problem = format!("is no parameter; there are {}", known.join(", "));
            violations.add(text::clip(name, 60), problem);
        }
    }

    /// The URL of the page of the same list behind `marker`, or of its first page; `list` is the URL of the list
    /// without a query: a path in Glance, absolute in Nova and Cinder.
    #[must_use]
    pub fn page(&self, list: &str, marker: Option<&dyn fmt::Display>) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(self.iter().filter(|(name, _)| *name != MARKER));
        if let Some(marker) = marker {
            query.append_pair(MARKER, &marker.to_string());
        }
        let query = query.finish();
        if query.is_empty() { list.to_owned() } else { format!("{list}?{query}") }
    }
}

/// The number of items that a page may have, 0 to `most`; above that, `most` counts.
pub fn limit(value: &str, most: usize) -> Result<usize, String> {
    match value.trim().parse::<i128>() {
        Ok(limit) if limit >= 0 => Ok(usize::try_from(limit).map_or(most, |limit| limit.min(most))),
        Ok(_) => Err("must not be negative".to_owned()),
        Err(_) => Err("must be an integer".to_owned()),
    }
}

/// An integer of 64 bits.
pub fn integer(value: &str) -> Result<i64, String> {
    value.trim().parse().map_err(|_| "must be an integer".to_owned())
}

/// A boolean, as oslo.utils' `bool_from_string` reads it with `strict=True`. With `strict=False`, whatever is no boolean
/// is false: `text::boolean(value).unwrap_or(false)`.
pub fn boolean(value: &str) -> Result<bool, String> {
    text::boolean(value).ok_or_else(|| "must be true or false".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Query {
        Query::parse(query, &mut Violations::default())
    }

    #[test]
    fn a_page_keeps_every_parameter_but_the_marker() {
        let query = read("tag=a&marker=x&tag=b&limit=2&name=%C3%A9+%26");
        assert_eq!(query.page("/v2/images", None), "/v2/images?tag=a&tag=b&limit=2&name=%C3%A9+%26");
        let next = query.page("http://nova/v2.1/servers", Some(&"y"));
        assert_eq!(next, "http://nova/v2.1/servers?tag=a&tag=b&limit=2&name=%C3%A9+%26&marker=y");
        assert_eq!(read("marker=x").page("/v2/images", None), "/v2/images");
    }

    #[test]
    fn every_parameter_with_nul_is_refused() {
        let mut violations = Violations::default();
        let query = Query::parse("a%00=1&b=%00&c=2", &mut violations);
        assert_eq!(violations.fields(), "a\\0, b");
        assert_eq!(query.iter().collect::<Vec<_>>(), [("c", "2")]);
    }

    #[test]
    fn unknown_parameters_are_refused_by_name() {
        let mut violations = Violations::default();
        read("limit=1&x=1&y=2").refuse_unknown(&["limit", MARKER], &mut violations);
        assert_eq!(violations.fields(), "x, y");
    }

    #[test]
    fn numbers_and_booleans() {
        for (value, expected) in [("0", Ok(0)), (" 7 ", Ok(7)), ("9999999999999999999999", Ok(1000))] {
            assert_eq!(limit(value, 1000), expected, "{value}");
        }
        for value in ["-1", "x", "", "1.0"] {
            assert!(limit(value, 1000).is_err(), "{value}");
        }
        assert_eq!(integer("-9223372036854775808"), Ok(i64::MIN));
        assert!(integer("9223372036854775808").is_err());
        assert_eq!((boolean("True"), boolean("off")), (Ok(true), Ok(false)));
        assert!(boolean("").is_err());
    }
}
