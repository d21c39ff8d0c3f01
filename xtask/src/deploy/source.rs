//! The build context of an image that is built from source.

use std::{fs, process::Stdio};

use anyhow::Context as _;
use harness::{
    podman::Podman,
    program::{run, show},
    workspace,
};

use super::new_folder;

/// A Dockerfile that copies the whole build context, and needs no other image.
const EVERYTHING: &str = "FROM scratch\nCOPY . /\n";

/// Checks that `.dockerignore` lets the whole workspace into a build from source.
pub(crate) fn check() -> anyhow::Result<()> {
    let folder = new_folder("source")?;
    let (file, context) = (folder.join("Dockerfile"), folder.join("context"));
    fs::write(&file, EVERYTHING)?;
    let podman = Podman::start()?;
    let mut build = podman.command();
    build.args(["build", "--file"]).arg(&file);
    build.arg("--output").arg(format!("type=local,dest={}", context.display()));
    run(build.arg(workspace::root()))?;
    let mut metadata = workspace::cargo();
    metadata.args(["metadata", "--offline", "--locked", "--format-version=1", "--manifest-path"]);
    show(metadata.arg(context.join("Cargo.toml")).stdout(Stdio::null()))
        .context(".dockerignore excludes something that the workspace needs")
}
