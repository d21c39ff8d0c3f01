//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::{ceiling::server, load::Shape, rows::Row};

/// Measure the services against the baselines that bound them, and report which goals are met.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench", args_conflicts_with_subcommands = true)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) options: Options,

    /// A ceiling server, as which the benchmark starts this program again.
    #[command(subcommand)]
    pub(crate) server: Option<Server>,
}

/// Servers that do the bare minimum.
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
    /// Make a short run with little data, which only shows that everything works.
    #[arg(long)]
    quick: bool,

    /// Measure only these rows.
    #[arg(long, value_enum, value_name = "ROW", value_delimiter = ',')]
    pub(crate) only: Vec<Row>,

    /// How many pairs of services and ceiling to measure [default: 5; quick: 1].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=100))]
    pairs: Option<u16>,

    /// Duration of each measurement, in seconds [default: 3; quick: 1].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: Option<u16>,

    /// Maximum number of instances in the database, a power of ten from 10000 [default: 10000000; quick: 10000].
    #[arg(long, value_name = "COUNT")]
    max_instances: Option<u64>,

    /// Maximum number of images, and of volumes, in the database, at least 10000 [default: 1000000; quick: 10000].
    #[arg(long, value_name = "COUNT")]
    max_images: Option<u64>,

    /// Folder for the report [default: target/bench].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
}

/// The options, with defaults.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Plan {
    /// Number of pairs of measurements.
    pub(crate) pairs: usize,
    /// Duration of each measurement.
    pub(crate) seconds: u16,
    /// Maximum number of instances in the database.
    pub(crate) max_instances: u64,
    /// Maximum number of images, and of volumes, in the database.
    pub(crate) max_images: u64,
    /// Number of instances created to measure their size.
    pub(crate) disk_instances: usize,
    /// Size of the data that is uploaded and downloaded, in bytes.
    pub(crate) data_bytes: u64,
    /// Size of the data of the qcow2 image that becomes a volume, in bytes.
    pub(crate) qcow2_bytes: u64,
}

impl Options {
    /// The plan of a run.
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
            qcow2_bytes: either(40 << 20, 400 << 20),
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
