//! A patch: changes of single attributes and properties, applied in order, all or nothing.

use common::violations::Violations;

use super::{Attribute, Image, properties};
use crate::error::Error;

/// A list of changes, applied in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// The changes.
    pub operations: Vec<Operation>,
}

/// A change of one attribute or property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Sets a value, whether there is one or not.
    Set(Target),
    /// Adds a value; refused if there is one (the older of Glance's two patch formats), which attributes always have.
    Add(Target),
    /// Replaces a value; refused if there is none.
    Replace(Target),
    /// Removes a property; refused if there is none.
    Remove(String),
}

/// An attribute or property, and its new value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A base attribute, and its value as returned by [`Attribute::read`].
    Attribute(Attribute, Option<String>),
    /// A property's name and value.
    Property(String, String),
}

impl Target {
    /// Collects what is wrong with the value, regardless of the image.
    pub fn check(&self, blank: &Image, violations: &mut Violations) {
        match self {
            Self::Attribute(attribute, value) => {
                let mut image = blank.clone();
                attribute.write(&mut image, value.as_deref()).expect("the value was read as the attribute's");
                attribute.check(&image, violations);
            }
            Self::Property(name, value) => properties::check_entry("properties", name, value, violations),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Attribute(attribute, _) => attribute.name(),
            Self::Property(name, _) => name,
        }
    }

    fn is_in(&self, image: &Image) -> bool {
        match self {
            Self::Attribute(..) => true,
            Self::Property(name, _) => image.properties.contains_key(name),
        }
    }

    /// Writes the value into the image.
    pub fn write(&self, image: &mut Image) {
        match self {
            Self::Attribute(attribute, value) => {
                attribute.write(image, value.as_deref()).expect("the value was read as the attribute's");
            }
            Self::Property(name, value) => {
                image.properties.insert(name.clone(), value.clone());
            }
        }
    }
}

impl Patch {
    /// Applies the changes; if one is refused, the image must be discarded.
    pub fn apply(&self, image: &mut Image) -> Result<(), Error> {
        self.operations.iter().try_for_each(|operation| operation.apply(image))
    }
}

impl Operation {
    fn apply(&self, image: &mut Image) -> Result<(), Error> {
        match self {
            Self::Add(target) if target.is_in(image) => {
                return Err(Error::PropertyExists(target.name().to_owned()));
            }
            Self::Replace(target) if !target.is_in(image) => {
                return Err(Error::PropertyMissing(target.name().to_owned()));
            }
            Self::Set(target) | Self::Add(target) | Self::Replace(target) => target.write(image),
            Self::Remove(name) => {
                image.properties.remove(name).ok_or_else(|| Error::PropertyMissing(name.clone()))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use common::{clock, id::Id};

    use super::*;

    fn property(name: &str, value: &str) -> Target {
        Target::Property(name.into(), value.into())
    }

    fn patched(operations: Vec<Operation>) -> Result<Image, Error> {
        let mut image = Image::blank(Id::random(), clock::now());
        image.properties.insert("there".into(), "old".into());
        Patch { operations }.apply(&mut image)?;
        Ok(image)
    }

    #[test]
    fn operations_see_what_those_before_them_did() {
        let image = patched(vec![
            Operation::Remove("there".into()),
            Operation::Add(property("there", "1")),
            Operation::Set(property("there", "2")),
            Operation::Replace(property("there", "3")),
            Operation::Set(Target::Attribute(Attribute::MinRam, Some("64".into()))),
        ])
        .unwrap();
        assert_eq!(image.properties["there"], "3");
        assert_eq!(image.min_ram, 64);
    }

    #[test]
    fn conflicts_are_refused() {
        let exists = |operation| matches!(patched(vec![operation]), Err(Error::PropertyExists(_)));
        let missing = |operation| matches!(patched(vec![operation]), Err(Error::PropertyMissing(_)));
        assert!(exists(Operation::Add(property("there", "new"))));
        assert!(exists(Operation::Add(Target::Attribute(Attribute::Name, None))));
        assert!(missing(Operation::Replace(property("new", "new"))));
        assert!(missing(Operation::Remove("new".into())));
    }
}
