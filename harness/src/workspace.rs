//! The workspace this was built from, and what Cargo built of it.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::Context as _;

use crate::program;

/// The folder of the workspace.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a member lies inside its workspace")
}

/// Cargo, as it called this process, to be run on the workspace.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(program::environment("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // What cargo told this process about its package is not true of others; build scripts that watch it would
    // run again, and all that depends on them.
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

/// Where the program of this name is built, by the profile that built this process.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    Ok(profile_directory()?.join(name))
}

/// Builds both services, once a process, so that none is run stale.
pub fn build_services() -> anyhow::Result<()> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| run_cargo_build().map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

fn run_cargo_build() -> anyhow::Result<()> {
    let mut build = cargo();
    // With xtask, which is built first: Cargo unites the features of what it builds together, and would
    // otherwise build some dependencies of both twice.
    build.args(["build", "-p", "glance-svc", "-p", "nova-api-svc", "-p", "xtask", "--profile", &profile()?]);
    program::show(build.arg("--target-dir").arg(target_directory()?))
}

/// The profile's name: that of its directory, but for the one whose directory has another name.
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
