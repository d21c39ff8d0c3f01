//! The way of uploaded data into the data store and through the hashes.

use bytes::{Bytes, BytesMut};
use tokio::task::JoinSet;

use super::{
    super::sweep::data_store,
    digest::{Digest, Digests, Processors},
};
use crate::{data::Writer, error::Error};

/// The bytes of an upload, cut into parts.
pub(super) struct Sink {
    /// How many bytes have arrived.
    pub(super) received: u64,
    part: BytesMut,
    part_size: usize,
    /// The previous part, written while this one arrives; aborted when the sink is dropped.
    writing: JoinSet<Result<Written, Error>>,
    processors: Processors,
}

/// What remains once a part is written; its buffer is reused for the next one.
type Written = (Writer, Digests, BytesMut);

impl Sink {
    pub(super) fn new(writer: Writer, processors: Processors) -> Self {
        let part_size = writer.part_size();
        let mut writing = JoinSet::new();
        writing.spawn(async move { Ok((writer, Digests::default(), BytesMut::new())) });
        Self { received: 0, part: BytesMut::new(), part_size, writing, processors }
    }

    /// Takes what arrived.
    pub(super) async fn push(&mut self, mut chunk: Bytes) -> Result<(), Error> {
        self.received += chunk.len() as u64;
        while !chunk.is_empty() {
            // Reserved at once: a growing buffer would be copied again and again.
            self.part.reserve(self.part_size - self.part.len());
            let room = self.part_size - self.part.len();
            self.part.extend_from_slice(&chunk.split_to(room.min(chunk.len())));
            if self.part.len() == self.part_size {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Error> {
        let (writer, digests, spare) = self.written().await?;
        let part = std::mem::replace(&mut self.part, spare).freeze();
        self.part_size = writer.part_size();
        self.writing.spawn(write(writer, digests, part, self.processors.clone()));
        Ok(())
    }

    async fn written(&mut self) -> Result<Written, Error> {
        match self.writing.join_next().await.expect("there is always one") {
            Ok(written) => written,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Makes the data readable and durable.
    pub(super) async fn finish(mut self) -> Result<Digest, Error> {
        if !self.part.is_empty() {
            self.flush().await?;
        }
        let (writer, digests, _) = self.written().await?;
        writer.finish().await.map_err(data_store)?;
        Ok(digests.finish())
    }
}

async fn write(
    mut writer: Writer,
    digests: Digests,
    part: Bytes,
    processors: Processors,
) -> Result<Written, Error> {
    let hashing = digests.update(part.clone(), &processors);
    let (digests, written) = tokio::join!(hashing, writer.write(part.clone()));
    written.map_err(data_store)?;
    // Nothing else refers to it any more.
    let mut spare = part.try_into_mut().unwrap_or_default();
    spare.clear();
    Ok((writer, digests, spare))
}
