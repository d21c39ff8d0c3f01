//! Reads of an object that resume where they broke off: the bucket's client gives up after 180 s, and one of its requests
//! lasts at most 30 s, however large the data is and however slowly it is read.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{Error, GetOptions, ObjectStore as _, Result, aws::AmazonS3, path::Path};

/// How many bytes to request at a time.
const RANGE: u64 = 64 * 1024 * 1024;

/// How many times in a row a read may break off without a byte having arrived. Each time, the client has already retried.
const MAX_BREAKS: u32 = 3;

/// A read in progress.
struct Reading {
    objects: AmazonS3,
    path: Path,
    /// The bytes that are still to come.
    rest: Range<u64>,
    breaks: u32,
    /// Those of them that have been requested.
    response: Option<BoxStream<'static, Result<Bytes>>>,
}

/// Reads a part of an object, which must not be empty; fails at once if there is no such object.
pub(super) async fn read(
    objects: AmazonS3,
    path: Path,
    part: Range<u64>,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let mut reading = Reading { objects, path, rest: part, breaks: 0, response: None };
    reading.request().await?;
    Ok(stream::try_unfold(reading, Reading::next).boxed())
}

impl Reading {
    async fn request(&mut self) -> Result<()> {
        let end = self.rest.end.min(self.rest.start.saturating_add(RANGE));
        let options = GetOptions { range: Some((self.rest.start..end).into()), ..GetOptions::default() };
        self.response = Some(self.objects.get_opts(&self.path, options).await?.into_stream());
        Ok(())
    }

    async fn next(mut self) -> Result<Option<(Bytes, Self)>> {
        while !self.rest.is_empty() {
            let broken = match &mut self.response {
                None => self.request().await.err(),
                Some(response) => match response.next().await {
                    Some(Ok(bytes)) => {
                        self.rest.start += bytes.len() as u64;
                        self.breaks = 0;
                        return Ok(Some((bytes, self)));
                    }
                    Some(Err(error)) => Some(error),
                    None => {
                        self.response = None;
                        None
                    }
                },
            };
            if let Some(error) = broken {
                self.breaks += 1;
                if self.breaks > MAX_BREAKS || matches!(error, Error::NotFound { .. }) {
                    return Err(error);
                }
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a read resumes where it broke off"
                );
                self.response = None;
            }
        }
        Ok(None)
    }
}
