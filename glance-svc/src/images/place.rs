//! Whether the data is where the database expects it: the folder may be missing, or another one in its place. In that case,
//! no data is read, written, removed or forgotten; everything that needs no data keeps working.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use common::id::Id;
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

use super::Images;
use crate::error::Error;

/// How many times to try to agree on an id with other processes that start at the same time.
const ATTEMPTS: usize = 4;

/// 1 while the folder is known to be missing. One for the process, which has one folder.
static AWAY: LazyLock<Gauge> = LazyLock::new(Gauge::default);

/// Adds what is known of the data folder to a registry.
pub fn register_metrics(registry: &mut Registry) {
    let help = "Whether the data folder is missing, or another one is in its place";
    registry.register("imprint_data_store_away", help, AWAY.clone());
}

/// Where the data is stored, as far as it has been checked.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    state: Arc<Mutex<State>>,
    /// Locked while the database and the folder are made to agree, so that concurrent first requests do that once.
    recognizing: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// The id of the place, once it has been found.
    id: Option<Id>,
    is_missing: bool,
}

impl Place {
    fn id(&self) -> Option<Id> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).id
    }

    /// Records what was found, and logs a change.
    fn record(&self, found: &Result<Id, Error>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(id) => {
                if state.is_missing {
                    tracing::info!(id = %id, "the data folder is back");
                }
                *state = State { id: Some(*id), is_missing: false };
                AWAY.set(0);
            }
            Err(Error::DataAway { expected }) => {
                if !state.is_missing {
                    let id = expected.map(|id| id.to_string()).unwrap_or_default();
                    tracing::error!(
                        id,
                        "the data folder is missing, or another one is in its place: no data is read, written or removed \
                         until the folder with this id in its file imprint-data-store is back"
                    );
                }
                state.is_missing = true;
                AWAY.set(1);
            }
            // Other errors are reported to whoever met them.
            Err(_) => {}
        }
    }
}

impl Images {
    /// Checks that the data is where it should be. A bucket needs no check: a missing one is an error of its own.
    pub(super) async fn check_place(&self) -> Result<(), Error> {
        let Some(marked) = self.data.marker().await.map_err(Error::DataStore)? else { return Ok(()) };
        let found = match marked {
            Some(id) if self.place.id() == Some(id) => Ok(id),
            _ => self.recognize().await,
        };
        self.place.record(&found);
        found.map(drop)
    }

    /// The id of the place, on which the database and the marker of the folder agree. If only one of the two has an id, the other
    /// one adopts it, provided that no data can be lost.
    async fn recognize(&self) -> Result<Id, Error> {
        let _alone = self.place.recognizing.lock().await;
        for _ in 0..ATTEMPTS {
            let recorded = self.store.data_store().await?;
            let is_free = self.may_adopt(recorded).await?;
            // Read last: a process that records an id marks the folder before it accepts any data.
            let marked = self.data.marker().await.map_err(Error::DataStore)?.flatten();
            match (recorded, marked) {
                (Some(recorded), Some(marked)) if recorded == marked => return Ok(recorded),
                // Its id may have been recorded in the meantime.
                (None, Some(_)) if !is_free => {}
                _ if !is_free => return Err(Error::DataAway { expected: recorded }),
                (_, Some(marked)) => self.store.record_data_store(marked).await?,
                (_, None) => {
                    let id = self.store.begin_data_store(Id::random()).await?;
                    self.data.mark(id).await.map_err(Error::DataStore)?;
                }
            }
        }
        Err(Error::DataAway { expected: None })
    }

    /// Whether this place may be adopted: there is no data yet, or, if no id has been recorded, it has some of the data in the
    /// database.
    async fn may_adopt(&self, recorded: Option<Id>) -> Result<bool, Error> {
        if recorded.is_some() {
            return Ok(!self.store.has_data().await?);
        }
        let stored = self.store.stored_data().await?;
        if stored.is_empty() {
            return Ok(true);
        }
        for data in stored {
            if self.data.holds(data).await {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
