//! What a request with an id claims before it creates anything, and what an earlier request with that id created.

use chassis::{caller::Actor, claims, db::ByDialect};
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

/// What a request claims before it creates anything: the id of what is created and, if it has one, its request id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claim {
    project_id: String,
    resource: &'static str,
    pub(super) request_id: Option<String>,
    fingerprint: String,
    resource_id: Id,
}

impl Claim {
    /// The claim of a request to create the `resource` (`volume`, `snapshot` or `attachment`) `resource_id`.
    #[must_use]
    pub fn new(
        resource: &'static str,
        request_id: Option<&str>,
        content: &impl Serialize,
        actor: &Actor,
        resource_id: Id,
    ) -> Self {
        let request_id = request_id.filter(|id| !id.is_empty()).map(str::to_owned);
        let fingerprint = request_id.as_ref().map(|_| content::fingerprint(content)).unwrap_or_default();
        Self { project_id: actor.project_id.clone(), resource, request_id, fingerprint, resource_id }
    }

    /// The error when its request id keeps being taken and given up.
    pub(super) fn contended(&self) -> Error {
        Error::RequestContended(self.request_id.clone().unwrap_or_default())
    }
}

impl claims::Claim for Claim {
    type CreatedId = Id;

    const CLAIM: ByDialect = CLAIM;
    const GIVE_UP: ByDialect = GIVE_UP;

    fn key(&self) -> Option<(&str, &str)> {
        Some((&self.project_id, self.request_id.as_deref()?))
    }

    fn created_id(&self) -> Id {
        self.resource_id
    }
}

impl Store {
    /// What an earlier request with the same id created.
    pub async fn claimed(&self, claim: &Claim) -> Result<Option<Id>, Error> {
        let Some(request_id) = &claim.request_id else { return Ok(None) };
        let sql = "SELECT fingerprint, resource_id FROM create_requests \
                   WHERE project_id = $1 AND resource = $2 AND request_id = $3";
        let mut connection = self.db.reader().await?;
        let query = connection.query_as(sql).bind(&claim.project_id).bind(claim.resource).bind(request_id);
        match query.fetch_optional().await? {
            Some((fingerprint, _)) if claim.fingerprint != fingerprint => {
                Err(Error::RequestIdTaken(request_id.clone()))
            }
            found => Ok(found.map(|(_, id): (String, Id)| id)),
        }
    }
}
