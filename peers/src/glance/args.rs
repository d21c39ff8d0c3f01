//! Where glance-svc is, on the command line of a service that calls it.

use std::{path::PathBuf, time::Duration};

use chassis::keystone::Keystone;
use clap::Args;

use super::Glance;
use crate::args::{CannotCall, tls};

/// Where glance-svc is.
#[derive(Debug, Clone, Args)]
pub struct GlanceArgs {
    /// Where glance-svc is; several URLs are separated by commas. Names are re-resolved continually, and calls go to
    /// all of their addresses.
    #[arg(
        long,
        env = "GLANCE_ENDPOINT",
        default_value = "http://127.0.0.1:9292",
        value_name = "URL",
        help_heading = "Glance"
    )]
    pub glance_endpoint: String,

    /// CA of glance-svc's certificate, a PEM file; for an https endpoint.
    #[arg(long, env = "GLANCE_CA", value_name = "FILE", help_heading = "Glance")]
    pub glance_ca: Option<PathBuf>,

    /// Certificate to present to glance-svc, a PEM file.
    #[arg(long, env = "GLANCE_CERT", value_name = "FILE", requires = "glance_ca", help_heading = "Glance")]
    pub glance_cert: Option<PathBuf>,

    /// Private key of that certificate, a PEM file.
    #[arg(long, env = "GLANCE_KEY", value_name = "FILE", requires = "glance_ca", help_heading = "Glance")]
    pub glance_key: Option<PathBuf>,

    /// Longest wait for glance-svc, in milliseconds; shorter if the caller's deadline is.
    #[arg(long, env = "GLANCE_TIMEOUT_MS", default_value_t = 5000, value_name = "MS", help_heading = "Glance",
          value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub glance_timeout_ms: u64,
}

impl GlanceArgs {
    /// The client; the files of its TLS are read. It authenticates at Keystone, if there is one.
    pub fn client(&self, keystone: Option<Keystone>) -> Result<Glance, CannotCall> {
        let tls = tls(self.glance_ca.clone(), self.glance_cert.clone(), self.glance_key.clone())?;
        let (endpoint, timeout) = (&self.glance_endpoint, Duration::from_millis(self.glance_timeout_ms));
        Glance::new(endpoint, timeout, tls.as_ref(), keystone)
            .map_err(|error| CannotCall::Endpoint(endpoint.clone(), error))
    }
}
