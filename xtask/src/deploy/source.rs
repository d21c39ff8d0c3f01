//! What an image is built from, when it is built from source.

use std::{fs, process::Stdio};

use anyhow::Context as _;
use harness::{
    podman::Podman,
    program::{run, show},
    workspace,
};

use super::new_folder;

/// Takes the whole context of a build, and needs no other image.
const EVERYTHING: &str = "FROM scratch\nCOPY . /\n";

/// Whether what `.dockerignore` lets into a build from source is a whole workspace.
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
        .context(".dockerignore keeps something out that the workspace needs")
}
