//! The one transaction that creates instances: all of them with all their metadata, or nothing.

use chrono::{DateTime, Utc};
use common::{caller::Actor, id::Id, in_transaction, on_db};
use sha2::{Digest as _, Sha256};
use sqlx::QueryBuilder;

use super::{
    Store,
    instance::{InstanceRow, RECORD},
};
use crate::{
    error::Error,
    instance::{Instance, Reservation},
    pipeline::CreateInstance,
    quota::{Quota, Usage},
};

/// Most instances whose statements are worth keeping prepared: larger ones differ from request to request, and
/// each would hold megabytes on both sides of the connection.
const CACHED_BATCH: usize = 4;

/// What a request claims before it creates anything: its reservation and, if it has one, its request id.
#[derive(Debug, Clone)]
pub struct Claim {
    project_id: String,
    request_id: Option<String>,
    fingerprint: String,
    reservation_id: String,
    requested: usize,
}

#[derive(sqlx::FromRow)]
struct RequestRow {
    fingerprint: String,
    reservation_id: String,
    requested_count: i32,
}

/// What a project uses.
macro_rules! usage {
    ($executor:expr, $project_id:expr) => {
        sqlx::query_as::<_, Usage>(
            "SELECT COUNT(*) AS instances, CAST(COALESCE(SUM(vcpus), 0) AS BIGINT) AS cores, \
             CAST(COALESCE(SUM(memory_mb), 0) AS BIGINT) AS ram_mb FROM instances WHERE project_id = $1",
        )
        .bind($project_id)
        .fetch_one($executor)
        .await?
    };
}

/// Writes the rows of `instances`, one for each.
macro_rules! insert_instances {
    ($tx:ident, $instances:expr) => {
        QueryBuilder::new(
            "INSERT INTO instances (id, name, hostname, launch_index, reservation_id, project_id, user_id, \
             image_id, image_revision, state, memory_mb, vcpus, kernel_id, ramdisk_id, os_type, architecture, \
             vm_mode, root_device_name, auto_disk_config, create_time, update_time) ",
        )
        .push_values($instances, |mut row, instance| {
            let record = &instance.record;
            row.push_bind(instance.id)
                .push_bind(&instance.name)
                .push_bind(&instance.hostname)
                .push_bind(instance.launch_index)
                .push_bind(&record.reservation_id)
                .push_bind(&record.project_id)
                .push_bind(&record.user_id)
                .push_bind(record.image_id)
                .push_bind(record.image_revision)
                .push_bind(record.state.as_str())
                .push_bind(record.flavor.memory_mb)
                .push_bind(record.flavor.vcpus)
                .push_bind(&record.kernel_id)
                .push_bind(&record.ramdisk_id)
                .push_bind(&record.inherited.os_type)
                .push_bind(&record.inherited.architecture)
                .push_bind(&record.inherited.vm_mode)
                .push_bind(&record.inherited.root_device_name)
                .push_bind(record.inherited.auto_disk_config)
                .push_bind(record.create_time)
                .push_bind(record.update_time);
        })
        .build()
        .persistent($instances.len() <= CACHED_BATCH)
        .execute(&mut *$tx)
        .await?
    };
}

/// Starts a statement that has each instance beside each entry: what the instances of a reservation share is
/// sent once, and the database multiplies it.
macro_rules! each_with_entries {
    ($instances:expr, $columns:literal, $entries:expr, |$row:ident, $entry:ident| $bind:expr) => {{
        let mut query = QueryBuilder::new("WITH i (id) AS (");
        query.push_values($instances, |mut row, instance| {
            row.push_bind(instance.id);
        });
        query.push(concat!("), e (", $columns, ") AS (")).push_values($entries, |mut $row, $entry| $bind);
        query.push(") ");
        query
    }};
}

/// Writes the caller's metadata, the same for each instance of a reservation.
macro_rules! insert_metadata {
    ($tx:ident, $instances:expr) => {
        if let Some(first) = $instances.first().filter(|first| !first.record.metadata.is_empty()) {
            each_with_entries!($instances, "key, value", &first.record.metadata, |row, entry| {
                row.push_bind(entry.0).push_bind(entry.1);
            })
            .push("INSERT INTO instance_metadata (instance_id, key, value) ")
            .push("SELECT i.id, e.key, e.value FROM i CROSS JOIN e")
            .build()
            .persistent($instances.len() <= CACHED_BATCH)
            .execute(&mut *$tx)
            .await?;
        }
    };
}

/// Writes the system metadata, the same for each instance of a reservation.
macro_rules! insert_system_metadata {
    ($tx:ident, $instances:expr) => {
        if let Some(first) = $instances.first() {
            let stamped = &first.record.system_metadata;
            each_with_entries!($instances, "key, value, truncated", &stamped.entries, |row, entry| {
                let truncated = stamped.truncated.contains(entry.0);
                row.push_bind(entry.0).push_bind(entry.1).push_bind(truncated);
            })
            .push("INSERT INTO instance_system_metadata (instance_id, key, value, truncated) ")
            .push("SELECT i.id, e.key, e.value, e.truncated FROM i CROSS JOIN e")
            .build()
            .persistent($instances.len() <= CACHED_BATCH)
            .execute(&mut *$tx)
            .await?;
        }
    };
}

