//! What a request knows of its connection.

use std::{net::SocketAddr, sync::Arc};

use super::ConnectionState;

/// The connection that a request came in on; in the request's extensions.
#[derive(Debug, Clone)]
pub struct ConnectInfo {
    /// The client's address.
    pub address: SocketAddr,
    /// Whether it uses TLS.
    pub is_tls: bool,
    /// The connection's share of the places for requests, and its answers.
    pub(crate) state: Arc<ConnectionState>,
}
