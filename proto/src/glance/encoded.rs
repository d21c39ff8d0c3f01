//! Images as they are sent.

use bytes::{Buf, BufMut, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType, skip_field},
};

use super::v1::Image;

/// An image as the bytes of its message, which are made once and sent any number of times.
///
/// It stands for `Image` in the answers of the generated server, and is never read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedImage(pub Bytes);

impl From<Image> for EncodedImage {
    fn from(image: Image) -> Self {
        Self(image.encode_to_vec().into())
    }
}

impl Message for EncodedImage {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.0);
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
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
        self.0.clear();
    }
}
