//! Volume types in the database.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chassis::{
    caller::Caller,
    db::{self, ByDialect, Db, Micros, Transaction, retrying},
    group::{BatchLimits, Group},
    page::{Page, Read},
};
use common::id::{Id, NIL};
use sqlx::types::Json;

use super::{Store, quota::move_limits, sources::missing};
use crate::{
    error::{Error, VolumeTypeError},
    list::VolumeTypeOrder,
    volume::{Volume, VolumeType, volume_type::VOLUME_TYPE_LIMIT},
};

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

/// Lets changes of volume types happen one after the other. Whoever reads them does not wait, nor does a volume that gets
/// one. SQLite has one writer anyway.
const LOCK: ByDialect =
    ByDialect { sqlite: "SELECT 1", postgres: "LOCK TABLE volume_types IN SHARE ROW EXCLUSIVE MODE" };

/// Those of the volume types `$1` that exist, until the end of the transaction. SQLite has one writer.
const KEEP: ByDialect = ByDialect {
    sqlite: "SELECT id FROM volume_types WHERE id IN (SELECT value FROM json_each($1))",
    postgres: "SELECT id FROM volume_types WHERE id = ANY($1) ORDER BY id FOR KEY SHARE",
};

/// Whether a volume, a snapshot or a task has the type `$1`.
const IS_USED: &str = "SELECT EXISTS (SELECT 1 FROM volumes WHERE volume_type_id = $1) \
     OR EXISTS (SELECT 1 FROM snapshots WHERE volume_type_id = $1) \
     OR EXISTS (SELECT 1 FROM volume_tasks WHERE target_type_id = $1)";

