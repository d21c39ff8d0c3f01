//! OpenStack's own Glance, to compare with.

use std::{net::SocketAddr, process::Command};

use crate::{service::Service, tools, workspace};

/// A Glance on a database of its own; it is stopped when dropped.
pub struct Glance {
    server: Service,
}

impl Glance {
    /// Starts one. It trusts `X-Identity-Status: Confirmed` with `X-User-Id`, `X-Project-Id` and `X-Roles`.
    pub fn start() -> anyhow::Result<Self> {
        let mut python = Command::new(tools::glance_python()?);
        python.arg(workspace::root().join("harness/python/openstack_glance.py"));
        Ok(Self { server: Service::run("glance", &mut python)? })
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }
}
