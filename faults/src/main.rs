//! The services, as real programs on a real PostgreSQL, under load while something goes wrong. Prints a table, and
//! fails if a promise was not kept.

mod attack;
mod cases;
mod images;
mod ledger;
mod load;
mod proxy;
mod table;
mod world;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use cases::Case;
use table::{Table, progress};

/// Put the services through ordinary faults under load, and report how the requests fared.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask faults")]
struct CommandLine {
    /// Run shorter loads, which only show that everything works.
    #[arg(long)]
    quick: bool,

    /// Run only these faults.
    #[arg(long, value_enum, value_name = "FAULT", value_delimiter = ',')]
    only: Vec<Case>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let CommandLine { quick, only } = CommandLine::parse();
    let cases = if only.is_empty() { Case::value_variants() } else { &only };
    let mut table = Table::default();
    for case in cases {
        progress(*case);
        if let Err(error) = case.run(quick, &mut table).await {
            table.broke(*case, &error);
        }
    }
    table.print();
    if table.is_kept() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
