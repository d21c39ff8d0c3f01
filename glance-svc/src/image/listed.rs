//! An image on a page of a list.

use std::borrow::Cow;

use serde::{
    Deserialize,
    de::{Deserializer as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::Image;
use crate::error::Error;

/// An image whose properties are still JSON as the database returned it: most are only passed on.
#[derive(Debug, Clone)]
pub struct ListedImage {
    /// The image, without its properties.
    pub rest: Image,
    /// Its properties: an object of strings.
    pub properties: Box<RawValue>,
}

impl ListedImage {
    /// The whole image.
    pub fn image(self) -> Result<Image, Error> {
        let Self { rest, properties } = self;
        let properties = serde_json::from_str(properties.get()).map_err(|_| Error::Corrupt(rest.id))?;
        Ok(Image { properties, ..rest })
    }

    /// Calls `each` with the name and value of every property, without collecting them.
    pub fn for_each_property(&self, each: impl FnMut(&str, &str)) -> Result<(), Error> {
        let mut json = serde_json::Deserializer::from_str(self.properties.get());
        json.deserialize_map(Each(each)).map_err(|_| Error::Corrupt(self.rest.id))
    }
}

/// Visits the entries of an object of strings.
struct Each<F>(F);

/// A string, borrowed unless something in it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, F: FnMut(&str, &str)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((Text(name), Text(value))) = map.next_entry()? {
            (self.0)(&name, &value);
        }
        Ok(())
    }
}
