//! The images, made of static programs.

use std::{
    env, fs,
    io::{Write as _, stdout},
    path::{Path, PathBuf},
};

use anyhow::ensure;
use harness::{
    podman::Podman,
    program::{run, show},
    workspace,
};

use super::new_folder;

/// Most bytes of an image.
const LARGEST: u64 = 25_000_000;

/// Whom a program in an image runs as.
const USER: &str = "65532:65532";

const LABEL: &str = "org.opencontainers.image";

/// What the certificates of public servers are verified by.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Builds the image of each of `services`, and looks at it.
pub(crate) fn build(podman: &Podman, services: [&str; 2]) -> anyhow::Result<()> {
    let context = context(services)?;
    for service in services {
        build_one(podman, service, &context)?;
        check(podman, service)?;
    }
    Ok(())
}

fn target() -> String {
    format!("{}-unknown-linux-gnu", env::consts::ARCH)
}

/// What the Dockerfile takes: programs that need no library, and certificates.
fn context(services: [&str; 2]) -> anyhow::Result<PathBuf> {
    let built = workspace::target_directory()?;
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--release", "--locked", "--target", &target(), "--target-dir"]).arg(&built);
    cargo.args(services.iter().flat_map(|service| ["--package", service]));
    show(cargo.env("RUSTFLAGS", "-C target-feature=+crt-static -C strip=symbols"))?;

    let context = new_folder("context")?;
    let programs = Path::new(&target()).join("release");
    fs::create_dir_all(context.join("target").join(&programs))?;
    for service in services {
        let program = programs.join(service);
        fs::copy(built.join(&program), context.join("target").join(&program))?;
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

/// As the manifests name it.
fn tag(service: &str) -> String {
    format!("imprint/{service}:0.1.0")
}

fn check(podman: &Podman, service: &str) -> anyhow::Result<()> {
    let see = |what: &str| podman.run(["image", "inspect", "--format", what, &tag(service)]);
    let size = see("{{.Size}}")?.parse::<u64>()?;
    ensure!(size < LARGEST, "the image of {service} has {size} bytes; less than {LARGEST} are allowed");
    let user = see("{{.User}}")?;
    ensure!(user == USER, "the image of {service} runs as {user:?}, and not as {USER}");
    let labels = [
        ("title", service),
        ("version", env!("CARGO_PKG_VERSION")),
        ("revision", "checked"),
        ("licenses", "Apache-2.0"),
    ];
    for (name, expected) in labels {
        let label = see(&format!("{{{{index .Labels \"{LABEL}.{name}\"}}}}"))?;
        ensure!(label == expected, "the image of {service} has the {name} {label:?}, and not {expected:?}");
    }
    writeln!(stdout(), "image of {service}: {} MB, user {user}", size / 1_000_000)?;
    Ok(())
}