impl Claim {
    /// The claim of a request; `random` makes the reservation's id.
    #[must_use]
    pub fn new(request: &CreateInstance, actor: &Actor, random: Id) -> Self {
        let json = serde_json::to_vec(request).expect("a request is plain data");
        let random = random.as_uuid().simple().to_string();
        Self {
            project_id: actor.project_id.clone(),
            request_id: request.request_id.clone(),
            fingerprint: format!("{:x}", HexBytes(&Sha256::digest(json))),
            reservation_id: format!("r-{}", &random[..16]),
            requested: request.max_count,
        }
    }

    /// The id of the reservation to be.
    #[must_use]
    pub fn reservation_id(&self) -> &str {
        &self.reservation_id
    }
}

/// Bytes that format as hexadecimal digits.
struct HexBytes<'a>(&'a [u8]);

impl std::fmt::LowerHex for HexBytes<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl Store {
    /// What an earlier request with the same id created; an error if that was another request.
    pub async fn find_reservation(&self, claim: &Claim) -> Result<Option<Reservation>, Error> {
        let Some(request_id) = &claim.request_id else { return Ok(None) };
        let row: Option<RequestRow> = on_db!(self.db, |pool| {
            sqlx::query_as(
                "SELECT fingerprint, reservation_id, requested_count FROM create_requests \
                 WHERE project_id = $1 AND request_id = $2",
            )
            .bind(&claim.project_id)
            .bind(request_id)
            .fetch_optional(pool)
            .await?
        });
        let Some(before) = row else { return Ok(None) };
        if before.fingerprint != claim.fingerprint {
            return Err(Error::RequestIdTaken(request_id.clone()));
        }
        let instances = self.instances_of(&before.reservation_id).await?;
        let requested = usize::try_from(before.requested_count).unwrap_or_default();
        Ok(Some(Reservation { id: before.reservation_id, requested, instances }))
    }

    /// What `project_id` uses, if anything is limited.
    pub async fn usage(&self, project_id: &str, quota: &Quota) -> Result<Usage, Error> {
        if !quota.is_limited() {
            return Ok(Usage::default());
        }
        Ok(on_db!(self.db, |pool| usage!(pool, project_id)))
    }

    /// Records what `provision` lays out. Another request with the same id that came first wins: what it
    /// created is the answer.
    pub async fn create(
        &self,
        claim: &Claim,
        quota: &Quota,
        now: DateTime<Utc>,
        provision: impl Fn(&Usage) -> Result<Reservation, Error>,
    ) -> Result<Reservation, Error> {
        if let Some(reservation) = self.try_create(claim, quota, now, provision).await? {
            return Ok(reservation);
        }
        let before = self.find_reservation(claim).await?;
        // Whoever was first has committed: its row is there, and rows of requests are never deleted.
        Ok(before.expect("a claim that failed belongs to an earlier request"))
    }

    /// As [`Store::create`]; `None` if the request id is taken.
    async fn try_create(
        &self,
        claim: &Claim,
        quota: &Quota,
        now: DateTime<Utc>,
        provision: impl Fn(&Usage) -> Result<Reservation, Error>,
    ) -> Result<Option<Reservation>, Error> {
        let reservation = in_transaction!(self.db, |tx| {
            if let Some(request_id) = &claim.request_id {
                let claimed = sqlx::query(
                    "INSERT INTO create_requests (project_id, request_id, fingerprint, reservation_id, \
                     requested_count, create_time) VALUES ($1, $2, $3, $4, $5, $6) \
                     ON CONFLICT (project_id, request_id) DO NOTHING",
                )
                .bind(&claim.project_id)
                .bind(request_id)
                .bind(&claim.fingerprint)
                .bind(&claim.reservation_id)
                .bind(i32::try_from(claim.requested).unwrap_or(i32::MAX))
                .bind(now)
                .execute(&mut *tx)
                .await?
                .rows_affected();
                if claimed == 0 {
                    return Ok(None);
                }
            }
            let usage = if quota.is_limited() {
                sqlx::query(
                    "INSERT INTO quota_projects (project_id) VALUES ($1) \
                     ON CONFLICT (project_id) DO UPDATE SET project_id = excluded.project_id",
                )
                .bind(&claim.project_id)
                .execute(&mut *tx)
                .await?;
                usage!(&mut *tx, &claim.project_id)
            } else {
                Usage::default()
            };
            let reservation = provision(&usage)?;
            insert_instances!(tx, &reservation.instances);
            insert_metadata!(tx, &reservation.instances);
            insert_system_metadata!(tx, &reservation.instances);
            reservation
        });
        Ok(Some(reservation))
    }

    /// The instances of a reservation, by launch index.
    async fn instances_of(&self, reservation_id: &str) -> Result<Vec<Instance>, Error> {
        let rows: Vec<InstanceRow> = on_db!(self.db, |pool| {
            QueryBuilder::new(RECORD)
                .push("reservation_id = ")
                .push_bind(reservation_id)
                .push(" ORDER BY launch_index")
                .build_query_as()
                .fetch_all(pool)
                .await?
        });
        rows.into_iter().map(Instance::try_from).collect()
    }
}
