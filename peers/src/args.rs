//! What the clients of all peers are configured with.

use std::{path::PathBuf, sync::Arc};

use chassis::{
    peer::BadEndpoint,
    tls::{self, Identity, Reloaded},
};

/// Why there is no client of a peer.
#[derive(Debug, thiserror::Error)]
pub enum CannotCall {
    /// The endpoint is wrong, or does not fit the TLS files.
    #[error("endpoint {0:?}")]
    Endpoint(String, #[source] BadEndpoint),
    /// The TLS files cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
}

/// The TLS of a client, from the files of the peer's CA and of the client's own certificate and key.
pub(crate) fn tls(
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<Arc<Reloaded<tls::Client>>>, tls::Error> {
    let Some(ca) = ca else { return Ok(None) };
    let identity = Identity::of(certificate, key)?;
    Reloaded::new(tls::Client { ca, identity }).map(Some)
}
