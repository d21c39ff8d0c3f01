//! Volume types in the database.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chassis::{
    db::{self, Db, Micros},
    group::{BatchLimits, Group},
};
use common::id::{Id, NIL};
use sqlx::types::Json;

use super::Store;
use crate::{error::Error, volume::VolumeType};

/// Number of requests that share a statement.
const LIMITS: BatchLimits =
    BatchLimits { name: "volume_types", batch: 128, patience: Duration::from_millis(20) };

/// Lookups of volume types by requests in flight, by id or name.
pub(super) type VolumeTypes = Group<String, Result<Option<Arc<VolumeType>>, db::Error>>;

/// A group that reads from `db`: each type as it is after everybody in the group has asked for it.
pub(super) fn volume_types(db: Db) -> VolumeTypes {
    Group::new(LIMITS, move |wanted: Vec<String>| {
        let db = db.clone();
        async move {
            match read_volume_types(&db, &wanted).await {
                Ok(types) => wanted.iter().map(|wanted| Ok(find(&types, wanted))).collect(),
                Err(error) => wanted.iter().map(|_| Err(error.clone())).collect(),
            }
        }
    })
}

async fn read_volume_types(db: &Db, wanted: &[String]) -> Result<Vec<Arc<VolumeType>>, db::Error> {
    let names: BTreeSet<_> = wanted.iter().collect();
    let ids: BTreeSet<_> = wanted.iter().map(|wanted| wanted.parse().unwrap_or(Id::from(NIL))).collect();
    let mut query = db.builder(VOLUME_TYPE);
    query.push("id IN ").push_list(ids).push(" OR name IN ").push_list(names);
    let rows: Vec<VolumeTypeRow> = db.reader().await?.query_as(query).fetch_all().await?;
    Ok(rows.into_iter().map(|row| Arc::new(row.into())).collect())
}

/// The type with that id or, if there is none, with that name (Cinder, `volume_types.get_by_name_or_id`).
fn find(types: &[Arc<VolumeType>], wanted: &str) -> Option<Arc<VolumeType>> {
    let by_id = wanted.parse().ok().and_then(|id: Id| types.iter().find(|known| known.id == id));
    by_id.or_else(|| types.iter().find(|known| known.name == wanted)).cloned()
}

const VOLUME_TYPE: &str = "SELECT id, name, description, is_public, project_ids, extra_specs, revision, create_time, \
     update_time FROM volume_types WHERE ";

#[derive(sqlx::FromRow)]
struct VolumeTypeRow {
    id: Id,
    name: String,
    description: String,
    is_public: bool,
    project_ids: Json<BTreeSet<String>>,
    extra_specs: Json<BTreeMap<String, String>>,
    revision: i64,
    create_time: Micros,
    update_time: Micros,
}

impl From<VolumeTypeRow> for VolumeType {
    fn from(row: VolumeTypeRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            description: row.description,
            is_public: row.is_public,
            project_ids: row.project_ids.0,
            extra_specs: row.extra_specs.0,
            revision: row.revision,
            create_time: row.create_time.into(),
            update_time: row.update_time.into(),
        }
    }
}

impl Store {
    /// The volume type with that id or name.
    pub async fn volume_type(&self, name_or_id: &str) -> Result<Option<Arc<VolumeType>>, Error> {
        Ok(self.volume_types.submit(name_or_id.to_owned()).await.map_err(db::Error::from)??)
    }
}
