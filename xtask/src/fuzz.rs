//! `cargo xtask fuzz`: generates caller input, and runs it through the parsers, through the whole HTTP edge, and as
//! sequences of concurrent calls through the services.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;
use harness::{program::show, tools, workspace};

/// The fuzz targets.
const TARGETS: [&str; 6] = ["filter", "http", "patch", "query", "sequences", "volumes"];

/// No sanitizers: they need a nightly toolchain, and the fuzzed code has no unsafe code.
const BUILD: [&str; 4] = ["-D", "-s", "none", "--no-trace-compares"];

/// Inputs of any length from the start, and no entropic scheduling: with a whole service as the target, it would take longer
/// than the calls.
const RUN: [&str; 5] = ["-verbosity=0", "-entropic=0", "-len_control=0", "-max_len=1024", "-timeout=60"];

/// Generate caller input, and run it through the parsers, the whole HTTP edge, and the services.
#[derive(Args)]
pub(crate) struct Fuzz {
    /// How long to run each target.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    seconds: u32,
}

impl Fuzz {
    /// A short run, as one of several checks.
    pub(crate) const BRIEF: Self = Self { seconds: 10 };

    /// Builds the targets and runs them one after the other, until one finds something.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let folder = workspace::root().join("fuzz");
        show(cargo_fuzz("build", &folder)?.arg("--target-dir").arg(built()?))?;
        TARGETS.iter().try_for_each(|target| self.run_target(target, &folder))
    }

    fn run_target(&self, target: &str, folder: &Path) -> anyhow::Result<()> {
        let (corpus, seeds) = (folder.join("corpus").join(target), folder.join("seeds").join(target));
        fs::create_dir_all(&corpus)?;
        let mut run = cargo_fuzz("run", folder)?;
        run.arg("--target-dir").arg(built()?).arg(target).arg(corpus);
        if seeds.is_dir() {
            run.arg(seeds);
        }
        show(run.arg("--").args(RUN).arg(format!("-max_total_time={}", self.seconds)))
    }
}

fn cargo_fuzz(command: &str, folder: &Path) -> anyhow::Result<Command> {
    let mut cargo_fuzz = Command::new(tools::cargo_fuzz()?);
    cargo_fuzz.args([command, "--fuzz-dir"]).arg(folder).args(BUILD).current_dir(workspace::root());
    // Makes a stable toolchain accept the flags for instrumentation, which are not stable yet.
    cargo_fuzz.env("RUSTC_BOOTSTRAP", "1");
    Ok(cargo_fuzz)
}

/// A directory apart from what is built without instrumentation.
fn built() -> anyhow::Result<PathBuf> {
    Ok(workspace::target_directory()?.join("fuzz"))
}
