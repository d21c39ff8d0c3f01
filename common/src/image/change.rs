//! The difference of two states: attributes and properties that changed, for histories and comparisons.

use serde::{Deserialize, Serialize};

use super::Properties;

/// The change of one attribute or property, as stored in history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What changed.
    #[serde(flatten)]
    pub subject: Subject,
    /// The value before, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// The value after, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// A base attribute, by its name.
    Attribute(String),
    /// A property.
    Property(String),
}

impl Change {
    /// The change of an attribute; `None` if both values are the same.
    #[must_use]
    pub fn of_attribute(name: &str, old: Option<String>, new: Option<String>) -> Option<Self> {
        (old != new).then(|| Self { subject: Subject::Attribute(name.to_owned()), old, new })
    }

    /// The name of the property, if it is the change of one.
    #[must_use]
    pub const fn property(&self) -> Option<&String> {
        match &self.subject {
            Subject::Property(name) => Some(name),
            Subject::Attribute(_) => None,
        }
    }
}

/// The properties that differ between `old` and `new`, sorted by name.
#[must_use]
pub fn property_changes(old: &Properties, new: &Properties) -> Vec<Change> {
    let kept = new.iter().map(|(name, value)| (name, old.get(name), Some(value)));
    let removed = old.iter().filter(|(name, _)| !new.contains_key(*name));
    let removed = removed.map(|(name, value)| (name, Some(value), None));
    let mut changes: Vec<_> = kept.filter(|(_, old, new)| old != new).chain(removed).collect();
    changes.sort_unstable_by_key(|(name, ..)| *name);
    changes
        .into_iter()
        .map(|(name, old, new)| Change {
            subject: Subject::Property(name.clone()),
            old: old.cloned(),
            new: new.cloned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_removed_and_changed_properties_are_listed_by_name() {
        let of = |entries: &[(&str, &str)]| -> Properties {
            entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let changes = property_changes(
            &of(&[("b", "1"), ("c", "1"), ("d", "same")]),
            &of(&[("a", "2"), ("c", "2"), ("d", "same")]),
        );
        let listed: Vec<_> = changes
            .iter()
            .map(|change| (change.property().unwrap().as_str(), change.old.as_deref(), change.new.as_deref()))
            .collect();
        assert_eq!(listed, [("a", None, Some("2")), ("b", Some("1"), None), ("c", Some("1"), Some("2"))]);
    }

    #[test]
    fn an_attribute_that_stays_the_same_has_not_changed() {
        assert_eq!(Change::of_attribute("size", Some("1".into()), Some("1".into())), None);
        let change = Change::of_attribute("size", None, Some("1".into())).unwrap();
        assert_eq!(change.property(), None);
        let json = serde_json::to_string(&change).unwrap();
        assert_eq!(json, r#"{"attribute":"size","new":"1"}"#);
        assert_eq!(serde_json::from_str::<Change>(&json).unwrap(), change);
    }
}
