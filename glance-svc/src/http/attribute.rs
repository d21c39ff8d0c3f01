//! Base attributes and properties in JSON: which can be set, and what their values must look like.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::image::{Attribute, Visibility, patch::Target, properties::check_reserved};

/// The base attributes that callers set.
const SETTABLE: [Attribute; 10] = [
    Attribute::ContainerFormat,
    Attribute::DiskFormat,
    Attribute::MinDisk,
    Attribute::MinRam,
    Attribute::Name,
    Attribute::OsHidden,
    Attribute::Owner,
    Attribute::Protected,
    Attribute::Tags,
    Attribute::Visibility,
];

/// What a name in a request stands for.
pub(super) enum Name {
    /// A base attribute that callers set.
    Attribute(Attribute),
    /// What only the service sets.
    ReadOnly,
    /// A property.
    Property,
}

/// What a name stands for.
pub(super) fn name(name: &str) -> Name {
    match Attribute::from_name(name) {
        Some(attribute) if SETTABLE.contains(&attribute) => Name::Attribute(attribute),
        _ if check_reserved(name).is_err() => Name::ReadOnly,
        _ => Name::Property,
    }
}

/// What a request sets by this name and value; none if only the service sets it.
pub(super) fn target(name: &str, value: &Value) -> Option<Result<Target, &'static str>> {
    match self::name(name) {
        Name::Attribute(attribute) => Some(self::attribute(attribute, value)),
        Name::Property => Some(property(name, value)),
        Name::ReadOnly => None,
    }
}

/// A base attribute with a value.
fn attribute(attribute: Attribute, value: &Value) -> Result<Target, &'static str> {
    let read = match attribute {
        Attribute::MinDisk | Attribute::MinRam => integer(value),
        Attribute::Protected | Attribute::OsHidden => flag(value),
        Attribute::Visibility => visibility(value),
        Attribute::Tags => tags(value),
        Attribute::DiskFormat | Attribute::ContainerFormat if value.as_str() == Some("") => {
            Err("must be a known format, or null")
        }
        Attribute::Owner if value.as_str() == Some("") => Err(
            "must be a project, or null: an image without an owner is seen by everybody, unless it is private",
        ),
        _ => text(value),
    };
    Ok(Target::Attribute(attribute, read?))
}

/// A property with a value.
fn property(name: &str, value: &Value) -> Result<Target, &'static str> {
    let value = value.as_str().ok_or("must be a string: properties have no other values")?;
    Ok(Target::Property(name.to_owned(), value.to_owned()))
}

fn text(value: &Value) -> Result<Option<String>, &'static str> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        _ => Err("must be a string, or null"),
    }
}

fn integer(value: &Value) -> Result<Option<String>, &'static str> {
    match value {
        Value::Number(number) if number.is_i64() => Ok(Some(number.to_string())),
        Value::Number(number) if number.is_u64() => Err("is out of range: 0 to 2147483647"),
        // JSON Schema: 1.0 and 1e3 are integers.
        Value::Number(number) if number.as_f64().is_some_and(|number| number.fract() == 0.0) => {
            let digits = format!("{:.0}", number.as_f64().unwrap_or_default());
            digits
                .parse::<i64>()
                .map(|number| Some(number.to_string()))
                .map_err(|_| "is out of range: 0 to 2147483647")
        }
        _ => Err("must be an integer"),
    }
}

fn flag(value: &Value) -> Result<Option<String>, &'static str> {
    value.as_bool().map(|flag| Some(flag.to_string())).ok_or("must be true or false")
}

fn visibility(value: &Value) -> Result<Option<String>, &'static str> {
    let known = Visibility::ALL.iter().find(|visibility| value.as_str() == Some(visibility.as_str()));
    known
        .map(|visibility| Some(visibility.as_str().to_owned()))
        .ok_or("must be public, private, shared or community")
}

fn tags(value: &Value) -> Result<Option<String>, &'static str> {
    const PROBLEM: &str = "must be a list of strings";
    let tags = value.as_array().ok_or(PROBLEM)?.iter();
    let tags: Option<BTreeSet<&str>> = tags.map(Value::as_str).collect();
    Ok(Some(serde_json::json!(tags.ok_or(PROBLEM)?).to_string()))
}
