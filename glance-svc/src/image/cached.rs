//! An image at one revision, with its encoded forms.

use std::{ops::Deref, sync::OnceLock};

use bytes::Bytes;
use chassis::edge::Room;

use super::Image;

/// Overhead of a map entry beyond its text, in bytes: two strings and a share of a node.
const ENTRY: usize = 64;

/// An image that is read again and again and never changes: its revision determines everything in it.
#[derive(Debug)]
pub struct CachedImage {
    image: Image,
    json: OnceLock<Bytes>,
    message: OnceLock<Bytes>,
    /// Room for a large image, kept until it has been sent.
    room: Option<Room>,
}

impl CachedImage {
    /// An image that has not been rendered yet.
    #[must_use]
    pub const fn new(image: Image) -> Self {
        Self::within(image, None)
    }

    /// A large image, and the room reserved for it.
    #[must_use]
    pub const fn within(image: Image, room: Option<Room>) -> Self {
        Self { image, json: OnceLock::new(), message: OnceLock::new(), room }
    }

    /// The room reserved for the image, to be kept until it has been sent.
    #[must_use]
    pub fn room(&self) -> Option<Room> {
        self.room.clone()
    }

    /// The JSON, made by `render` on first use.
    pub fn json(&self, render: impl FnOnce(&Image) -> Bytes) -> Bytes {
        self.json.get_or_init(|| render(&self.image)).clone()
    }

    /// The gRPC message, made by `encode` on first use.
    pub fn message(&self, encode: impl FnOnce(&Image) -> Bytes) -> Bytes {
        self.message.get_or_init(|| encode(&self.image)).clone()
    }

    /// Approximate memory, in bytes, rather too high: with its JSON, including escapes, and its message.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let properties = self.image.properties.iter().map(|(name, value)| name.len() + value.len() + ENTRY);
        let tags = self.image.tags.iter().map(|tag| tag.len() + ENTRY);
        let each = properties.chain(tags).fold(size_of::<Self>(), usize::saturating_add);
        each.saturating_mul(4) as u64
    }
}

impl Deref for CachedImage {
    type Target = Image;

    fn deref(&self) -> &Image {
        &self.image
    }
}
