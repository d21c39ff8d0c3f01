//! PostgreSQL by itself, with pgbench: the necessary statements and nothing around them.

use std::{
    fs,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use harness::postgres;
use tempfile::{NamedTempFile, TempDir};
use tokio::process::Command;

use crate::{
    figures::Run,
    load::{Latencies, Shape},
    process::Watch,
};

/// A script against a database.
pub(crate) struct Pgbench {
    script: NamedTempFile,
    database_url: String,
    watch: Watch,
}

impl Pgbench {
    /// Runs `script` against the database, whose server is the process `server` with its children.
    pub(crate) fn new(script: &str, database_url: &str, server: u32) -> anyhow::Result<Self> {
        let mut file = NamedTempFile::new()?;
        file.write_all(script.as_bytes())?;
        let watch = Watch::children("pgbench").and_family("PostgreSQL", server);
        Ok(Self { script: file, database_url: database_url.to_owned(), watch })
    }

    /// Runs it with one client per request in flight of the shape.
    pub(crate) async fn run(&self, shape: Shape) -> anyhow::Result<Run> {
        self.execute(shape.in_flight, &["-T".to_owned(), shape.measured.as_secs().to_string()]).await
    }

    /// Runs it this many times in total.
    pub(crate) async fn times(&self, clients: usize, transactions: usize) -> anyhow::Result<Run> {
        self.execute(clients, &["-t".to_owned(), transactions.div_ceil(clients).to_string()]).await
    }

    async fn execute(&self, clients: usize, length: &[String]) -> anyhow::Result<Run> {
        let logs = TempDir::new()?;
        let (before, began) = (self.watch.cpu()?, Instant::now());
        let output = Command::new(postgres::program("pgbench")?)
            .args(["-n", "-M", "prepared", "-c", &clients.to_string(), "-j", &clients.min(2).to_string()])
            .args(length)
            .args(["-l", "--log-prefix", "log", "-f"])
            .arg(self.script.path())
            .arg(&self.database_url)
            .current_dir(logs.path())
            .output()
            .await?;
        let seconds = began.elapsed().as_secs_f64();
        let printed = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pgbench failed ({})\n{printed}{complaint}", output.status);
        let failed = after(&printed, "number of failed transactions:").unwrap_or("0");
        ensure!(failed == "0", "{failed} transactions of pgbench failed\n{printed}");
        let per_second = after(&printed, "tps =").context("pgbench prints its rate")?.parse()?;
        let run = read_logs(logs.path())?.run(seconds, &before, &self.watch.cpu()?, &self.watch)?;
        Ok(Run { per_second, ..run })
    }
}

/// The word after `label`.
fn after<'a>(printed: &'a str, label: &str) -> Option<&'a str> {
    printed.lines().find_map(|line| line.strip_prefix(label)?.split_whitespace().next())
}

/// The latency of each transaction, third on its line.
fn read_logs(folder: &Path) -> anyhow::Result<Latencies> {
    let mut latencies = Latencies::default();
    for file in fs::read_dir(folder)? {
        for line in fs::read_to_string(file?.path())?.lines() {
            let latency = line.split(' ').nth(2).context("a line has a latency")?;
            latencies.record(Duration::from_micros(latency.parse()?));
        }
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_pgbench_prints() {
        let printed =
            "number of failed transactions: 0 (0.000%)\ntps = 3100.5 (without initial connection time)";
        assert_eq!(after(printed, "number of failed transactions:"), Some("0"));
        assert_eq!(after(printed, "tps ="), Some("3100.5"));
    }
}
