//! `cargo xtask bench`: measures the services against the baselines that bound them.

use clap::Args;
use harness::{program::show, workspace};

/// Measure the services against the baselines that bound them; `cargo xtask bench --help` lists the options.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Bench {
    /// Passed on to the benchmark.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Bench {
    /// Builds the benchmark in release mode, like the services in production, and runs it.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        show(workspace::cargo().args(["run", "--release", "--package", "bench", "--"]).args(&self.arguments))
    }
}
