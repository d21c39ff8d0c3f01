//! `cargo xtask bench`: measures the services against what bounds them.

use clap::Args;
use harness::{program::show, workspace};

/// Measure the services against what bounds them: `cargo xtask bench --help` says what there is to choose.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Bench {
    /// Passed on to the benchmark.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Bench {
    /// Builds the benchmark as the services are built for production, and runs it.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        show(workspace::cargo().args(["run", "--release", "--package", "bench", "--"]).args(&self.arguments))
    }
}
