//! Debian packages that a fresh machine lacks.

use std::process::Command;

use anyhow::bail;

use crate::{program, user};

/// Installs `package` as root on Debian; otherwise fails with what to install.
pub fn install(package: &str) -> anyhow::Result<()> {
    install_all(&[package])
}

/// Like [`install`], for several packages; does nothing if there are none.
pub fn install_all(packages: &[&str]) -> anyhow::Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(" ");
    if !user::is_root()? || program::find("apt-get").is_none() {
        bail!("missing: {names}; install it, on Debian with `apt-get install {names}` as root");
    }
    program::run(apt_get().arg("update"))?;
    program::run(apt_get().args(["install", "-y", "--no-install-recommends"]).args(packages))?;
    Ok(())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}
