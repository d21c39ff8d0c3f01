//! The two patch formats of the Image API: RFC 6902 (its add, replace and remove), and the draft before it.

use common::{id::Id, text::clip, violations::Violations};
use serde_json::{Map, Value};

use super::attribute::{self, Name};
use crate::{
    error::Error,
    image::{
        Image,
        patch::{Operation, Patch},
    },
};

/// What a patch may do.
const VERBS: [&str; 3] = ["add", "remove", "replace"];

/// A patch format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The operation and the path are members of their own: `{"op": "add", "path": "/k", "value": "v"}`.
    V21,
    /// The operation's name is the member that holds the path: `{"add": "/k", "value": "v"}`. Adding what is there
    /// is refused.
    V20,
}

impl Format {
    /// Both, with their media types.
    pub const ALL: [(&'static str, Self); 2] = [
        ("application/openstack-images-v2.0-json-patch", Self::V20),
        ("application/openstack-images-v2.1-json-patch", Self::V21),
    ];

    /// The format of a media type.
    #[must_use]
    pub fn of(media_type: &str) -> Option<Self> {
        let known = Self::ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(media_type));
        known.map(|(_, format)| *format)
    }
}

/// Reads a patch, all of whose problems are told at once: each names the attribute or property, as callers of clients
/// never see the operations.
pub fn parse(format: Format, body: &Value) -> Result<Patch, Error> {
    let mut reader = Reader {
        blank: Image::blank(Id::from(common::id::NIL), chrono::DateTime::UNIX_EPOCH),
        violations: Violations::default(),
        at_fault: Vec::new(),
        read_only: Vec::new(),
    };
    let mut operations = Vec::new();
    match body.as_array() {
        None => reader.violations.add("body", "must be a list of operations"),
        Some(changes) => {
            for (index, change) in changes.iter().enumerate() {
                operations.extend(reader.operation(format, index, change));
                reader.at_fault.resize(reader.violations.len(), index);
            }
        }
    }
    if !reader.violations.is_empty() {
        return Err(Error::InvalidPatch { violations: reader.violations, operations: reader.at_fault });
    }
    if reader.read_only.is_empty() {
        Ok(Patch { operations })
    } else {
        Err(Error::ReadOnly(reader.read_only))
    }
}

struct Reader {
    blank: Image,
    violations: Violations,
    /// Of each violation, the number of its operation.
    at_fault: Vec<usize>,
    read_only: Vec<String>,
}

impl Reader {
    fn operation(&mut self, format: Format, index: usize, change: &Value) -> Option<Operation> {
        let field = format!("[{index}]");
        let Some(change) = change.as_object() else {
            self.violations.add(field, "must be an object");
            return None;
        };
        let (verb, path) = self.violations.take(&field, verb_and_path(format, change))?;
        let name = self.violations.take(&format!("{field}.path"), pointer(path))?;
        if verb == "remove" {
            return match attribute::name(&name) {
                Name::Property => Some(Operation::Remove(name)),
                Name::Attribute(_) | Name::ReadOnly => self.refuse(name),
            };
        }
        let Some(value) = change.get("value") else {
            self.violations.add(name, "has no value: the operation needs one");
            return None;
        };
        let Some(target) = attribute::target(&name, value) else { return self.refuse(name) };
        let target = self.violations.take(&name, target)?;
        target.check(&self.blank, &mut self.violations);
        Some(match (verb, format) {
            ("replace", _) => Operation::Replace(target),
            (_, Format::V20) => Operation::Add(target),
            (_, Format::V21) => Operation::Set(target),
        })
    }

    fn refuse(&mut self, name: String) -> Option<Operation> {
        self.read_only.push(name);
        None
    }
}

fn verb_and_path(format: Format, change: &Map<String, Value>) -> Result<(&str, &str), String> {
    let (verb, path) = match format {
        Format::V21 => {
            let verb = change.get("op").and_then(Value::as_str).unwrap_or_default();
            (VERBS.into_iter().find(|known| *known == verb), change.get("path"))
        }
        Format::V20 => {
            let mut verbs = VERBS.into_iter().filter(|verb| change.contains_key(*verb));
            let verb = verbs.next();
            if verbs.next().is_some() {
                return Err(format!("must have one member of {}, and no two", VERBS.join(", ")));
            }
            (verb, verb.and_then(|verb| change.get(verb)))
        }
    };
    let verb = verb.ok_or_else(|| format!("must name one of the operations {}", VERBS.join(", ")))?;
    let path = path.and_then(Value::as_str).ok_or("must have a path, a string such as \"/name\"")?;
    Ok((verb, path))
}

