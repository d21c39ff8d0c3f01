//! Who is at the other end of a connection.

use std::{net::SocketAddr, sync::Arc};

use super::Line;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub is_tls: bool,
    /// The connection's share of the places for requests, and its answers.
    pub(crate) line: Arc<Line>,
}
