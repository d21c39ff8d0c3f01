//! Messages as they arrive: their fields are counted before any of them is read, since an empty text takes two bytes on
//! its way and twelve times as many in memory.

use std::marker::PhantomData;

use prost::{
    Message,
    bytes::Buf as _,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use tonic::{
    Code, Status,
    codec::{Codec, DecodeBuf, Decoder},
};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// Most fields of a message, together with those of the messages in it; each item of a list or map is a field.
pub const MOST_FIELDS: usize = 32_768;

/// Header of the status of a message that has more: how many it has. Whoever completes statuses says so in full.
pub const FIELDS_HEADER: &str = "x-message-fields";

/// Which fields of a message, by their numbers, are messages that have fields of their own. Entries of maps are none.
#[derive(Debug)]
pub struct Shape(pub &'static [(u32, &'static Shape)]);

/// A message of a known shape.
pub trait Shaped {
    /// Its shape.
    const SHAPE: &'static Shape;
}

/// The codec of the servers: what prost does, with messages that have at most [`MOST_FIELDS`].
#[derive(Debug)]
pub struct Bounded<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Bounded<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for Bounded<T, U>
where
    T: Message + Send + 'static,
    U: Message + Shaped + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = Counting<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Counting<U> {
        Counting(ProstDecoder::default())
    }
}

/// Counts the fields of a message, and reads it if there are few enough.
#[derive(Debug)]
pub struct Counting<U>(ProstDecoder<U>);

impl<U: Message + Shaped + Default> Decoder for Counting<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // All of a message lies in one piece.
        let count = U::SHAPE.count(buffer.chunk());
        if count <= MOST_FIELDS {
            return self.0.decode(buffer);
        }
        let sentence = format!("the message has {count} fields, at most {MOST_FIELDS} are allowed");
        let mut status = Status::new(Code::InvalidArgument, sentence);
        status.metadata_mut().insert(FIELDS_HEADER, count.into());
        Err(status)
    }
}

impl Shape {
    /// How many fields a message of this shape has; what is no message any more has none.
    fn count(&self, mut message: &[u8]) -> usize {
        let mut count = 0;
        while !message.is_empty() {
            let Some(value) = next_value(&mut message) else { break };
            count += 1;
            if let (Some(nested), Some(value)) = (self.nested(value.0), value.1) {
                count += nested.count(value);
            }
        }
        count
    }

    fn nested(&self, number: u32) -> Option<&'static Self> {
        self.0.iter().find(|(known, _)| *known == number).map(|(_, shape)| *shape)
    }
}

/// The number of the next field, and its bytes if it has a length.
fn next_value<'a>(message: &mut &'a [u8]) -> Option<(u32, Option<&'a [u8]>)> {
    let (number, wire_type) = decode_key(message).ok()?;
    if wire_type != WireType::LengthDelimited {
        skip_field(wire_type, number, message, DecodeContext::default()).ok()?;
        return Some((number, None));
    }
    let length = usize::try_from(decode_varint(message).ok()?).ok()?;
    let (value, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some((number, Some(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::glance::v1::{CreateImageRequest, Image, UpdateImageRequest};

    fn count<M: Message + Shaped>(message: &M) -> usize {
        M::SHAPE.count(&message.encode_to_vec())
    }

    #[test]
    fn fields_are_counted_with_those_of_messages_in_them() {
        assert_eq!(count(&CreateImageRequest::default()), 0);
        let properties = (0..10).map(|number| (number.to_string(), String::new())).collect();
        let image = Image { name: "n".into(), tags: vec![String::new(); 5], properties, ..Image::default() };
        assert_eq!(count(&CreateImageRequest { image: Some(image.clone()) }), 1 + 1 + 5 + 10);
        let update_mask = Some(prost_types::FieldMask { paths: vec![String::new(); 7] });
        assert_eq!(count(&UpdateImageRequest { image: Some(image), update_mask }), 17 + 1 + 7);
    }

    #[test]
    fn what_a_text_says_is_no_field() {
        // As a message, it would be very many.
        let name = "\n\0".repeat(1000);
        let image = Image { name, ..Image::default() };
        assert_eq!(count(&CreateImageRequest { image: Some(image) }), 2);
    }

    #[test]
    fn what_breaks_off_ends_there() {
        for broken in [&[0x0a][..], &[0x0a, 5, 1], &[0xff; 20], &[0x0b, 0x0c, 0x12]] {
            assert!(CreateImageRequest::SHAPE.count(broken) <= 1, "{broken:?}");
        }
        // A group that nobody knows, and a field behind it.
        assert_eq!(CreateImageRequest::SHAPE.count(&[0x1b, 0x1c, 0x0a, 0]), 2);
    }
}
