//! An image of a page, of which most is read to be sent on.

use std::borrow::Cow;

use serde::{
    Deserialize,
    de::{Deserializer as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::Image;
use crate::error::Error;

/// An image whose properties are still the JSON of the database.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The image, without its properties.
    pub rest: Image,
    /// Its properties, an object of texts.
    pub properties: Box<RawValue>,
}

impl Listed {
    /// The whole image.
    pub fn image(self) -> Result<Image, Error> {
        let Self { rest, properties } = self;
        let properties = serde_json::from_str(properties.get()).map_err(|_| Error::Corrupt(rest.id))?;
        Ok(Image { properties, ..rest })
    }

    /// Gives `each` every property, name and value, without keeping any.
    pub fn for_each_property(&self, each: impl FnMut(&str, &str)) -> Result<(), Error> {
        let mut json = serde_json::Deserializer::from_str(self.properties.get());
        json.deserialize_map(Each(each)).map_err(|_| Error::Corrupt(self.rest.id))
    }
}

/// Takes an object of texts apart.
struct Each<F>(F);

/// A text, borrowed unless something in it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, F: FnMut(&str, &str)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((Text(name), Text(value))) = map.next_entry()? {
            (self.0)(&name, &value);
        }
        Ok(())
    }
}
