//! Where cinder-svc is, on the command line of a service that calls it.

use std::{path::PathBuf, time::Duration};

use chassis::keystone::Keystone;
use clap::Args;

use super::Cinder;
use crate::args::{CannotCall, tls};

/// Where cinder-svc is, if there is one.
#[derive(Debug, Clone, Args)]
pub struct CinderArgs {
    /// Where cinder-svc is, such as <http://127.0.0.1:8776>; several URLs are separated by commas. Without one, there are
    /// no volumes, and requests that need them are refused.
    #[arg(long, env = "CINDER_ENDPOINT", value_name = "URL", help_heading = "Cinder")]
    pub cinder_endpoint: Option<String>,

    /// CA of cinder-svc's certificate, a PEM file; for an https endpoint.
    #[arg(long, env = "CINDER_CA", value_name = "FILE", help_heading = "Cinder")]
    pub cinder_ca: Option<PathBuf>,

    /// Certificate to present to cinder-svc, a PEM file.
    #[arg(long, env = "CINDER_CERT", value_name = "FILE", requires = "cinder_ca", help_heading = "Cinder")]
    pub cinder_cert: Option<PathBuf>,

    /// Private key of that certificate, a PEM file.
    #[arg(long, env = "CINDER_KEY", value_name = "FILE", requires = "cinder_ca", help_heading = "Cinder")]
    pub cinder_key: Option<PathBuf>,

    /// Longest wait for cinder-svc, in milliseconds; shorter if the caller's deadline is.
    #[arg(long, env = "CINDER_TIMEOUT_MS", default_value_t = 5000, value_name = "MS", help_heading = "Cinder",
          value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub cinder_timeout_ms: u64,
}

impl CinderArgs {
    /// The client, if there is an endpoint; the files of its TLS are read. It authenticates at Keystone, if there is one.
    pub fn client(&self, keystone: Option<Keystone>) -> Result<Option<Cinder>, CannotCall> {
        let Some(endpoint) = self.cinder_endpoint.as_ref().filter(|endpoint| !endpoint.is_empty()) else {
            return Ok(None);
        };
        let tls = tls(self.cinder_ca.clone(), self.cinder_cert.clone(), self.cinder_key.clone())?;
        let timeout = Duration::from_millis(self.cinder_timeout_ms);
        let client = Cinder::new(endpoint, timeout, tls.as_ref(), keystone);
        client.map(Some).map_err(|error| CannotCall::Endpoint(endpoint.clone(), error))
    }
}
