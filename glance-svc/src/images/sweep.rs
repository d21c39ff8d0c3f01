//! The removal of data that are no image's: of uploads that failed, of images that were deleted.

use std::time::Duration;

use common::{caller::Actor, clock, id::Id};
use tokio::time::MissedTickBehavior;

use super::Images;
use crate::{
    data::is_full,
    error::Error,
    image::Status,
    store::{DataStep, Edit, Seen, Unsettled},
};

/// How often data are looked for that are no image's.
const SWEEP: Duration = Duration::from_secs(2);

impl Images {
    /// Makes an image QUEUED again whose upload has failed, and removes what it wrote. If that cannot be done
    /// now, it is done when the lease has ended.
    pub(super) async fn give_up(&self, id: Id, data: Id, actor: &Actor) {
        let change = move |seen: &Seen| {
            let mut image = seen.image.clone();
            if image.status != Status::Saving || image.data != Some(data) {
                return Err(Error::UploadLost(id));
            }
            image.status = Status::Queued;
            image.forget_data();
            Ok(image)
        };
        let step = DataStep::Abandon(data);
        let edit = Edit { id, actor: actor.clone(), now: clock::now(), step, change: Box::new(change) };
        let noted = match self.store.update(edit).await {
            Err(Error::UploadLost(_) | Error::NotFound(_)) => self.store.discard(data).await,
            noted => noted.map(|_| true),
        };
        match noted {
            // It was complete before that was known.
            Ok(false) => {}
            Ok(true) => {
                self.remove_data_of(id).await;
                self.remove_forgotten(data, "").await;
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, image = %id, "an upload is given up later");
            }
        }
    }

    /// Removes what was written after somebody else had removed the data and forgotten them.
    pub(super) async fn remove_forgotten(&self, data: Id, upload_id: &str) {
        if let Err(error) = self.data.remove(data, &upload_id.to_owned()).await {
            tracing::warn!(error = &error as &dyn std::error::Error, data = %data, "data are left behind");
        }
    }

    /// Removes the data of an image that are to be removed, as far as that can be done now.
    pub(super) async fn remove_data_of(&self, id: Id) {
        self.settle(|unsettled| unsettled.image_id == id && !unsettled.is_upload).await;
    }

    /// Removes data that are no image's, and gives up uploads whose lease has ended, for ever.
    pub async fn sweep(&self) {
        let mut interval = tokio::time::interval(SWEEP);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.settle(|_| true).await;
        }
    }

    async fn settle(&self, is_meant: impl Fn(&Unsettled) -> bool) {
        let unsettled = match self.store.unsettled().await {
            Ok(unsettled) => unsettled,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "data cannot be removed now");
                return;
            }
        };
        for unsettled in unsettled.iter().filter(|unsettled| is_meant(unsettled)) {
            if unsettled.is_upload {
                // Its own removal comes with it.
                Box::pin(self.give_up(unsettled.image_id, unsettled.id, &Actor::default())).await;
                continue;
            }
            let removed = match self.data.remove(unsettled.id, &unsettled.upload_id).await {
                Ok(()) => self.store.forget_data(unsettled.id).await,
                Err(error) => Err(Error::DataStore(error)),
            };
            if let Err(error) = removed {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, data = %unsettled.id, "data are removed later");
            }
        }
    }
}

/// What a failure of the data store is to a caller.
pub(super) fn data_store(error: object_store::Error) -> Error {
    if is_full(&error) { Error::DataStoreFull } else { Error::DataStore(error) }
}
