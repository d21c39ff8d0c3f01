//! An image at one revision, which is all of it, and the bytes in which it is sent.

use std::{ops::Deref, sync::OnceLock};

use bytes::Bytes;
use chassis::edge::Room;

use super::Image;

/// What an entry of a map takes beside its texts, bytes: two texts and a share of a node.
const ENTRY: usize = 64;

/// An image that is read again and again and never changes: its revision says all that is in it.
#[derive(Debug)]
pub struct CachedImage {
    image: Image,
    json: OnceLock<Bytes>,
    message: OnceLock<Bytes>,
    /// What a large one takes, until it has been sent.
    room: Option<Room>,
}

impl CachedImage {
    /// The image, not rendered yet.
    #[must_use]
    pub const fn new(image: Image) -> Self {
        Self::within(image, None)
    }

    /// A large image, and the room that it has.
    #[must_use]
    pub const fn within(image: Image, room: Option<Room>) -> Self {
        Self { image, json: OnceLock::new(), message: OnceLock::new(), room }
    }

    /// The room that it has, to be kept until it has been sent.
    #[must_use]
    pub fn room(&self) -> Option<Room> {
        self.room.clone()
    }

    /// The JSON, which `render` makes when it is first asked for.
    pub fn json(&self, render: impl FnOnce(&Image) -> Bytes) -> Bytes {
        self.json.get_or_init(|| render(&self.image)).clone()
    }

    /// The message of gRPC, which `encode` makes when it is first asked for.
    pub fn message(&self, encode: impl FnOnce(&Image) -> Bytes) -> Bytes {
        self.message.get_or_init(|| encode(&self.image)).clone()
    }

    /// About how much memory it takes, bytes: rather too much, with its JSON, what escapes add to it, and its
    /// message.
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
