//! `cargo xtask faults`: puts the services through faults under load.

use clap::Args;
use harness::{program::show, workspace};

/// Put the services through ordinary faults under load, and report how the requests fared; `cargo xtask faults --help`
/// lists the options.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Faults {
    /// Passed on to the program.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Faults {
    /// Builds the programs, in release mode unless it is a quick run, and runs the faults.
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
