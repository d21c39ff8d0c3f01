//! Where a service listens.

use std::io::{self, Write as _};

use tokio::net::TcpListener;

/// Where a service listens.
#[derive(Debug)]
pub struct Listeners {
    /// For its callers.
    pub public: TcpListener,
    /// For its operators, if there is one.
    pub admin: Option<TcpListener>,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct CannotListen {
    address: String,
    source: io::Error,
}

impl Listeners {
    /// Listens on these addresses.
    pub async fn bind(public: &str, admin: Option<&str>) -> Result<Self, CannotListen> {
        let public = bind(public).await?;
        let admin = match admin {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        Ok(Self { public, admin })
    }

    /// Prints on standard output where `program` listens: the first line is for its callers.
    pub fn announce(&self, program: &str) -> io::Result<()> {
        let mut out = io::stdout();
        writeln!(out, "{program} listening on {}", self.public.local_addr()?)?;
        if let Some(admin) = &self.admin {
            writeln!(out, "{program} probes and metrics on {}", admin.local_addr()?)?;
        }
        Ok(())
    }

    /// Listens for callers only.
    #[must_use]
    pub const fn public(public: TcpListener) -> Self {
        Self { public, admin: None }
    }
}

async fn bind(address: &str) -> Result<TcpListener, CannotListen> {
    let listened = TcpListener::bind(address).await;
    listened.map_err(|source| CannotListen { address: address.to_owned(), source })
}
