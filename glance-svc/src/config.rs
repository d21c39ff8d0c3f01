//! The command line, each flag with its environment variable.

use chassis::{caller::Identity, keystone::KeystoneArgs, server::ServerArgs, telemetry::TelemetryArgs};
use clap::{ArgAction, Parser, Subcommand};

use crate::{data::DataUrl, store};

/// The image catalogue of Imprint: images, their properties, the history of both, and their data, over gRPC and
/// as OpenStack's Image API v2 over HTTP.
///
/// Try it:  grpcurl -plaintext 127.0.0.1:9292 list
///          curl 127.0.0.1:9292/v2/images
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Config {
    /// Address to listen on; port 0 picks a free one, which is printed.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:9292", value_name = "HOST:PORT")]
    pub listen: String,

    /// Database: `sqlite:FILE` (created if missing) or `postgres://USER:PASSWORD@HOST/DATABASE`.
    #[arg(
        long,
        env = "DATABASE_URL",
        default_value = "sqlite:glance.sqlite",
        hide_env_values = true,
        value_name = "URL",
        global = true
    )]
    pub database_url: String,

    /// Maximum number of connections to the database. One in SQLite is read by at most as many as there are processors, or 4.
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS", default_value_t = 16, value_name = "COUNT", global = true,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub database_max_connections: u32,

    /// Where the caller's identity comes from.
    #[arg(long, env = "IDENTITY", value_enum, default_value_t, value_name = "SOURCE")]
    pub identity: Identity,

    /// Where image data is stored: `file:FOLDER` (created if missing and there is no data yet) or
    /// `s3://BUCKET/PREFIX`, whose region, endpoint and keys come from `AWS_REGION`, `AWS_ENDPOINT`, `AWS_ACCESS_KEY_ID`
    /// and so on.
    #[arg(long, env = "DATA_URL", default_value = "file:images", value_name = "URL")]
    pub data_url: DataUrl,

    /// Maximum size of an image's data, in bytes.
    #[arg(long, env = "IMAGE_SIZE_CAP", default_value_t = 1 << 40, value_name = "BYTES")]
    pub image_size_cap: u64,

    /// Approximate memory for caching images, in bytes; 0 for no cache. Reads are equally fresh whatever the size.
    #[arg(long, env = "IMAGE_CACHE_BYTES", default_value_t = store::CACHE_BYTES, value_name = "BYTES")]
    pub image_cache_bytes: u64,

    /// Where callers reach this service over HTTP, if not at the host named in their requests.
    #[arg(long, env = "PUBLIC_ENDPOINT", value_name = "URL")]
    pub public_endpoint: Option<String>,

    /// Maximum number of properties of an image, not counting those that an image of an instance has in addition to
    /// the instance's; negative for no limit.
    #[arg(
        long,
        env = "IMAGE_PROPERTY_QUOTA",
        default_value_t = 128,
        allow_negative_numbers = true,
        value_name = "COUNT"
    )]
    pub image_property_quota: i64,

    /// Do not migrate the database at startup; the service is not ready until the database has the schema that it
    /// needs.
    #[arg(long, env = "SKIP_MIGRATIONS", default_value_t = false, value_name = "BOOL", action = ArgAction::Set,
          num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub skip_migrations: bool,

    /// How the service listens, and its limits.
    #[command(flatten)]
    pub server: ServerArgs,

    /// Keystone, for `--identity keystone`.
    #[command(flatten)]
    pub keystone: KeystoneArgs,

    /// Logs and traces.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,

    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of serving.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Command {
    /// Bring the schema of the database up to date and exit (serving does that, too).
    Migrate,
}
