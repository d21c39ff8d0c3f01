//! The command line, each flag with its environment variable.

use clap::{Parser, Subcommand};

/// The image catalogue of Imprint: images, their properties, and the history of both, over gRPC.
///
/// Try it:  grpcurl -plaintext 127.0.0.1:9292 list
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Config {
    /// Address to listen on; port 0 takes a free one, which is printed.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:9292", value_name = "HOST:PORT")]
    pub listen: String,

    /// Database: `sqlite:FILE` (made if it is missing) or `postgres://USER:PASSWORD@HOST/DATABASE`.
    #[arg(
        long,
        env = "DATABASE_URL",
        default_value = "sqlite:glance.sqlite",
        hide_env_values = true,
        value_name = "URL",
        global = true
    )]
    pub database_url: String,

    /// Most connections to the database.
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS", default_value_t = 16, value_name = "COUNT", global = true,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub database_max_connections: u32,

    /// Most properties an image may have; negative for any number.
    #[arg(
        long,
        env = "IMAGE_PROPERTY_QUOTA",
        default_value_t = 128,
        allow_negative_numbers = true,
        value_name = "COUNT"
    )]
    pub image_property_quota: i64,

    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of serving.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Command {
    /// Bring the schema of the database up to date and exit (serving does it, too).
    Migrate,
}
