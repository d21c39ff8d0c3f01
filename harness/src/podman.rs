//! Images and pods of podman, kept apart from all others on this machine.

use std::{
    fs, iter,
    path::{Path, PathBuf},
    process::{self, Command},
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use crate::{debian, guard::Guard, program};

/// Programs that podman needs, each in the Debian package of the same name.
const PROGRAMS: [&str; 8] =
    ["podman", "buildah", "crun", "runc", "netavark", "aardvark-dns", "catatonit", "iptables"];

/// Where some of them are, outside of the search path.
const FOLDERS: [&str; 4] = ["/usr/lib/podman", "/usr/libexec/podman", "/usr/libexec/catatonit", "/usr/sbin"];

/// Configuration for sandboxes, in which podman may neither raise limits nor talk to systemd.
const SETTINGS: &str = r#"[containers]
default_ulimits = ["nofile=16384:16384", "nproc=16384:16384"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"#;

/// Ends all pods of the podman `$@`, and removes its folder `$1`.
const CLEAN_UP: &str = r#"folder=$1; network=$2; shift 2
"$@" pod rm --all --force --time 1; "$@" network rm --force "$network"; rm -rf "$folder""#;

/// Installs podman and what it needs, if missing.
pub fn install() -> anyhow::Result<()> {
    let missing: Vec<_> = PROGRAMS.into_iter().filter(|program| !is_there(program)).collect();
    debian::install_all(&missing)
}

fn is_there(program: &str) -> bool {
    program::find(program).is_some() || FOLDERS.iter().any(|folder| Path::new(folder).join(program).is_file())
}

/// A podman with images, volumes and a network of its own, all removed when dropped.
pub struct Podman {
    // Dropped in this order: the pods must end before their files go.
    _guard: Guard,
    folder: TempDir,
    network: String,
}

impl Podman {
    /// Creates its folder and its network.
    pub fn start() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("imprint-pods").tempdir()?;
        fs::write(settings(folder.path()), SETTINGS)?;
        // Names of networks are global to the machine.
        let network = format!("imprint-{}", process::id());
        let words = [folder.path().display().to_string(), network.clone()];
        let podman = iter::once("env".to_owned()).chain(invocation(folder.path()));
        let guard = Guard::new(CLEAN_UP, words.into_iter().chain(podman))?;
        let podman = Self { _guard: guard, folder, network };
        podman.run(["network", "create", &podman.network]).context("podman does not work on this machine")?;
        Ok(podman)
    }

    /// The command, without arguments.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new("env");
        command.args(invocation(self.folder.path()));
        command
    }

    /// Runs it to completion, and returns its output.
    pub fn run<const N: usize>(&self, arguments: [&str; N]) -> anyhow::Result<String> {
        Ok(program::run(self.command().args(arguments))?.trim().to_owned())
    }

    /// Starts the pods of a manifest, which other pods of this podman reach as `alias`.
    pub fn play(&self, manifest: &str, alias: &str) -> anyhow::Result<()> {
        let file = self.folder.path().join(format!("{alias}.yaml"));
        fs::write(&file, manifest)?;
        let network = format!("{}:alias={alias}", self.network);
        let mut play = self.command();
        play.args(["kube", "play", "--build=false", "--network", &network]).arg(file);
        program::run(&mut play).with_context(|| format!("podman cannot run the pod of {alias}"))?;
        Ok(())
    }

    /// The id of the one container, running or not, whose name ends with `name`.
    pub fn container(&self, name: &str) -> anyhow::Result<String> {
        let filter = format!("name=-{name}$");
        let ids = self.run(["ps", "--all", "--quiet", "--filter", &filter])?;
        ensure!(ids.lines().count() == 1, "there is not one container {name}, but: {ids:?}");
        Ok(ids)
    }
}

fn settings(folder: &Path) -> PathBuf {
    folder.join("containers.conf")
}

/// The command line, for `env`.
fn invocation(folder: &Path) -> Vec<String> {
    let within = |name: &str| folder.join(name).display().to_string();
    vec![
        format!("CONTAINERS_CONF={}", settings(folder).display()),
        "podman".to_owned(),
        format!("--root={}", within("root")),
        format!("--runroot={}", within("run")),
        format!("--network-config-dir={}", within("networks")),
    ]
}
