//! Values in the forms in which clients write them.

use std::collections::BTreeMap;

use common::text::boolean;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny},
};
use serde_json::Value;
use utoipa::ToSchema;

/// A boolean, or the text of one: `true`, `"True"`, `"1"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = bool)]
pub(super) struct Flag(pub(super) bool);

/// A whole number, or the text of one: `1`, `"1"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = i64)]
pub(super) struct Whole(pub(super) i64);

/// Whatever stands there: it says nothing.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(value_type = Option<Value>)]
pub(super) struct Anything(());

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(()))
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let flag = match &value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => boolean(text),
            _ => None,
        };
        flag.map(Self).ok_or_else(|| D::Error::custom("must be true or false"))
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let number = match &value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.map(Self).ok_or_else(|| D::Error::custom("must be a whole number"))
    }
}

/// The entries of a filter, or what is wrong with them.
pub(super) fn entries(text: &str) -> Result<BTreeMap<String, String>, &'static str> {
    dictionary(text).ok_or("must be a dictionary, such as {'key': 'value'}")
}

/// The entries of a filter: JSON, or a dictionary as Python prints it, such as `{'os_distro': 'debian'}`. Of a value that
/// is no text, its text counts.
fn dictionary(text: &str) -> Option<BTreeMap<String, String>> {
    let json = serde_json::from_str(text).ok().or_else(|| serde_json::from_str(&as_json(text)).ok());
    let Value::Object(entries) = json? else { return None };
    let as_text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Some(entries.into_iter().map(|(key, value)| (key, as_text(value))).collect())
}

/// Python's text of a dictionary, with its quotes as JSON has them.
fn as_json(text: &str) -> String {
    let (mut json, mut quote, mut is_escaped) = (String::with_capacity(text.len()), None, false);
    for character in text.chars() {
        match (quote, character) {
            // JSON does not escape it.
            (Some(_), '\'') if is_escaped => {
                json.pop();
                json.push('\'');
            }
            (Some(_), _) if is_escaped => json.push(character),
            (None, '\'' | '"') => {
                quote = Some(character);
                json.push('"');
            }
            (Some(open), _) if character == open => {
                quote = None;
                json.push('"');
            }
            (Some(_), '"') => json.push_str("\\\""),
            _ => json.push(character),
        }
        is_escaped = quote.is_some() && character == '\\' && !is_escaped;
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_is_read_as_json_and_as_python_has_it() {
        for (text, expected) in [
            ("{}", Some(&[][..])),
            (r#"{"a": "b", "c": "it's"}"#, Some(&[("a", "b"), ("c", "it's")])),
            ("{'a': 'b', 'c': 1}", Some(&[("a", "b"), ("c", "1")])),
            (r#"{'a': "it's", 'b': 'say "x"'}"#, Some(&[("a", "it's"), ("b", "say \"x\"")])),
            (r"{'a': 'it\'s', 'b': 'c\\'}", Some(&[("a", "it's"), ("b", r"c\")])),
            ("{'a'}", None),
            ("['a']", None),
            ("a=b", None),
            ("", None),
        ] {
            let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            assert_eq!(
                dictionary(text),
                expected.map(|entries| entries.iter().map(pair).collect()),
                "{text}"
            );
        }
    }

    #[test]
    fn numbers_and_booleans_may_be_text() {
        let whole = |json: &str| serde_json::from_str(json).ok().map(|Whole(number)| number);
        let flag = |json: &str| serde_json::from_str(json).ok().map(|Flag(flag)| flag);
        assert_eq!(["1", "\" 1 \"", "1.5", "\"a\"", "null"].map(whole), [Some(1), Some(1), None, None, None]);
        assert_eq!(["true", "\"False\"", "1", "\"a\""].map(flag), [Some(true), Some(false), None, None]);
    }
}
