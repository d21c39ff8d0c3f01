//! Many images in few calls.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chassis::{caller::Caller, deadline::Deadline};
use common::{id::Id, image::Image};
use proto::glance::v1 as pb;
use tonic::Code;

use super::{Error, Glance, Images, image, of_image};

/// How many images one call may ask for.
const MOST: usize = 1000;

/// Some of the requested images, by their ids, and the ids that still have to be requested.
type Found = (BTreeMap<Id, Arc<Image>>, BTreeSet<Id>);

impl Glance {
    /// As many of these images as one answer holds, each as it is now; those that the caller cannot see are left out.
    /// Call it again for the remaining ones until there are none.
    pub async fn images(
        &self,
        ids: &BTreeSet<Id>,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Found, Error> {
        let Some(first) = ids.first() else { return Ok(Found::default()) };
        let timeout = Deadline::share(deadline, self.timeout);
        let asked = pb::GetImagesRequest { ids: ids.iter().take(MOST).map(Id::to_string).collect() };
        let method = |mut images: Images, request| async move { images.get_images(request).await };
        match self.client.call(asked, caller, timeout, method).await {
            Ok(answer) => read(ids, answer).ok_or(Error::Answer(None)),
            // A release before this one.
            Err(unanswered) if unanswered.code() == Some(Code::Unimplemented) => {
                self.one_image(*first, ids, caller, deadline).await
            }
            Err(unanswered) => Err(of_image(*first, unanswered)),
        }
    }

    /// Just the first of these images.
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

/// What an answer says about the requested images; `None` if it cannot be right: it has other images, or none of
/// these.
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
