//! The caller's identity as it is passed on to a peer, which identifies callers the same way as this service.

use std::time::Duration;

use chassis::{
    caller::{self, Caller, IDENTITY_HEADERS},
    keystone::{AUTH_TOKEN, Keystone, ON_BEHALF_OF, SERVICE_TOKEN},
};
use tonic::{
    Code, Status,
    metadata::{AsciiMetadataValue, MetadataMap},
};

use crate::client::Unanswered;

/// The identity headers of a call.
pub(super) struct Credentials {
    metadata: Metadata,
    /// What it means if the peer rejects the caller: the token was revoked in the meantime.
    revoked: Option<caller::Error>,
}

type Metadata = Vec<(&'static str, AsciiMetadataValue)>;

impl Credentials {
    pub(super) fn add_to(&self, request: &mut MetadataMap) {
        for (name, value) in &self.metadata {
            request.insert(*name, value.clone());
        }
    }

    /// The error for our caller, if this status rejects its token.
    pub(super) fn rejection(&self, status: &Status) -> Option<Unanswered> {
        let revoked = self.revoked.clone().filter(|_| status.code() == Code::Unauthenticated);
        revoked.map(Unanswered::Caller)
    }
}

/// With Keystone: the caller's token and our own, so that the caller's may expire in the meantime; for a caller whose token
/// is gone, only ours, and on whose behalf we call. Without Keystone: the caller's user, project and roles.
pub(super) async fn credentials(
    caller: &Caller,
    keystone: Option<&Keystone>,
    timeout: Duration,
) -> Result<Credentials, Unanswered> {
    let Some(keystone) = keystone else {
        return Ok(Credentials { metadata: names(caller, IDENTITY_HEADERS), revoked: None });
    };
    let own = tokio::time::timeout(timeout, keystone.own_token()).await;
    let own = own
        .map_err(|_| Unanswered::Timeout(timeout.as_millis()))?
        .map_err(|_| Unanswered::Unavailable(None))?;
    let Some(token) = &caller.token else {
        let mut metadata = names(caller, ON_BEHALF_OF);
        metadata.push(secret(AUTH_TOKEN, own.as_bytes())?);
        return Ok(Credentials { metadata, revoked: None });
    };
    let metadata = vec![secret(AUTH_TOKEN, token.0.as_bytes())?, secret(SERVICE_TOKEN, own.as_bytes())?];
    Ok(Credentials { metadata, revoked: Some(keystone.revoked()) })
}

fn secret(name: &'static str, value: &[u8]) -> Result<(&'static str, AsciiMetadataValue), Unanswered> {
    let mut value = AsciiMetadataValue::try_from(value).map_err(|_| Unanswered::Unavailable(None))?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn names(caller: &Caller, headers: [&'static str; 3]) -> Metadata {
    let Caller { actor, roles, .. } = caller;
    let ([user, project, role], roles) = (headers, roles.join(","));
    let named = [(user, actor.user_id.as_str()), (project, &actor.project_id)];
    // Roles even if there are none: without the header, the caller would count as a member.
    let values = named.into_iter().filter(|(_, value)| !value.is_empty()).chain([(role, roles.as_str())]);
    values.filter_map(|(name, value)| Some((name, AsciiMetadataValue::try_from(value).ok()?))).collect()
}
