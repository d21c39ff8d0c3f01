//! The end of reservations that are over.

use std::{convert::Infallible, time::Duration};

use chassis::{caller::Actor, scope::Scope, turns::Decided};
use common::id::Id;
use tokio::time::sleep;

use super::{Said, message};
use crate::{
    error::Error,
    store::{Change, Entry},
    volume::{Operation, Step, access::VOLUMES},
    volumes::VolumeApi,
};

/// How often reservations are looked for that are over. A reservation of the same volume does not wait for that.
const INTERVAL: Duration = Duration::from_secs(5);

/// How many volumes are changed before the next ones are read.
const STEP: usize = 100;

impl VolumeApi {
    /// Ends reservations that are over, for ever. Any number of replicas may do that.
    pub async fn end_lapsed_reservations(&self) -> Infallible {
        loop {
            sleep(INTERVAL).await;
            if let Err(error) = self.end_lapsed().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "reservations are ended later");
            }
        }
    }

    /// Ends the reservations that are over now, by the database's clock; returns the number of their volumes. One volume
    /// that cannot be changed does not keep the others.
    pub async fn end_lapsed(&self) -> Result<usize, Error> {
        let (time, mut ended) = (self.store.now().await?, 0);
        loop {
            let volumes = self.store.volumes_with_lapsed(time, STEP).await?;
            let mut problem = None;
            for id in &volumes {
                match self.end_lapsed_of(*id).await {
                    Ok(()) => ended += 1,
                    Err(error) => problem = Some(error),
                }
            }
            match problem {
                Some(problem) => return Err(problem),
                None if volumes.len() < STEP => return Ok(ended),
                None => {}
            }
        }
    }

    async fn end_lapsed_of(&self, id: Id) -> Result<(), Error> {
        let scope = Scope::internal(VOLUMES);
        let decide = || async {
            let Some(before) = self.store.volume(id, &scope).await? else { return Ok(Decided::Nothing(())) };
            let now = self.store.now().await?;
            let (after, lapsed) = before.without_lapsed(now);
            if lapsed.is_empty() {
                return Ok(Decided::Nothing(()));
            }
            let said: Vec<_> = lapsed.iter().map(|lapsed| message(lapsed, &Said::Lapsed)).collect();
            let nobody = Actor { user_id: String::new(), project_id: String::new() };
            let entry = Entry::new(Operation::Attachment, Step::Finished, nobody, before.later(now));
            let entry = Entry { message: said.join("; "), ..entry };
            Ok(Decided::Change(Box::new(Change::new(before, Some(after), entry))))
        };
        self.store.change(id, &scope, decide).await.map(drop)
    }
}
