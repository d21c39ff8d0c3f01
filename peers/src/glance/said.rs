//! What the catalogue is told of who calls: by whom we know our callers, it knows them as well.

use std::time::Duration;

use chassis::{
    caller::{self, Caller, NAMES},
    keystone::{AUTH_TOKEN, Keystone, ON_BEHALF_OF, SERVICE_TOKEN},
};
use tonic::{
    Code, Status,
    metadata::{AsciiMetadataValue, MetadataMap},
};

use super::Error;

/// What is said in a call.
pub(super) struct Said {
    metadata: Metadata,
    /// What it means if the catalogue does not know the caller: its token was revoked meanwhile.
    revoked: Option<caller::Error>,
}

type Metadata = Vec<(&'static str, AsciiMetadataValue)>;

impl Said {
    pub(super) fn add_to(&self, request: &mut MetadataMap) {
        for (name, value) in &self.metadata {
            request.insert(*name, value.clone());
        }
    }

    /// What a status says of the caller, if that is what it is about.
    pub(super) fn refusal(&self, status: &Status) -> Option<Error> {
        let revoked = self.revoked.clone().filter(|_| status.code() == Code::Unauthenticated);
        revoked.map(Error::Caller)
    }
}

/// With Keystone, the caller's token and ours, so that the caller's may expire meanwhile. Of a caller whose token nobody
/// has any more, ours, and on whose behalf. Without Keystone, who the caller is.
pub(super) async fn of(
    caller: &Caller,
    keystone: Option<&Keystone>,
    timeout: Duration,
) -> Result<Said, Error> {
    let Some(keystone) = keystone else {
        return Ok(Said { metadata: names(caller, NAMES), revoked: None });
    };
    let own = tokio::time::timeout(timeout, keystone.own_token()).await;
    let own = own.map_err(|_| Error::Timeout(timeout.as_millis()))?.map_err(|_| Error::Unavailable(None))?;
    let Some(token) = &caller.token else {
        let mut metadata = names(caller, ON_BEHALF_OF);
        metadata.push(secret(AUTH_TOKEN, own.as_bytes())?);
        return Ok(Said { metadata, revoked: None });
    };
    let metadata = vec![secret(AUTH_TOKEN, token.0.as_bytes())?, secret(SERVICE_TOKEN, own.as_bytes())?];
    Ok(Said { metadata, revoked: Some(keystone.revoked()) })
}

fn secret(name: &'static str, value: &[u8]) -> Result<(&'static str, AsciiMetadataValue), Error> {
    let mut value = AsciiMetadataValue::try_from(value).map_err(|_| Error::Unavailable(None))?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn names(caller: &Caller, headers: [&'static str; 3]) -> Metadata {
    let Caller { actor, roles, .. } = caller;
    let ([user, project, told], roles) = (headers, roles.join(","));
    let named = [(user, actor.user_id.as_str()), (project, &actor.project_id)];
    // Without a word on roles, members are vouched for.
    let said = named.into_iter().filter(|(_, value)| !value.is_empty()).chain([(told, roles.as_str())]);
    said.filter_map(|(name, value)| Some((name, AsciiMetadataValue::try_from(value).ok()?))).collect()
}
