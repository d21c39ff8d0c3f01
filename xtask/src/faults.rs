//! `cargo xtask faults`: lets the services suffer.

use clap::Args;
use harness::{program::show, workspace};

/// Let both services suffer the ordinary faults under load, and say what became of the requests: `cargo xtask faults
/// --help` says what there is to choose.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Faults {
    /// Passed on.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Faults {
    /// Builds what it needs, in release unless it is to be quick, and runs it.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let is_quick = self.arguments.iter().any(|argument| argument == "--quick");
        let mut cargo = workspace::cargo();
        cargo.args(["run", "--package", "faults"]);
        if !is_quick {
            cargo.arg("--release");
        }
        show(cargo.arg("--").args(&self.arguments))
    }
}
