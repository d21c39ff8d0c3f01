//! Whether the data are where the database expects them: a folder may be away, or another one in its place. Then data
//! are neither read nor written nor removed, and nothing is forgotten; whatever needs no data goes on.

use std::sync::{Arc, Mutex, PoisonError};

use common::id::Id;

use super::Images;
use crate::error::Error;

/// How often it is tried to agree on an id with other processes that begin at the same time.
const TRIES: usize = 4;

/// What is known of the place of the data.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    known: Arc<Mutex<Known>>,
    /// Held while the database and the folder are made to agree: requests that come first do that once.
    recognizing: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Known {
    /// Its id, once it has been found.
    id: Option<Id>,
    is_away: bool,
}

impl Place {
    fn id(&self) -> Option<Id> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).id
    }

    /// Notes what was found, and says so where it is news.
    fn note(&self, found: &Result<Id, Error>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(id) => {
                if known.is_away {
                    tracing::info!(id = %id, "the folder of the data is back");
                }
                *known = Known { id: Some(*id), is_away: false };
            }
            Err(Error::DataAway { expected }) => {
                if !known.is_away {
                    let id = expected.map(|id| id.to_string()).unwrap_or_default();
                    tracing::error!(
                        id,
                        "the folder of the data is away, or another one is in its place: no data are read, written or \
                         removed until the folder with this id in its file imprint-data-store is back"
                    );
                }
                known.is_away = true;
            }
            // What is the matter is told where it is met.
            Err(_) => {}
        }
    }
}

impl Images {
    /// Checks that the data are where they should be. A bucket always is: it answers for itself.
    pub(super) async fn check_place(&self) -> Result<(), Error> {
        let Some(marked) = self.data.marker().await.map_err(Error::DataStore)? else { return Ok(()) };
        let found = match marked {
            Some(id) if self.place.id() == Some(id) => Ok(id),
            _ => self.recognize().await,
        };
        self.place.note(&found);
        found.map(drop)
    }

    /// The id of the place, which the database and the marker of the folder agree on. The first of the two that there is
    /// gives it to the other one where no data can be lost.
    async fn recognize(&self) -> Result<Id, Error> {
        let _alone = self.place.recognizing.lock().await;
        for _ in 0..TRIES {
            let noted = self.store.data_store().await?;
            let is_free = self.may_adopt(noted).await?;
            // Looked at last: whoever notes an id marks the folder before it takes any data.
            let marked = self.data.marker().await.map_err(Error::DataStore)?.flatten();
            match (noted, marked) {
                (Some(noted), Some(marked)) if noted == marked => return Ok(noted),
                // Its id may have been noted meanwhile.
                (None, Some(_)) if !is_free => {}
                _ if !is_free => return Err(Error::DataAway { expected: noted }),
                (_, Some(marked)) => self.store.note_data_store(marked).await?,
                (_, None) => {
                    let id = self.store.begin_data_store(Id::random()).await?;
                    self.data.mark(id).await.map_err(Error::DataStore)?;
                }
            }
        }
        Err(Error::DataAway { expected: None })
    }

    /// Whether the place may be taken for the one of the data: there are none, or, before places had ids, it has some of
    /// those that the database knows.
    async fn may_adopt(&self, noted: Option<Id>) -> Result<bool, Error> {
        if noted.is_some() {
            return Ok(!self.store.knows_data().await?);
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
