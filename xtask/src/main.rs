//! The project's own commands, run with `cargo xtask`.

mod bench;
mod demo;
mod deploy;
mod faults;
mod fuzz;
mod steps;
mod test;

use std::{
    io::{Write as _, stderr},
    process::ExitCode,
};

use clap::Parser;

/// The project's own commands.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Command {
    Bench(bench::Bench),
    Demo(demo::Demo),
    Deploy(deploy::Deploy),
    Faults(faults::Faults),
    Fuzz(fuzz::Fuzz),
    Test(test::Test),
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Bench(bench) => bench.run(),
        Command::Demo(demo) => demo.run(),
        Command::Deploy(deploy) => deploy.run(),
        Command::Faults(faults) => faults.run(),
        Command::Fuzz(fuzz) => fuzz.run(),
        Command::Test(test) => test.run(),
    };
    if let Err(error) = outcome {
        // The default report would bury the error under a backtrace of this program.
        let _ = writeln!(stderr(), "\n{error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
