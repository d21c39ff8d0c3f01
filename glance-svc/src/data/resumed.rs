//! Reads of an object that go on where they broke off: the bucket's client gives up after 180 s, and a request of it
//! lasts 30 s at most, however long the data are and however slowly they are taken.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{Error, GetOptions, ObjectStore as _, Result, aws::AmazonS3, path::Path};

/// Bytes that are asked for at once.
const RANGE: u64 = 64 * 1024 * 1024;

/// How often in a row a read may break off before a byte has arrived. Each time, the client has tried again by itself.
const BREAKS: u32 = 3;

/// The rest of a read.
struct Reading {
    objects: AmazonS3,
    path: Path,
    /// The bytes that are still to come.
    rest: Range<u64>,
    breaks: u32,
    /// Those of them that have been asked for.
    asked: Option<BoxStream<'static, Result<Bytes>>>,
}

/// Reads a part of an object, not empty; fails at once if there is no such object.
pub(super) async fn read(
    objects: AmazonS3,
    path: Path,
    part: Range<u64>,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let mut reading = Reading { objects, path, rest: part, breaks: 0, asked: None };
    reading.ask().await?;
    Ok(stream::try_unfold(reading, Reading::next).boxed())
}

impl Reading {
    async fn ask(&mut self) -> Result<()> {
        let end = self.rest.end.min(self.rest.start.saturating_add(RANGE));
        let options = GetOptions { range: Some((self.rest.start..end).into()), ..GetOptions::default() };
        self.asked = Some(self.objects.get_opts(&self.path, options).await?.into_stream());
        Ok(())
    }

    async fn next(mut self) -> Result<Option<(Bytes, Self)>> {
        while !self.rest.is_empty() {
            let broken = match &mut self.asked {
                None => self.ask().await.err(),
                Some(asked) => match asked.next().await {
                    Some(Ok(bytes)) => {
                        self.rest.start += bytes.len() as u64;
                        self.breaks = 0;
                        return Ok(Some((bytes, self)));
                    }
                    Some(Err(error)) => Some(error),
                    None => {
                        self.asked = None;
                        None
                    }
                },
            };
            if let Some(error) = broken {
                self.breaks += 1;
                if self.breaks > BREAKS || matches!(error, Error::NotFound { .. }) {
                    return Err(error);
                }
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a read goes on where it broke off"
                );
                self.asked = None;
            }
        }
        Ok(None)
    }
}
