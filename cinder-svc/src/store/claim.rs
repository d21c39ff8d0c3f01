//! What a request with an id claims before it creates anything, and what an earlier request with that id created.

use std::collections::HashSet;

use chassis::{
    caller::Actor,
    db::{self, ByDialect, Transaction, json},
};
use common::{content, id::Id};
use serde::Serialize;

use super::Store;
use crate::error::Error;

/// Claims the request ids of `$1`, with the time of the database's clock.
const CLAIM: ByDialect = ByDialect {
    sqlite: "INSERT INTO create_requests (project_id, resource, request_id, fingerprint, resource_id, create_time) \
         SELECT value ->> 'project_id', value ->> 'resource', value ->> 'request_id', value ->> 'fingerprint', \
         value ->> 'resource_id', CAST(unixepoch('subsec') * 1000000 AS INTEGER) FROM json_each($1) WHERE TRUE \
         ON CONFLICT (project_id, resource, request_id) DO NOTHING RETURNING resource_id",
    postgres: "INSERT INTO create_requests (project_id, resource, request_id, fingerprint, resource_id, create_time) \
         SELECT project_id, resource, request_id, fingerprint, resource_id, now() \
         FROM json_to_recordset($1::json) AS claim (project_id text, resource text, request_id text, \
         fingerprint text, resource_id uuid) \
         ON CONFLICT (project_id, resource, request_id) DO NOTHING RETURNING resource_id",
};

/// Gives up the claims of `$1`.
const GIVE_UP: ByDialect = ByDialect {
    sqlite: "DELETE FROM create_requests WHERE (project_id, resource, request_id) IN \
         (SELECT value ->> 'project_id', value ->> 'resource', value ->> 'request_id' FROM json_each($1))",
    postgres: "DELETE FROM create_requests WHERE (project_id, resource, request_id) IN \
         (SELECT project_id, resource, request_id FROM json_to_recordset($1::json) \
         AS claim (project_id text, resource text, request_id text))",
};

/// What a request with an id is to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claim {
    project_id: String,
    resource: &'static str,
    pub(super) request_id: String,
    fingerprint: String,
    resource_id: Id,
}

impl Claim {
    /// The claim of a request to create the `resource` (`volume`, `snapshot` or `attachment`) `resource_id`; `None` for a
    /// request without an id.
    #[must_use]
    pub fn new(
        resource: &'static str,
        request_id: Option<&str>,
        content: &impl Serialize,
        actor: &Actor,
        resource_id: Id,
    ) -> Option<Self> {
        Some(Self {
            project_id: actor.project_id.clone(),
            resource,
            request_id: request_id?.to_owned(),
            fingerprint: content::fingerprint(content),
            resource_id,
        })
    }
}

impl Store {
    /// What an earlier request with the same id created.
    pub async fn claimed(&self, claim: &Claim) -> Result<Option<Id>, Error> {
        let sql = "SELECT fingerprint, resource_id FROM create_requests \
                   WHERE project_id = $1 AND resource = $2 AND request_id = $3";
        let found: Option<(String, Id)> = self
            .db
            .reader()
            .await?
            .query_as(sql)
            .bind(&claim.project_id)
            .bind(claim.resource)
            .bind(&claim.request_id)
            .fetch_optional()
            .await?;
        match found {
            Some((fingerprint, _)) if fingerprint != claim.fingerprint => {
                Err(Error::RequestIdTaken(claim.request_id.clone()))
            }
            found => Ok(found.map(|(_, id)| id)),
        }
    }
}

/// Claims request ids; returns what may be created. Another replica may hold a claim: that is waited for.
pub(super) async fn claim<'a>(
    tx: &mut Transaction,
    claims: impl Iterator<Item = &'a Claim>,
) -> Result<HashSet<Id>, db::Error> {
    let mut claims: Vec<_> = claims.collect();
    if claims.is_empty() {
        return Ok(HashSet::new());
    }
    // In one order everywhere: two replicas that claim the same ids must not wait for each other.
    claims.sort_by(|a, b| {
        (&a.project_id, a.resource, &a.request_id).cmp(&(&b.project_id, b.resource, &b.request_id))
    });
    let claimed: Vec<Id> = tx.query_scalar(CLAIM).bind(json(&claims)).fetch_all().await?;
    Ok(claimed.into_iter().collect())
}

/// Gives up claims of requests that were refused.
pub(super) async fn give_up<'a>(
    tx: &mut Transaction,
    claims: impl Iterator<Item = &'a Claim>,
) -> Result<(), db::Error> {
    let claims: Vec<_> = claims.collect();
    if !claims.is_empty() {
        tx.query(GIVE_UP).bind(json(&claims)).execute().await?;
    }
    Ok(())
}
