//! `cargo xtask deploy`: checks the manifests and the Dockerfile, and runs the pods that they describe.

use std::{fs, path::PathBuf};

use clap::{Args, ValueEnum};
use harness::{podman, tools, workspace};

use crate::steps;

use images::Build;

mod drain;
mod http;
mod images;
mod manifests;
mod pods;
mod source;

/// Check the manifests and the Dockerfile, and run the pods that they describe.
#[derive(Args)]
pub(crate) struct Deploy {
    /// Run only this step.
    #[arg(long, value_enum)]
    only: Option<Step>,

    /// Put the debug programs that the tests have built into the images, and mount the libraries that they need.
    #[arg(long)]
    quick: bool,
}

/// The steps, in order.
#[derive(Clone, Copy, ValueEnum)]
enum Step {
    Setup,
    Source,
    Manifests,
    Wiring,
    Pods,
}

impl Deploy {
    /// Runs the steps until one fails.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        steps::run(self.only, Step::title, |step| step.run(self.quick))
    }
}

impl Step {
    fn title(self) -> &'static str {
        match self {
            Self::Setup => "set-up: podman, kubectl, linters",
            Self::Source => "that a build from source gets the whole workspace",
            Self::Manifests => "rendering and security of the manifests, and the Dockerfile",
            Self::Wiring => {
                "schemas of the manifests, and their consistency with each other and with the programs"
            }
            Self::Pods => "the pods, from outside",
        }
    }

    fn run(self, is_quick: bool) -> anyhow::Result<()> {
        match self {
            Self::Setup => set_up(),
            Self::Source => source::check(),
            Self::Manifests => manifests::check_security(),
            Self::Wiring => manifests::check_wiring(),
            Self::Pods => pods::run(if is_quick { Build::Debug } else { Build::Release }),
        }
    }
}

/// Installs what is missing; the later steps need no network.
fn set_up() -> anyhow::Result<()> {
    podman::install()?;
    tools::install_for_deploy()
}

/// An empty folder for what the steps produce.
fn new_folder(name: &str) -> anyhow::Result<PathBuf> {
    let folder = workspace::target_directory()?.join("deploy").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
