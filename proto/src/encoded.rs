//! Messages as they are sent.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint, skip_field},
};

/// A message as its bytes, which are made once and sent any number of times, or put together of parts that other
/// messages have, too.
///
/// It stands for the message in the answers of the generated servers, and is never read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded<M> {
    bytes: Bytes,
    message: PhantomData<fn() -> M>,
}

impl<M> Encoded<M> {
    /// The message that has these bytes.
    #[must_use]
    pub const fn new(bytes: Bytes) -> Self {
        Self { bytes, message: PhantomData }
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl<M> Default for Encoded<M> {
    fn default() -> Self {
        Self::new(Bytes::new())
    }
}

impl<M: Message> From<M> for Encoded<M> {
    fn from(message: M) -> Self {
        Self::new(message.encode_to_vec().into())
    }
}

impl<M> Message for Encoded<M> {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.bytes);
    }

    fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        skip_field(wire_type, tag, buffer, context)
    }

    fn clear(&mut self) {
        self.bytes.clear();
    }
}

/// Adds a field that holds a message, whose bytes come in parts: the fields of a message have no order.
pub fn put_message(buffer: &mut impl BufMut, field: u32, parts: &[&[u8]]) {
    encode_key(field, WireType::LengthDelimited, buffer);
    encode_varint(parts.iter().map(|part| part.len() as u64).sum(), buffer);
    for part in parts {
        buffer.put_slice(part);
    }
}

/// Adds an entry of a field that is a map from text to text.
pub fn put_entry(buffer: &mut impl BufMut, field: u32, key: &str, value: &str) {
    let size = [key, value].map(|text| 1 + encoded_len_varint(text.len() as u64) + text.len());
    encode_key(field, WireType::LengthDelimited, buffer);
    encode_varint((size[0] + size[1]) as u64, buffer);
    put_message(buffer, 1, &[key.as_bytes()]);
    put_message(buffer, 2, &[value.as_bytes()]);
}

/// The bytes of an answer that is a page: the items, each already encoded, in field 1 as AIP-158 has it, and the rest.
#[must_use]
pub fn encoded_page(items: &[impl AsRef<[u8]>], rest: &impl Message) -> Bytes {
    /// Bytes of a key and a length, at most.
    const HEAD: usize = 11;
    let size = items.iter().map(|item| item.as_ref().len() + HEAD).sum::<usize>() + rest.encoded_len();
    let mut buffer = Vec::with_capacity(size);
    for item in items {
        put_message(&mut buffer, 1, &[item.as_ref()]);
    }
    rest.encode_raw(&mut buffer);
    buffer.into()
}
