//! Uploads of the data of images, which begin again if they break off.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use chassis::caller::Caller;
use common::id::Id;
use futures_util::{Stream, StreamExt as _, stream};
use proto::glance::v1::UploadImageDataRequest;
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    time::{sleep, timeout},
};

use super::{Error, Glance, Images, NAME, of_image};
use crate::{
    client::Unanswered,
    refusal::{OF_A_CHANGE, refusal},
};

/// How long the catalogue may take nothing of the data.
const STALL: Duration = Duration::from_secs(30);

/// How long it may take to answer once it has all of them: a bucket has to put its parts together.
const COMPLETION: Duration = Duration::from_mins(5);

/// How often an upload may break off, and the pause before the first time it begins again; the pause before each further
/// time is longer by that. What a catalogue that has died was receiving is given up meanwhile.
const MAX_BREAKS: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// The reason of a refusal because the image is no longer waiting for data.
const STATUS_MOVE: &str = "ILLEGAL_STATUS_MOVE";

impl Glance {
    /// Gives an image that is QUEUED its data. There are `size` bytes, which `read` begins to read for each attempt; no more
    /// than a few parts of them are in memory. An image that has so many bytes got them from an earlier attempt, whose
    /// answer was lost. If the future is dropped, the image has no data.
    pub async fn upload<S, E, F>(
        &self,
        id: Id,
        size: u64,
        caller: &Caller,
        read: impl Fn() -> F,
    ) -> Result<(), E>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: From<Error>,
        F: Future<Output = Result<S, E>>,
    {
        let mut breaks = 0;
        while let Some(problem) = Box::pin(self.try_upload(id, size, caller, &read)).await? {
            breaks += 1;
            if breaks > MAX_BREAKS {
                return Err(problem.into());
            }
            tracing::warn!(error = &problem as &dyn std::error::Error, image = %id, "an upload begins again");
            sleep(PAUSE * breaks).await;
        }
        Ok(())
    }

    /// Uploads the data, if the image still has none; returns what kept it from that for now.
    async fn try_upload<S, E, F>(
        &self,
        id: Id,
        size: u64,
        caller: &Caller,
        read: &impl Fn() -> F,
    ) -> Result<Option<Error>, E>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: From<Error>,
        F: Future<Output = Result<S, E>>,
    {
        let image = match self.image_at(id, 0, caller, None).await {
            Ok(image) => image,
            Err(error @ (Error::NotFound(_) | Error::Caller(_))) => return Err(error.into()),
            Err(error) => return Ok(Some(error)),
        };
        let has_size = image.size.is_some_and(|stored| u64::try_from(stored) == Ok(size));
        let refused = |problem: &str| Error::Refused { id, problem: problem.to_owned() };
        match image.status {
            "QUEUED" => self.send(id, size, caller, read().await?).await,
            "SAVING" => Ok(Some(refused("somebody else is uploading its data"))),
            "ACTIVE" if has_size => Ok(None),
            _ => Err(refused("it already has other data").into()),
        }
    }

    /// Sends all of the data; returns what kept it from that for now.
    async fn send<S, E>(&self, id: Id, size: u64, caller: &Caller, bytes: S) -> Result<Option<Error>, E>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: From<Error>,
    {
        let (sender, taken) = mpsc::channel(1);
        let method = |mut images: Images, request| async move { images.upload_image_data(request).await };
        let mut answer = pin!(self.client.call_once(messages(taken), caller, self.timeout, method));
        let answer = tokio::select! {
            answer = &mut answer => answer,
            passed_on = pass_on(id, size, bytes, sender) => if passed_on? {
                timeout(COMPLETION, answer).await.unwrap_or(Err(late(COMPLETION)))
            } else {
                Err(late(STALL))
            },
        };
        match answer {
            Ok(_) => Ok(None),
            Err(unanswered) => Ok(Some(problem(id, unanswered)?)),
        }
    }
}

/// Passes on the data; `false` if nothing of them is taken for too long.
async fn pass_on<S, E>(
    id: Id,
    size: u64,
    mut bytes: S,
    sender: Sender<UploadImageDataRequest>,
) -> Result<bool, E>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
{
    let (image_id, size) = (id.to_string(), i64::try_from(size).ok());
    let mut next = Some(UploadImageDataRequest { image_id, size, data: Bytes::new() });
    while let Some(message) = next {
        match timeout(STALL, sender.send(message)).await {
            Ok(Ok(())) => {}
            // There is an answer already.
            Ok(Err(_)) => return Ok(true),
            Err(_) => return Ok(false),
        }
        let data = bytes.next().await.transpose()?;
        next = data.map(|data| UploadImageDataRequest { data, ..UploadImageDataRequest::default() });
    }
    Ok(true)
}

/// The messages that are passed on.
fn messages(
    taken: Receiver<UploadImageDataRequest>,
) -> impl Stream<Item = UploadImageDataRequest> + Send + 'static {
    stream::unfold(taken, |mut taken| async move { taken.recv().await.map(|message| (message, taken)) })
}

const fn late(limit: Duration) -> Unanswered {
    Unanswered::Timeout(limit.as_millis())
}

/// Why the upload broke off; an error if it makes no sense to begin again.
fn problem(id: Id, unanswered: Unanswered) -> Result<Error, Error> {
    let refused = unanswered.status().and_then(|status| refusal(status, NAME, OF_A_CHANGE));
    match (refused, unanswered) {
        (Some(refused), _) => {
            let error = Error::Refused { id, problem: refused.problem };
            // What has become of the image meanwhile decides.
            if refused.reason == STATUS_MOVE { Ok(error) } else { Err(error) }
        }
        (None, unanswered) => match of_image(id, unanswered) {
            error @ (Error::NotFound(_) | Error::Caller(_)) => Err(error),
            error => Ok(error),
        },
    }
}
