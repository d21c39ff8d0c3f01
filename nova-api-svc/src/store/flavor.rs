//! Flavors in the database.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chassis::{
    db::{self, Db, retrying},
    group::{BatchLimits, Group},
    page::Page,
};
use chrono::{DateTime, Utc};
use common::flavor::Flavor;

use super::Store;
use crate::{error::Error, list::FlavorOrder};

/// A flavor and when it was added.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredFlavor {
    /// The flavor.
    pub flavor: Flavor,
    /// When it was added.
    pub create_time: DateTime<Utc>,
}

/// Number of requests that share a statement.
const LIMITS: BatchLimits = BatchLimits { name: "flavors", batch: 128, patience: Duration::from_millis(20) };

/// Lookups of flavors by requests in flight.
pub(super) type Flavors = Group<String, Result<Option<StoredFlavor>, db::Error>>;

/// A group that reads from `db`: each flavor as it is after everybody in the group has asked for it.
pub(super) fn flavors(db: Db) -> Flavors {
    Group::new(LIMITS, move |ids: Vec<String>| {
        let db = db.clone();
        async move {
            match read_flavors(&db, &ids).await {
                Ok(flavors) => ids.iter().map(|id| Ok(flavors.get(id).cloned())).collect(),
                Err(error) => ids.iter().map(|_| Err(error.clone())).collect(),
            }
        }
    })
}

async fn read_flavors(db: &Db, ids: &[String]) -> Result<BTreeMap<String, StoredFlavor>, db::Error> {
    let ids: BTreeSet<_> = ids.iter().collect();
    let mut query = db.builder(FLAVOR);
    query.push("flavorid IN ").push_list(ids);
    let rows: Vec<FlavorRow> = db.reader().await?.query_as(query).fetch_all().await?;
    let flavors = rows.into_iter().map(StoredFlavor::from);
    Ok(flavors.map(|flavor| (flavor.flavor.flavorid.clone(), flavor)).collect())
}

const FLAVOR: &str = "SELECT instance_type_id, flavorid, name, memory_mb, vcpus, root_gb, ephemeral_gb, swap, \
     rxtx_factor, vcpu_weight, create_time FROM flavors WHERE ";

#[derive(sqlx::FromRow)]
struct FlavorRow {
    instance_type_id: i64,
    flavorid: String,
    name: String,
    memory_mb: i32,
    vcpus: i32,
    root_gb: i32,
    ephemeral_gb: i32,
    swap: i32,
    rxtx_factor: f64,
    vcpu_weight: Option<i32>,
    create_time: DateTime<Utc>,
}

impl From<FlavorRow> for StoredFlavor {
    fn from(row: FlavorRow) -> Self {
        let flavor = Flavor {
            instance_type_id: row.instance_type_id,
            flavorid: row.flavorid,
            name: row.name,
            memory_mb: row.memory_mb,
            vcpus: row.vcpus,
            root_gb: row.root_gb,
            ephemeral_gb: row.ephemeral_gb,
            swap: row.swap,
            rxtx_factor: row.rxtx_factor,
            vcpu_weight: row.vcpu_weight,
        };
        Self { flavor, create_time: row.create_time }
    }
}

impl Store {
    /// Adds a flavor and gives it its number.
    pub async fn insert_flavor(&self, flavor: Flavor, now: DateTime<Utc>) -> Result<StoredFlavor, Error> {
        let instance_type_id = retrying(|| self.try_insert_flavor(&flavor, now)).await?;
        Ok(StoredFlavor { flavor: Flavor { instance_type_id, ..flavor }, create_time: now })
    }

    async fn try_insert_flavor(&self, flavor: &Flavor, now: DateTime<Utc>) -> Result<i64, Error> {
        let mut tx = self.db.begin().await?;
        // Takes the row's lock: flavors are added one after the other.
        let number: i64 =
            tx.query_scalar("UPDATE flavor_numbers SET last = last + 1 RETURNING last").fetch_one().await?;
        let taken: Option<String> = tx
            .query_scalar("SELECT flavorid FROM flavors WHERE flavorid = $1 OR name = $2")
            .bind(&flavor.flavorid)
            .bind(&flavor.name)
            .fetch_optional()
            .await?;
        if let Some(flavorid) = taken {
            return Err(exists(flavor, flavorid == flavor.flavorid));
        }
        tx.query(
            "INSERT INTO flavors (instance_type_id, flavorid, name, memory_mb, vcpus, root_gb, \
             ephemeral_gb, swap, rxtx_factor, vcpu_weight, create_time) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(number)
        .bind(&flavor.flavorid)
        .bind(&flavor.name)
        .bind(flavor.memory_mb)
        .bind(flavor.vcpus)
        .bind(flavor.root_gb)
        .bind(flavor.ephemeral_gb)
        .bind(flavor.swap)
        .bind(flavor.rxtx_factor)
        .bind(flavor.vcpu_weight)
        .bind(now)
        .execute()
        .await?;
        tx.commit().await?;
        Ok(number)
    }

    /// The flavor with that id.
    pub async fn flavor(&self, flavorid: &str) -> Result<Option<StoredFlavor>, Error> {
        Ok(self.flavors.submit(flavorid.to_owned()).await.map_err(db::Error::from)??)
    }

    /// A page of flavors.
    pub async fn list_flavors(&self, page: &Page<FlavorOrder>) -> Result<Vec<StoredFlavor>, Error> {
        let mut query = self.db.builder(FLAVOR);
        page.push_after(&mut query);
        page.push_end(&mut query);
        let rows: Vec<FlavorRow> = self.db.reader().await?.query_as(query).fetch_all().await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Deletes a flavor; `false` if there was none.
    pub async fn delete_flavor(&self, flavorid: &str) -> Result<bool, Error> {
        let sql = "DELETE FROM flavors WHERE flavorid = $1";
        let deleted = self.db.execute(|connection| connection.query(sql).bind(flavorid)).await?;
        Ok(deleted > 0)
    }
}

fn exists(flavor: &Flavor, by_id: bool) -> Error {
    let (field, value) = if by_id { ("id", &flavor.flavorid) } else { ("name", &flavor.name) };
    Error::FlavorExists { field, value: value.clone() }
}
