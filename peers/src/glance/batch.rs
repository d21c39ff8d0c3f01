//! Many images in few calls.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use chassis::{caller::Caller, deadline::Deadline};
use common::{id::Id, image::Image};
use proto::glance::v1 as pb;
use tonic::Code;

use super::{Client, Error, Glance, image, peer_error, request};
use crate::Failure;

/// As many images as a call may ask for.
const MOST: usize = 1000;

/// Some of the images that were asked for, by their ids, and which ones are still to be asked for.
type Found = (BTreeMap<Id, Arc<Image>>, BTreeSet<Id>);

impl Glance {
    /// As many of these images as one answer brings, each as it is now; one that the caller does not see is left out.
    /// Call it again for those that remain, until none do.
    pub async fn images(
        &self,
        ids: &BTreeSet<Id>,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Found, Error> {
        let Some(first) = ids.first() else { return Ok(Found::default()) };
        let (timeout, started) = (Deadline::share(deadline, self.timeout), Instant::now());
        let asked: Vec<_> = ids.iter().take(MOST).map(Id::to_string).collect();
        let call = |mut client: Client, timeout| {
            let request = request(pb::GetImagesRequest { ids: asked.clone() }, caller, timeout);
            async move { client.get_images(request).await }
        };
        match self.replicas.call(timeout, call).await {
            Ok(answer) => read(ids, answer).ok_or(Error::Answer(None)),
            Err(Failure::Timeout) => Err(Error::Timeout(timeout.as_millis())),
            // A release before this one.
            Err(Failure::Status(status)) if status.code() == Code::Unimplemented => {
                self.one_image(*first, ids, caller, deadline).await
            }
            Err(Failure::Status(status)) => Err(peer_error(*first, status, started.elapsed())),
        }
    }

    /// The first of these images alone.
    async fn one_image(
        &self,
        first: Id,
        ids: &BTreeSet<Id>,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Found, Error> {
        let found = match self.image(first, caller, deadline).await {
            Ok(image) => BTreeMap::from([(first, image)]),
            Err(Error::NotFound(_)) => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok((found, ids.iter().copied().filter(|id| *id != first).collect()))
    }
}

/// What an answer says of the images that were asked for; `None` when it cannot be: it has others, or none of them.
fn read(asked: &BTreeSet<Id>, answer: pb::GetImagesResponse) -> Option<Found> {
    let mut found = BTreeMap::new();
    for message in answer.images {
        let id = message.id.parse().ok().filter(|id| asked.contains(id))?;
        found.insert(id, Arc::new(image(id, message)?));
    }
    let remaining = answer.remaining_ids.iter().map(|id| id.parse().ok().filter(|id| asked.contains(id)));
    let mut remaining = remaining.collect::<Option<BTreeSet<_>>>()?;
    remaining.extend(asked.iter().skip(MOST));
    // Or else it would be asked for ever.
    (remaining.len() < asked.len()).then_some((found, remaining))
}
