//! The removal of data that are no image's: of uploads that failed, of images that were deleted.

use std::time::Duration;

use chassis::caller::Actor;
use chrono::TimeDelta;
use common::{clock, id::Id};
use tokio::time::MissedTickBehavior;

use super::Images;
use crate::{
    data::is_full,
    error::Error,
    image::Status,
    store::{DataStep, Edit, Unsettled, VisibleImage},
};

/// How often data are looked for that are no image's.
const SWEEP: Duration = Duration::from_secs(2);

impl Images {
    /// Makes an image QUEUED again whose upload has failed, and removes what it wrote. If that cannot be done
    /// now, it is done when the lease has ended.
    pub(super) async fn give_up(&self, id: Id, data: Id, actor: &Actor) {
        let change = move |seen: &VisibleImage| {
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
        let noted = match self.edit(edit).await {
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
        self.settle(self.store.removable_of(id).await).await;
    }

    /// Removes data that are no image's, and gives up uploads whose lease has ended, for ever.
    pub async fn sweep(&self) {
        let mut interval = tokio::time::interval(SWEEP);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.sweep_once().await;
        }
    }

    /// Does that as far as it can be done now; nothing while the folder of the data is away.
    pub async fn sweep_once(&self) {
        match self.check_place().await {
            Ok(()) => self.settle(self.store.unsettled().await).await,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "data cannot be removed now");
            }
        }
    }

    async fn settle(&self, unsettled: Result<Vec<Unsettled>, Error>) {
        let unsettled = match unsettled {
            Ok(unsettled) => unsettled,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "data cannot be removed now");
                return;
            }
        };
        let mut failures = Vec::new();
        for unsettled in &unsettled {
            if unsettled.is_upload {
                // Its own removal comes with it.
                Box::pin(self.give_up(unsettled.image_id, unsettled.id, &Actor::default())).await;
            } else if let Err(error) = self.remove(unsettled).await {
                failures.push((unsettled.id, error));
            }
        }
        // One line for all: what stands in the way of one mostly does in that of the others.
        if let Some((data, error)) = failures.first() {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, data = %data, count = failures.len(), "data are removed later");
        }
    }

    async fn remove(&self, unsettled: &Unsettled) -> Result<(), Error> {
        self.check_place().await?;
        match self.data.remove(unsettled.id, &unsettled.upload_id).await {
            Ok(was_there) => {
                if !was_there {
                    // They may have gone away with their folder since.
                    self.check_place().await?;
                }
                self.store.forget_data(unsettled.id).await
            }
            Err(error) => {
                self.store.postpone(unsettled.id, wait(unsettled.attempts)).await?;
                Err(Error::DataStore(error))
            }
        }
    }
}

/// How long data rest that could not be removed so many times before: 4 s at first, and twice as long each time, up to
/// 17 min.
fn wait(attempts: i64) -> TimeDelta {
    TimeDelta::seconds(1 << (attempts.clamp(0, 8) + 2))
}

/// What a failure of the data store is to a caller.
pub(super) fn data_store(error: object_store::Error) -> Error {
    if is_full(&error) { Error::DataStoreFull } else { Error::DataStore(error) }
}
