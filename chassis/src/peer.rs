//! Peers that are called over gRPC: their endpoints, and connections to them in plaintext or with TLS.

use std::{io, sync::Arc};

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, ToSocketAddrs},
};
use tokio_rustls::TlsConnector;
use tonic::transport::Uri;

use crate::tls::{Client, Reloaded};

/// Where a peer is, and how to talk to it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// How requests address it.
    pub origin: Uri,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS to it; none for plaintext.
    pub tls: Option<Tls>,
}

/// TLS to a peer, and the name in its certificate.
#[derive(Debug, Clone)]
pub struct Tls {
    /// What each new connection is configured with.
    pub config: Arc<Reloaded<Client>>,
    /// The name that must be in the certificate.
    pub name: ServerName<'static>,
}

/// The text is not an endpoint, or its scheme and the TLS files do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must look like http://HOST:PORT, or https://HOST:PORT with a CA to check it with")]
pub struct BadEndpoint;

impl Peer {
    /// The peer at an endpoint such as `http://glance:9292`; https needs `tls`, and http must have none.
    pub fn parse(endpoint: &str, tls: Option<&Arc<Reloaded<Client>>>) -> Result<Self, BadEndpoint> {
        let uri: Uri = endpoint.parse().map_err(|_| BadEndpoint)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(BadEndpoint);
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().ok_or(BadEndpoint)?;
        if uri.path() != "/" || uri.query().is_some() {
            return Err(BadEndpoint);
        }
        let tls = match (scheme, tls) {
            ("http", None) => None,
            ("https", Some(config)) => {
                let name = ServerName::try_from(host.clone()).map_err(|_| BadEndpoint)?;
                Some(Tls { config: Arc::clone(config), name })
            }
            _ => return Err(BadEndpoint),
        };
        // TLS is the connector's affair, so that each new connection is made with the certificates of its time.
        let origin = format!("http://{authority}").parse().map_err(|_| BadEndpoint)?;
        Ok(Self { origin, host, port, tls })
    }
}

/// Either kind of connection.
pub type Connection = TokioIo<Box<dyn Stream>>;

/// What a connection must be able to do.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to a peer at `address`.
pub async fn connect(address: impl ToSocketAddrs, tls: Option<Tls>) -> io::Result<Connection> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let Some(Tls { config, name }) = tls else { return Ok(TokioIo::new(Box::new(stream))) };
    let stream = TlsConnector::from(config.current()).connect(name, stream).await?;
    Ok(TokioIo::new(Box::new(stream)))
}
