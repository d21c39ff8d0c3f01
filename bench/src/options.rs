//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::{ceiling::server, load::Shape, rows::Row};

/// Measures the services against what bounds them, and says which goals are met.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench", args_conflicts_with_subcommands = true)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) options: Options,

    /// What this program is started again as, to be compared with.
    #[command(subcommand)]
    pub(crate) server: Option<Server>,
}

/// Servers that do the least there is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Server {
    /// Answers every `GetImage` with one message.
    #[command(hide = true)]
    Echo(server::Echo),
    /// Answers over HTTP with one body, and keeps data in one file.
    #[command(hide = true)]
    Http(server::Http),
}

/// What to measure, and how long.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// A short run with little data, which shows that everything works.
    #[arg(long)]
    quick: bool,

    /// Measure these rows alone.
    #[arg(long, value_enum, value_name = "ROW", value_delimiter = ',')]
    pub(crate) only: Vec<Row>,

    /// How often to measure services and ceiling, in turns [default: 5; quick: 1].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=100))]
    pairs: Option<u16>,

    /// How long each measurement takes [default: 3; quick: 1].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: Option<u16>,

    /// Most instances in the database, a power of ten from 10000 [default: 10000000; quick: 10000].
    #[arg(long, value_name = "COUNT")]
    max_instances: Option<u64>,

    /// Most images in the database, at least 10000 [default: 1000000; quick: 10000].
    #[arg(long, value_name = "COUNT")]
    max_images: Option<u64>,

    /// Folder for the report [default: target/bench].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
}

/// The options with their defaults filled in.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Plan {
    /// How often services and ceiling are measured, in turns.
    pub(crate) pairs: usize,
    /// How long each measurement takes.
    pub(crate) seconds: u16,
    /// Most instances in the database.
    pub(crate) max_instances: u64,
    /// Most images in the database.
    pub(crate) max_images: u64,
    /// Instances created to see how large each is.
    pub(crate) disk_instances: usize,
    /// Size of the data that are uploaded and downloaded.
    pub(crate) data_bytes: u64,
}

impl Options {
    /// What to do.
    pub(crate) fn plan(&self) -> Plan {
        let either = |quick: u64, full: u64| if self.quick { quick } else { full };
        let (pairs, seconds) = if self.quick { (1, 1) } else { (5, 3) };
        Plan {
            pairs: usize::from(self.pairs.unwrap_or(pairs)),
            seconds: self.seconds.unwrap_or(seconds),
            max_instances: self.max_instances.unwrap_or(either(10_000, 10_000_000)).max(10_000),
            max_images: self.max_images.unwrap_or(either(10_000, 1_000_000)).max(10_000),
            disk_instances: if self.quick { 1_000 } else { 20_000 },
            data_bytes: either(1 << 26, 1 << 30),
        }
    }
}

impl Plan {
    /// How one measurement runs.
    pub(crate) fn shape(&self, in_flight: usize) -> Shape {
        let measured = Duration::from_secs(self.seconds.into());
        Shape { in_flight, warm_up: (measured / 4).min(Duration::from_secs(2)), measured }
    }
}
