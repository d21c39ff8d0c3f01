//! Measures the services against the baselines that bound them (docs/benchmarks.md).

mod bench;
mod ceiling;
mod database;
mod figures;
mod http;
mod load;
mod options;
mod process;
mod progress;
mod report;
mod rows;
mod sample;
mod world;

use std::{
    io::{Write as _, stderr},
    process::ExitCode,
};

use anyhow::ensure;
use clap::{Parser as _, ValueEnum as _};

use bench::Bench;
use options::{CommandLine, Options, Server};
use progress::Progress;
use rows::Row;
use world::World;

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    let outcome =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Into::into).and_then(
            |runtime| {
                runtime.block_on(async {
                    match command_line.server {
                        Some(Server::Echo(echo)) => echo.serve().await,
                        Some(Server::Http(http)) => http.serve().await,
                        None => measure(&command_line.options).await,
                    }
                })
            },
        );
    if let Err(error) = outcome {
        let _ = writeln!(stderr(), "\n{error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Measures all rows, even if some fail, and writes the report.
async fn measure(options: &Options) -> anyhow::Result<()> {
    let rows = if options.only.is_empty() { Row::value_variants() } else { &options.only };
    let mut bench = Bench {
        plan: options.plan(),
        world: World::start()?,
        progress: Progress::new(rows.len()),
        findings: Vec::new(),
        growth: Vec::new(),
    };
    let mut failures = Vec::new();
    for row in rows {
        if let Err(error) = row.measure(&mut bench).await {
            let failure = format!("{}: {error:#}", row.name());
            bench.progress.line(&failure);
            failures.push(failure);
        }
        bench.progress.row_done();
    }
    bench.progress.finish();
    report::write(&bench, &failures, options.out.as_deref())?;
    ensure!(failures.is_empty(), "{} rows could not be measured:\n{}", failures.len(), failures.join("\n"));
    Ok(())
}
