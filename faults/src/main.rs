//! Both services, as real programs on a real PostgreSQL, under load while something goes wrong. Prints a table, and
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

/// Lets both services suffer the ordinary faults, and says what became of the requests.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask faults")]
struct CommandLine {
    /// Shorter loads, which show that everything works.
    #[arg(long)]
    quick: bool,

    /// Only these faults.
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
