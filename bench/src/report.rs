//! The report: a table, JSON and plots.

mod machine;
mod plots;
pub(crate) mod table;

use std::{
    fs,
    io::{Write as _, stdout},
    path::Path,
};

use anyhow::Context as _;
use harness::workspace;
use serde::Serialize;

use crate::{
    bench::Bench,
    figures::{Finding, GrowthPoint},
    options::Plan,
};
use machine::Machine;

/// The report of a run.
#[derive(Serialize)]
struct Report<'a> {
    machine: Machine,
    plan: Plan,
    findings: &'a [Finding],
    growth: &'a [GrowthPoint],
    failures: &'a [String],
}

/// Prints the table and writes everything into `folder`.
pub(crate) fn write(bench: &Bench, failures: &[String], folder: Option<&Path>) -> anyhow::Result<()> {
    let folder = match folder {
        Some(folder) => folder.to_owned(),
        None => workspace::target_directory()?.join("bench"),
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let machine = Machine::look(&[&bench.world.cluster.folder(), bench.world.folder.path()])?;
    let heading = format!("{machine}; {} pairs of {} s", bench.plan.pairs, bench.plan.seconds);
    let report =
        Report { machine, plan: bench.plan, findings: &bench.findings, growth: &bench.growth, failures };
    fs::write(folder.join("report.json"), serde_json::to_string_pretty(&report)?)?;
    fs::write(folder.join("table.md"), table::markdown(&bench.findings, &heading))?;
    plots::write(&folder, &bench.findings, &bench.growth)?;
    writeln!(stdout(), "{heading}\n{}", table::terminal(&bench.findings))?;
    writeln!(stdout(), "report.json, table.md and plots are in {}", folder.display())?;
    Ok(())
}