/// The one name that a JSON pointer stands for: images have nothing deeper. Blanks around it are no part of it.
fn pointer(path: &str) -> Result<String, String> {
    let problem = |problem: &str| Err(format!("{:?} {problem}", clip(path, 60)));
    let Some(token) = path.strip_prefix('/') else { return problem("must start with /") };
    if token.split('/').next() == Some("locations") {
        return Ok("locations".to_owned());
    }
    if token.contains('/') {
        return problem("is no attribute or property; write a / that is part of a name as ~1");
    }
    let mut name = String::new();
    let mut characters = token.chars();
    while let Some(character) = characters.next() {
        match character {
            '~' => match characters.next() {
                Some('0') => name.push('~'),
                Some('1') => name.push('/'),
                _ => return problem("has a ~ that is neither ~0 (for ~) nor ~1 (for /)"),
            },
            other => name.push(other),
        }
    }
    let name = name.trim();
    if name.is_empty() { problem("names nothing") } else { Ok(name.to_owned()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::image::{Attribute, patch::Target};

    fn property(name: &str, value: &str) -> Target {
        Target::Property(name.into(), value.into())
    }

    #[test]
    fn reads_both_formats() {
        let body = json!([
            {"op": "add", "path": "/k", "value": "v"},
            {"op": "replace", "path": "/min_ram", "value": 64},
            {"op": "remove", "path": "/ a~1b~0~01 "},
        ]);
        let patch = parse(Format::V21, &body).unwrap();
        assert_eq!(
            patch.operations,
            [
                Operation::Set(property("k", "v")),
                Operation::Replace(Target::Attribute(Attribute::MinRam, Some("64".into()))),
                Operation::Remove("a/b~~1".into()),
            ]
        );
        let body =
            json!([{"add": "/k", "value": "v"}, {"replace": "/name", "value": null}, {"remove": "/k"}]);
        let patch = parse(Format::V20, &body).unwrap();
        assert_eq!(
            patch.operations,
            [
                Operation::Add(property("k", "v")),
                Operation::Replace(Target::Attribute(Attribute::Name, None)),
                Operation::Remove("k".into()),
            ]
        );
        assert_eq!(parse(Format::V21, &json!([])).unwrap(), Patch::default());
    }

    #[test]
    fn tells_every_problem() {
        let body = json!([
            1,
            {"op": "test", "path": "/k"},
            {"op": "add", "value": "v"},
            {"op": "add", "path": "k", "value": "v"},
            {"op": "add", "path": "/a/b", "value": "v"},
            {"op": "add", "path": "/a~2", "value": "v"},
            {"op": "add", "path": "/a~", "value": "v"},
            {"op": "add", "path": "/", "value": "v"},
            {"op": "add", "path": "/k"},
            {"op": "add", "path": "/k", "value": 1},
            {"op": "add", "path": "/min_ram", "value": -1},
            {"op": "add", "path": "/min_disk", "value": "1"},
            {"op": "add", "path": "/tags", "value": ["a", 1]},
            {"op": "add", "path": "/visibility", "value": "all"},
            {"op": "add", "path": "/disk_format", "value": "nope"},
        ]);
        let Err(Error::InvalidPatch { violations, operations }) = parse(Format::V21, &body) else {
            panic!("it is invalid")
        };
        assert!(violations.to_string().starts_with("15 violations"), "{violations}");
        assert_eq!(operations, (0..15).collect::<Vec<_>>());
        assert!(parse(Format::V20, &json!([{"add": "/k", "remove": "/k"}])).is_err());
        assert!(parse(Format::V21, &json!({})).is_err());
    }

    #[test]
    fn what_only_the_service_sets_is_refused() {
        for (verb, path) in [
            ("add", "/status"),
            ("replace", "/size"),
            ("replace", "/id"),
            ("add", "/os_glance_x"),
            ("remove", "/name"),
            ("remove", "/created_at"),
            ("add", "/locations/-"),
            ("replace", "/locations"),
        ] {
            let patch = parse(Format::V21, &json!([{"op": verb, "path": path, "value": "x"}]));
            assert!(matches!(patch, Err(Error::ReadOnly(_))), "{verb} {path}");
        }
    }
}
