//! The workspace that this was built from, and its build output.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::Context as _;

use crate::program;

/// The services: packages, and programs of the same names.
pub const SERVICES: [&str; 3] = ["glance-svc", "nova-api-svc", "cinder-svc"];

/// The folder of the workspace.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a member lies inside its workspace")
}

/// A cargo command for the workspace, with the environment in which cargo started this process.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(program::environment("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // What cargo set for this process's package does not apply to others; build scripts that watch it would be rerun, with
    // everything that depends on them.
    for (name, _) in env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(name);
        }
    }
    command
}

/// The directory that Cargo builds the workspace in.
pub fn target_directory() -> anyhow::Result<PathBuf> {
    let profile = profile_directory()?;
    Ok(profile.parent().context("Cargo keeps a directory per profile")?.to_owned())
}

/// The path of the program with this name, in the profile of this process.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    Ok(profile_directory()?.join(name))
}

/// Builds the services, once per process, so that none is stale.
pub fn build_services() -> anyhow::Result<()> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| run_cargo_build().map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

fn run_cargo_build() -> anyhow::Result<()> {
    let mut build = cargo();
    build.args(["build", "--profile", &profile()?]);
    // Together with xtask, which is built first: Cargo unifies features of what it builds together, and would otherwise
    // build some shared dependencies twice.
    build.args(SERVICES.iter().chain(&["xtask"]).flat_map(|package| ["-p", package]));
    program::show(build.arg("--target-dir").arg(target_directory()?))
}

/// The profile's name: that of its directory, except for `dev`, whose directory is `debug`.
fn profile() -> anyhow::Result<String> {
    let directory = profile_directory()?;
    let name = directory.file_name().and_then(OsStr::to_str).context("Cargo names a profile's directory")?;
    Ok(if name == "debug" { "dev" } else { name }.to_owned())
}

/// The directory of this profile's programs; tests and benchmarks run from a directory inside it.
fn profile_directory() -> anyhow::Result<PathBuf> {
    let program = env::current_exe()?;
    let mut directories = program.ancestors().skip(1);
    let directory =
        directories.find(|directory| !directory.ends_with("deps") && !directory.ends_with("examples"));
    Ok(directory.context("a program lies in a directory")?.to_owned())
}
