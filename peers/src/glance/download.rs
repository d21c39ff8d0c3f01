//! Downloads of the data of images, which go on where they broke off.

use std::time::Duration;

use bytes::Bytes;
use chassis::caller::Caller;
use common::id::Id;
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use proto::glance::v1::{DownloadImageDataRequest, DownloadImageDataResponse};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status, Streaming};

use super::{Error, Glance, Images, NAME, of_image};
use crate::{
    client::{Client, Unanswered},
    refusal::refusal,
};

/// How long the next part of the data may take.
const STALL: Duration = Duration::from_secs(30);

/// How often in a row a download may break off without anything having arrived, and the pause before the first time it
/// goes on; the pause before each further time is longer by that.
const MAX_BREAKS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(500);

/// The codes that mean that there will be no data.
const FINAL: &[Code] = &[
    Code::DataLoss,
    Code::FailedPrecondition,
    Code::InvalidArgument,
    Code::OutOfRange,
    Code::PermissionDenied,
    Code::Unauthenticated,
];

impl Glance {
    /// The data of an image, of which there are `size` bytes. What has not been read yet waits at the catalogue. A
    /// download that breaks off, or brings nothing for 30 s, goes on at another replica.
    #[must_use]
    pub fn download(&self, id: Id, size: u64, caller: &Caller) -> BoxStream<'static, Result<Bytes, Error>> {
        let (client, timeout) = (self.client.clone(), self.timeout);
        let caller = caller.clone();
        let download = Download { client, timeout, caller, id, size, received: 0, breaks: 0, parts: None };
        stream::try_unfold(download, Download::next).boxed()
    }
}

/// A download in progress.
struct Download {
    client: Client<Images>,
    timeout: Duration,
    caller: Caller,
    id: Id,
    size: u64,
    /// How many bytes have arrived.
    received: u64,
    breaks: u32,
    /// Where the next ones come from; `None` if it has broken off.
    parts: Option<Streaming<DownloadImageDataResponse>>,
}

impl Download {
    /// The next bytes; `None` once all have arrived.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        while self.received < self.size {
            let problem = match self.part().await {
                Ok(Some(data)) => {
                    self.received += data.len() as u64;
                    self.breaks = 0;
                    return Ok(Some((data, self)));
                }
                Ok(None) => Error::Answer(None),
                Err(problem) => self.problem(problem)?,
            };
            self.parts = None;
            self.breaks += 1;
            if self.breaks > MAX_BREAKS {
                return Err(problem);
            }
            sleep(PAUSE * self.breaks).await;
        }
        Ok(None)
    }

    /// The next part; `None` if the answer ends too early.
    async fn part(&mut self) -> Result<Option<Bytes>, Unanswered> {
        if self.parts.is_none() {
            self.parts = Some(self.begin().await?);
        }
        let Some(parts) = &mut self.parts else { return Ok(None) };
        match timeout(STALL, parts.message()).await {
            Err(_) => Err(Unanswered::Timeout(STALL.as_millis())),
            Ok(Err(status)) => Err(Unanswered::Status(status, STALL)),
            Ok(Ok(part)) => Ok(part.map(|part| part.data)),
        }
    }

    async fn begin(&self) -> Result<Streaming<DownloadImageDataResponse>, Unanswered> {
        let offset = i64::try_from(self.received).unwrap_or(i64::MAX);
        let message = DownloadImageDataRequest { id: self.id.to_string(), offset, length: 0 };
        let method = |mut images: Images, request| async move { images.download_image_data(request).await };
        self.client.call(message, &self.caller, self.timeout, method).await
    }

    /// Why the download broke off; an error if it makes no sense to go on.
    fn problem(&self, unanswered: Unanswered) -> Result<Error, Error> {
        let refused = unanswered.status().and_then(|status: &Status| refusal(status, NAME, FINAL));
        match (refused, unanswered) {
            (Some(refused), _) => Err(Error::Refused { id: self.id, problem: refused.problem }),
            (None, unanswered) => match of_image(self.id, unanswered) {
                error @ (Error::NotFound(_) | Error::Caller(_)) => Err(error),
                error => Ok(error),
            },
        }
    }
}
