//! Whether the data is where the database expects it: the folder may be missing, or another one in its place. In that case,
//! no data is read, written, removed or forgotten; everything that needs no data keeps working.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use common::id::Id;
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

use super::{Error, Folder};
use crate::db::{self, Db, QueryBuilder};

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
#[derive(Debug, Clone)]
pub struct Place {
    db: Db,
    table: &'static str,
    folder: Option<Folder>,
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
    /// The place of the data in `table`, which has the columns `id` and `state`; `None` for a bucket, which needs no
    /// check: a missing one is an error of its own.
    #[must_use]
    pub fn new(db: Db, table: &'static str, folder: Option<Folder>) -> Self {
        Self { db, table, folder, state: Arc::default(), recognizing: Arc::default() }
    }

    /// Checks that the data is where it should be.
    pub async fn check(&self) -> Result<(), Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let found = match folder.marker().await? {
            Some(id) if self.id() == Some(id) => Ok(id),
            _ => self.recognize(folder).await,
        };
        self.record(&found);
        found.map(drop)
    }

    /// The id of the place, on which the database and the marker of the folder agree. If only one of the two has an id, the other
    /// one adopts it, provided that no data can be lost.
    async fn recognize(&self, folder: &Folder) -> Result<Id, Error> {
        let _alone = self.recognizing.lock().await;
        for _ in 0..ATTEMPTS {
            let recorded = self.recorded().await?;
            let is_free = self.may_adopt(folder, recorded).await?;
            // Read last: a process that records an id marks the folder before it accepts any data.
            let marked = folder.marker().await?;
            match (recorded, marked) {
                (Some(recorded), Some(marked)) if recorded == marked => return Ok(recorded),
                // Its id may have been recorded in the meantime.
                (None, Some(_)) if !is_free => {}
                _ if !is_free => return Err(Error::Away { expected: recorded }),
                (_, Some(marked)) => self.replace(marked).await?,
                (_, None) => folder.mark(self.begin(Id::random()).await?).await?,
            }
        }
        Err(Error::Away { expected: None })
    }

    /// Whether this folder may be adopted: there is no data yet, or, if no id has been recorded, it has some of the data in the
    /// database.
    async fn may_adopt(&self, folder: &Folder, recorded: Option<Id>) -> Result<bool, Error> {
        if recorded.is_some() {
            return Ok(!self.has_data().await?);
        }
        let stored = self.stored().await?;
        if stored.is_empty() {
            return Ok(true);
        }
        for data in stored {
            if folder.holds(data).await {
                return Ok(true);
            }
        }
        Ok(false)
    }

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
            Err(Error::Away { expected }) => {
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

/// What the database knows of the place.
impl Place {
    /// Its id, if it is known.
    async fn recorded(&self) -> Result<Option<Id>, db::Error> {
        let sql = "SELECT id FROM data_store WHERE place = 1";
        self.db.reader().await?.query_scalar(sql).fetch_optional().await
    }

    /// Records an id unless there is one; returns the one there is then.
    async fn begin(&self, id: Id) -> Result<Id, db::Error> {
        let sql = "INSERT INTO data_store (place, id) VALUES (1, $1) ON CONFLICT (place) DO NOTHING";
        self.db.execute(|connection| connection.query(sql).bind(id)).await?;
        Ok(self.recorded().await?.unwrap_or(id))
    }

    /// Records an id, also in place of another one.
    async fn replace(&self, id: Id) -> Result<(), db::Error> {
        let sql = "INSERT INTO data_store (place, id) VALUES (1, $1) \
                   ON CONFLICT (place) DO UPDATE SET id = excluded.id";
        self.db.execute(|connection| connection.query(sql).bind(id)).await?;
        Ok(())
    }

    /// Whether there is data, may be, or is to be removed.
    async fn has_data(&self) -> Result<bool, db::Error> {
        let mut connection = self.db.reader().await?;
        let mut query = QueryBuilder::new(connection.dialect(), "SELECT EXISTS (SELECT 1 FROM ");
        query.push(self.table).push(")");
        connection.query_scalar(query).fetch_one().await
    }

    /// Some of the data that is complete.
    async fn stored(&self) -> Result<Vec<Id>, db::Error> {
        let mut connection = self.db.reader().await?;
        let mut query = QueryBuilder::new(connection.dialect(), "SELECT id FROM ");
        query.push(self.table).push(" WHERE state = 'stored' ORDER BY id LIMIT 1000");
        connection.query_scalar(query).fetch_all().await
    }
}