/// Whether the project that follows is one of a type's.
const HAS_PROJECT: ByDialect = ByDialect {
    sqlite: "EXISTS (SELECT 1 FROM json_each(project_ids) WHERE value = ",
    postgres: "EXISTS (SELECT 1 FROM json_array_elements_text(project_ids) AS project WHERE project = ",
};

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

    /// A page of the volume types that `caller` may use, as far as it fits into an answer. With `is_public`, only those
    /// that are, or are not.
    pub async fn list_volume_types(
        &self,
        page: &Page<VolumeTypeOrder>,
        is_public: Option<bool>,
        caller: &Caller,
    ) -> Result<Read<VolumeType>, Error> {
        let mut query = self.db.builder(VOLUME_TYPE);
        if let Some(is_public) = is_public {
            query.push("is_public = ").push_bind(is_public).push(" AND ");
        }
        if !caller.is_admin {
            query.push("(is_public OR ").push_by_dialect(HAS_PROJECT);
            query.push_bind(caller.project().unwrap_or_default()).push(")) AND ");
        }
        page.push_after(&mut query);
        page.push_end(&mut query);
        let mut connection = self.db.reader().await?;
        let read = Read::within(connection.query_as(query), VolumeTypeRow::bytes).await?;
        read.try_map(|row| Ok(row.into()))
    }

    /// The names of all volume types that a project may use.
    pub async fn volume_type_names(&self, project_id: &str) -> Result<BTreeSet<String>, Error> {
        let mut query = self.db.builder("SELECT name FROM volume_types WHERE is_public OR ");
        query.push_by_dialect(HAS_PROJECT).push_bind(project_id).push(")");
        let names: Vec<(String,)> = self.db.reader().await?.query_as(query).fetch_all().await?;
        Ok(names.into_iter().map(|(name,)| name).collect())
    }

    /// Adds a volume type.
    pub async fn insert_volume_type(&self, volume_type: &VolumeType) -> Result<(), Error> {
        retrying(async || {
            let mut tx = self.db.begin().await?;
            tx.query(LOCK).execute().await?;
            check_name(&mut tx, volume_type).await?;
            let count: i64 = tx.query_scalar("SELECT COUNT(*) FROM volume_types").fetch_one().await?;
            if usize::try_from(count).is_ok_and(|count| count >= VOLUME_TYPE_LIMIT) {
                return Err(VolumeTypeError::TooMany.into());
            }
            insert(&mut tx, volume_type).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Changes a volume type as `decide` says, which sees it as it is; it gets the next revision.
    pub async fn update_volume_type(
        &self,
        id: Id,
        decide: impl Fn(&VolumeType) -> Result<VolumeType, Error>,
    ) -> Result<VolumeType, Error> {
        retrying(async || {
            let mut tx = self.db.begin().await?;
            let before = lock(&mut tx, id).await?;
            let after = VolumeType { revision: before.revision + 1, ..decide(&before)? };
            if after.name != before.name {
                check_name(&mut tx, &after).await?;
                move_limits(&mut tx, &before.name, Some(&after.name)).await?;
            }
            update(&mut tx, &after).await?;
            tx.commit().await?;
            Ok(after)
        })
        .await
    }

    /// Deletes a volume type that nothing has, with the limits of projects for it, unless `decide` refuses.
    pub async fn delete_volume_type(
        &self,
        id: Id,
        decide: impl Fn(&VolumeType) -> Result<(), Error>,
    ) -> Result<(), Error> {
        retrying(async || {
            let mut tx = self.db.begin().await?;
            let before = lock(&mut tx, id).await?;
            decide(&before)?;
            if tx.query_scalar(IS_USED).bind(id).fetch_one().await? {
                return Err(VolumeTypeError::InUse(before.name).into());
            }
            move_limits(&mut tx, &before.name, None).await?;
            tx.query("DELETE FROM volume_types WHERE id = $1").bind(id).execute().await?;
            Ok(tx.commit().await?)
        })
        .await
    }
}

/// Keeps volume types that volumes are to have from being deleted; returns those that have been.
pub(super) async fn lock_types(tx: &mut Transaction, ids: &BTreeSet<Id>) -> Result<BTreeSet<Id>, db::Error> {
    missing(tx, KEEP, ids).await
}

/// Refuses a volume whose type is one of those that have been deleted.
pub(super) fn check_type(volume: &Volume, deleted: &BTreeSet<Id>) -> Result<(), Error> {
    if deleted.contains(&volume.volume_type_id) {
        return Err(VolumeTypeError::NotFound(volume.volume_type.to_string()).into());
    }
    Ok(())
}

impl VolumeTypeRow {
    /// About how many bytes of an answer it takes.
    fn bytes(&self) -> usize {
        let projects = self.project_ids.iter().map(String::len);
        let specs = self.extra_specs.iter().map(|(name, value)| name.len() + value.len());
        self.name.len() + self.description.len() + projects.chain(specs).sum::<usize>()
    }
}

/// The volume type with that id, which nobody else changes before the transaction ends.
async fn lock(tx: &mut Transaction, id: Id) -> Result<VolumeType, Error> {
    tx.query(LOCK).execute().await?;
    let mut query = tx.builder(VOLUME_TYPE);
    query.push("id = ").push_bind(id);
    let row: Option<VolumeTypeRow> = tx.query_as(query).fetch_optional().await?;
    row.map(Into::into).ok_or_else(|| VolumeTypeError::NotFound(id.to_string()).into())
}

/// Refuses a name that another volume type has.
async fn check_name(tx: &mut Transaction, volume_type: &VolumeType) -> Result<(), Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM volume_types WHERE name = $1 AND id <> $2)";
    let is_taken = tx.query_scalar(sql).bind(&volume_type.name).bind(volume_type.id).fetch_one().await?;
    if is_taken { Err(VolumeTypeError::Exists(volume_type.name.clone()).into()) } else { Ok(()) }
}

async fn insert(tx: &mut Transaction, volume_type: &VolumeType) -> Result<(), db::Error> {
    tx.query(
        "INSERT INTO volume_types (id, name, description, is_public, project_ids, extra_specs, revision, create_time, \
         update_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(volume_type.id)
    .bind(&volume_type.name)
    .bind(&volume_type.description)
    .bind(volume_type.is_public)
    .bind(Json(&volume_type.project_ids))
    .bind(Json(&volume_type.extra_specs))
    .bind(volume_type.revision)
    .bind(Micros(volume_type.create_time))
    .bind(Micros(volume_type.update_time))
    .execute()
    .await?;
    Ok(())
}

async fn update(tx: &mut Transaction, volume_type: &VolumeType) -> Result<(), db::Error> {
    tx.query(
        "UPDATE volume_types SET name = $2, description = $3, is_public = $4, project_ids = $5, extra_specs = $6, \
         revision = $7, update_time = $8 WHERE id = $1",
    )
    .bind(volume_type.id)
    .bind(&volume_type.name)
    .bind(&volume_type.description)
    .bind(volume_type.is_public)
    .bind(Json(&volume_type.project_ids))
    .bind(Json(&volume_type.extra_specs))
    .bind(volume_type.revision)
    .bind(Micros(volume_type.update_time))
    .execute()
    .await?;
    Ok(())
}
