//! Removes orphaned data: of failed uploads, and of deleted images.

use chassis::{
    caller::Actor,
    data::{SWEEP, pause_after},
};
use common::{clock, id::Id};
use tokio::time::MissedTickBehavior;

use super::Images;
use crate::{
    data::is_full,
    error::Error,
    image::Status,
    store::{DataStep, Edit, OrphanedData, VisibleImage},
};

impl Images {
    /// Makes an image QUEUED again after a failed upload, and removes what was written. If that cannot be done now, it is done
    /// once the lease has expired.
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
        let recorded = match self.edit(edit).await {
            Err(Error::UploadLost(_) | Error::NotFound(_)) => self.store.discard(data).await,
            edited => edited.map(|_| true),
        };
        match recorded {
            // The upload was complete after all.
            Ok(false) => {}
            Ok(true) => {
                self.remove_data_of(id).await;
                self.remove_forgotten(data, "").await;
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, image = %id, "an upload will be given up later");
            }
        }
    }

    /// Removes what was written after another process had removed and forgotten the data.
    pub(super) async fn remove_forgotten(&self, data: Id, upload_id: &str) {
        if let Err(error) = self.data.remove(data, &upload_id.to_owned()).await {
            tracing::warn!(error = &error as &dyn std::error::Error, data = %data, "data is left behind");
        }
    }

    /// Removes an image's data that is due for removal, as far as that can be done now.
    pub(super) async fn remove_data_of(&self, id: Id) {
        self.clean_up(self.store.removable_of(id).await).await;
    }

    /// Removes orphaned data, and gives up uploads whose lease has expired, forever.
    pub async fn sweep(&self) {
        let mut interval = tokio::time::interval(SWEEP);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.sweep_once().await;
        }
    }

    /// Like [`Images::sweep`], once, as far as that can be done now; does nothing while the data folder is missing.
    pub async fn sweep_once(&self) {
        match self.check_place().await {
            Ok(()) => self.clean_up(self.store.orphaned_data().await).await,
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "orphaned data cannot be removed now"
                );
            }
        }
    }

    async fn clean_up(&self, orphaned: Result<Vec<OrphanedData>, Error>) {
        let orphaned = match orphaned {
            Ok(orphaned) => orphaned,
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "orphaned data cannot be removed now"
                );
                return;
            }
        };
        let mut failures = Vec::new();
        for orphaned in &orphaned {
            if orphaned.is_upload {
                // This removes the data, too.
                Box::pin(self.give_up(orphaned.image_id, orphaned.id, &Actor::default())).await;
            } else if let Err(error) = self.remove(orphaned).await {
                failures.push((orphaned.id, error));
            }
        }
        // One line for all of them: they mostly fail for the same reason.
        if let Some((data, error)) = failures.first() {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, data = %data, count = failures.len(), "orphaned data will be removed later");
        }
    }

    async fn remove(&self, orphaned: &OrphanedData) -> Result<(), Error> {
        self.check_place().await?;
        match self.data.remove(orphaned.id, &orphaned.upload_id).await {
            Ok(was_there) => {
                if !was_there {
                    // The whole folder may have gone missing since.
                    self.check_place().await?;
                }
                self.store.forget_data(orphaned.id).await
            }
            Err(error) => {
                self.store.postpone(orphaned.id, pause_after(orphaned.attempts)).await?;
                Err(Error::DataStore(error))
            }
        }
    }
}

/// The error for a caller when the data store fails.
pub(super) fn data_store(error: object_store::Error) -> Error {
    if is_full(&error) { Error::DataStoreFull } else { Error::DataStore(error) }
}
