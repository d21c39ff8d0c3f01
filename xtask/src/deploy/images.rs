//! The container images of the services.

use std::{
    env, fs,
    io::{Write as _, stdout},
    path::{Path, PathBuf},
};

use anyhow::ensure;
use harness::{
    podman::Podman,
    program::{run, show},
    workspace::{self, SERVICES},
};

use super::new_folder;

/// Maximum size of an image, in bytes.
const LARGEST: u64 = 25_000_000;

/// The user that the program runs as.
const USER: &str = "65532:65532";

const LABEL: &str = "org.opencontainers.image";

/// The CA certificates of public servers.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Which programs go into the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// Release programs.
    Release,
    /// The debug programs that the tests have built, which need libraries.
    Debug,
}

impl Build {
    /// Builds the programs, and returns their folder.
    fn run(self) -> anyhow::Result<PathBuf> {
        if self == Self::Debug {
            workspace::build_services()?;
            return Ok(workspace::target_directory()?.join("debug"));
        }
        let compiled = workspace::target_directory()?;
        let mut cargo = workspace::cargo();
        cargo.args(["build", "--release", "--locked", "--target", &target(), "--target-dir"]).arg(&compiled);
        cargo.args(SERVICES.iter().flat_map(|service| ["--package", service]));
        show(cargo.env("RUSTFLAGS", "-C target-feature=+crt-static -C strip=symbols"))?;
        Ok(compiled.join(target()).join("release"))
    }

    /// Folders of this machine to mount into the pods.
    pub(crate) fn folders(self) -> Vec<&'static str> {
        let libraries = ["/lib", "/lib64"].into_iter().filter(|folder| Path::new(folder).is_dir());
        libraries.filter(|_| self == Self::Debug).collect()
    }
}

/// Builds and checks the image of each service.
pub(crate) fn build(podman: &Podman, build: Build) -> anyhow::Result<()> {
    let context = context(build)?;
    for service in SERVICES {
        build_one(podman, service, &context)?;
        check(podman, build, service)?;
    }
    Ok(())
}

fn target() -> String {
    format!("{}-unknown-linux-gnu", env::consts::ARCH)
}

/// The build context of the Dockerfile: programs and certificates.
fn context(build: Build) -> anyhow::Result<PathBuf> {
    let folder = build.run()?;
    let context = new_folder("context")?;
    let programs = context.join("target").join(target()).join("release");
    fs::create_dir_all(&programs)?;
    for service in SERVICES {
        fs::copy(folder.join(service), programs.join(service))?;
    }
    fs::copy(AUTHORITIES, context.join("target/ca-certificates.crt"))?;
    fs::copy(workspace::root().join(".dockerignore"), context.join(".dockerignore"))?;
    Ok(context)
}

fn build_one(podman: &Podman, service: &str, context: &Path) -> anyhow::Result<()> {
    let mut build = podman.command();
    build.arg("build").arg("--file").arg(workspace::root().join("deploy/Dockerfile"));
    let (version, target) = (env!("CARGO_PKG_VERSION"), target());
    let arguments = [
        ("BINARIES", "prebuilt"),
        ("SERVICE", service),
        ("TARGET", &target),
        ("VERSION", version),
        ("REVISION", "checked"),
    ];
    build.args(arguments.map(|(name, value)| format!("--build-arg={name}={value}")));
    run(build.arg("--tag").arg(tag(service)).arg(context))?;
    Ok(())
}

/// The tag of an image, as in the manifests.
fn tag(service: &str) -> String {
    format!("imprint/{service}:0.1.0")
}

fn check(podman: &Podman, build: Build, service: &str) -> anyhow::Result<()> {
    let see = |what: &str| podman.run(["image", "inspect", "--format", what, &tag(service)]);
    let size = see("{{.Size}}")?.parse::<u64>()?;
    ensure!(
        size < LARGEST || build == Build::Debug,
        "the image of {service} has {size} bytes; less than {LARGEST} are allowed"
    );
    let user = see("{{.User}}")?;
    ensure!(user == USER, "the image of {service} runs as {user:?}, not as {USER}");
    let labels = [
        ("title", service),
        ("version", env!("CARGO_PKG_VERSION")),
        ("revision", "checked"),
        ("licenses", "Apache-2.0"),
    ];
    for (name, expected) in labels {
        let label = see(&format!("{{{{index .Labels \"{LABEL}.{name}\"}}}}"))?;
        ensure!(label == expected, "the image of {service} has the {name} {label:?}, not {expected:?}");
    }
    writeln!(stdout(), "image of {service}: {} MB, user {user}", size / 1_000_000)?;
    Ok(())
}
