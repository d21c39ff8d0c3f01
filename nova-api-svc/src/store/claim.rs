//! What a request claims before it creates anything, and what an earlier request with the same id created.

use chassis::{caller::Actor, claims, db::ByDialect};
use common::{content::fingerprint, id::Id};
use serde::Serialize;

use super::{
    Store,
    instance::{InstanceRow, ROWS},
};
use crate::{
    error::Error,
    instance::{CreateInstance, Instance, Reservation, Scope},
};

/// What a request claims before it creates anything: its reservation and, if it has one, its request id.
#[derive(Debug, Clone, Serialize)]
pub struct Claim {
    pub(super) project_id: String,
    pub(super) request_id: Option<String>,
    fingerprint: String,
    reservation_id: String,
    requested_count: usize,
}

impl claims::Claim for Claim {
    type CreatedId = String;

    const CLAIM: ByDialect = ByDialect {
        sqlite: "INSERT INTO create_requests (project_id, request_id, fingerprint, reservation_id, requested_count, \
             create_time) \
             SELECT value ->> 'project_id', value ->> 'request_id', value ->> 'fingerprint', \
             value ->> 'reservation_id', value ->> 'requested_count', \
             strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now') FROM json_each($1) WHERE TRUE \
             ON CONFLICT (project_id, request_id) DO NOTHING RETURNING reservation_id",
        postgres: "INSERT INTO create_requests (project_id, request_id, fingerprint, reservation_id, \
             requested_count, create_time) \
             SELECT project_id, request_id, fingerprint, reservation_id, requested_count, now() \
             FROM json_to_recordset($1::json) AS claim (project_id text, request_id text, fingerprint text, \
             reservation_id text, requested_count integer) \
             ON CONFLICT (project_id, request_id) DO NOTHING RETURNING reservation_id",
    };

    const GIVE_UP: ByDialect = ByDialect {
        sqlite: "DELETE FROM create_requests WHERE (project_id, request_id) IN \
             (SELECT value ->> 'project_id', value ->> 'request_id' FROM json_each($1))",
        postgres: "DELETE FROM create_requests WHERE (project_id, request_id) IN (SELECT project_id, request_id \
             FROM json_to_recordset($1::json) AS claim (project_id text, request_id text))",
    };

    fn key(&self) -> Option<(&str, &str)> {
        Some((&self.project_id, self.request_id.as_deref()?))
    }

    fn created_id(&self) -> String {
        self.reservation_id.clone()
    }
}

#[derive(sqlx::FromRow)]
struct RequestRow {
    fingerprint: String,
    reservation_id: String,
    requested_count: i32,
}

impl Claim {
    /// The claim of a request; `random` makes the reservation's id.
    #[must_use]
    pub fn new(request: &CreateInstance, actor: &Actor, random: Id) -> Self {
        let fingerprint = request.request_id.as_ref().map(|_| fingerprint(request)).unwrap_or_default();
        let random = random.as_uuid().simple().to_string();
        Self {
            project_id: actor.project_id.clone(),
            request_id: request.request_id.clone(),
            fingerprint,
            reservation_id: format!("r-{}", &random[..16]),
            requested_count: request.max_count,
        }
    }

    /// The id of the reservation to be created.
    #[must_use]
    pub fn reservation_id(&self) -> &str {
        &self.reservation_id
    }
}

impl Store {
    /// What an earlier request with the same id created within `scope`; an error if that was a different request.
    pub async fn find_reservation(&self, claim: &Claim, scope: &Scope) -> Result<Option<Reservation>, Error> {
        let Some(request_id) = &claim.request_id else { return Ok(None) };
        let sql = "SELECT fingerprint, reservation_id, requested_count FROM create_requests \
                   WHERE project_id = $1 AND request_id = $2";
        let row: Option<RequestRow> = self
            .db
            .reader()
            .await?
            .query_as(sql)
            .bind(&claim.project_id)
            .bind(request_id)
            .fetch_optional()
            .await?;
        let Some(before) = row else { return Ok(None) };
        if before.fingerprint != claim.fingerprint {
            return Err(Error::RequestIdTaken(request_id.clone()));
        }
        let instances = self.instances_of(&before.reservation_id, scope).await?;
        let requested = usize::try_from(before.requested_count).unwrap_or_default();
        Ok(Some(Reservation { id: before.reservation_id, requested, instances }))
    }

    /// The instances of a reservation, by launch index.
    async fn instances_of(&self, reservation_id: &str, scope: &Scope) -> Result<Vec<Instance>, Error> {
        let mut query = self.db.builder(ROWS);
        query.push("reservation_id = ").push_bind(reservation_id);
        scope.push(&mut query);
        query.push(" ORDER BY launch_index");
        let rows: Vec<InstanceRow> = self.db.reader().await?.query_as(query).fetch_all().await?;
        self.complete(rows).await
    }
}
