//! The command line, each flag with its environment variable.

use std::{path::PathBuf, sync::Arc, time::Duration};

use chassis::{
    caller,
    keystone::KeystoneArgs,
    server::ServerArgs,
    telemetry::TelemetryArgs,
    tls::{self, Identity, Reloaded},
};
use chrono::TimeDelta;
use clap::{ArgAction, Args, Parser, Subcommand};

use crate::{
    instance::{Compute, names::NameTemplate, snapshot::NonInheritable},
    quota::Quota,
    store::Retention,
};

/// The compute API of Imprint: creates instances from images and keeps the image's properties with them.
///
/// Try it:  grpcurl -plaintext 127.0.0.1:8774 list
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Config {
    /// Address to listen on; port 0 picks a free one, which is printed.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8774", value_name = "HOST:PORT")]
    pub listen: String,

    /// Database: `sqlite:FILE` (created if missing) or `postgres://USER:PASSWORD@HOST/DATABASE`.
    #[arg(
        long,
        env = "DATABASE_URL",
        default_value = "sqlite:nova.sqlite",
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
    pub identity: caller::Identity,

    /// Where glance-svc is; several URLs are separated by commas. Names are re-resolved continually, and calls go to
    /// all of their addresses.
    #[arg(long, env = "GLANCE_ENDPOINT", default_value = "http://127.0.0.1:9292", value_name = "URL")]
    pub glance_endpoint: String,

    /// CA of glance-svc's certificate, a PEM file; for an https endpoint.
    #[arg(long, env = "GLANCE_CA", value_name = "FILE")]
    pub glance_ca: Option<PathBuf>,

    /// Certificate to present to glance-svc, a PEM file.
    #[arg(long, env = "GLANCE_CERT", value_name = "FILE", requires = "glance_ca")]
    pub glance_cert: Option<PathBuf>,

    /// Private key of that certificate, a PEM file.
    #[arg(long, env = "GLANCE_KEY", value_name = "FILE", requires = "glance_ca")]
    pub glance_key: Option<PathBuf>,

    /// Longest wait for glance-svc, in milliseconds; shorter if the caller's deadline is.
    #[arg(long, env = "GLANCE_TIMEOUT_MS", default_value_t = 5000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub glance_timeout_ms: u64,

    /// How instances are named when a request creates several, from %(name)s, %(uuid)s and %(count)s.
    #[arg(
        long,
        env = "MULTI_INSTANCE_DISPLAY_NAME_TEMPLATE",
        default_value = "%(name)s-%(uuid)s",
        value_name = "TEMPLATE"
    )]
    pub multi_instance_display_name_template: NameTemplate,

    /// Who completes operations on instances: `agent` means whatever runs them, with `ReportInstanceState`; `none` is
    /// for a machine where nothing runs them, and each operation completes at once.
    #[arg(long, env = "COMPUTE", value_enum, default_value_t, value_name = "WHO")]
    pub compute: Compute,

    /// Properties that images made from instances do not inherit, separated by commas; a trailing `*` stands
    /// for any ending. `img_signature*`, `cinder_encryption_key_*` and `os_glance*` are never inherited.
    #[arg(
        long,
        env = "NON_INHERITABLE_IMAGE_PROPERTIES",
        default_value = "cache_in_nova,bittorrent",
        value_name = "NAMES"
    )]
    pub non_inheritable_image_properties: NonInheritable,

    /// How long the history of deleted instances is kept, in days.
    #[arg(long, env = "DELETED_HISTORY_DAYS", default_value_t = 90, value_name = "DAYS",
          value_parser = clap::value_parser!(u16).range(0..=36_500))]
    pub deleted_history_days: u16,

    /// How long the request ids of creates are kept, in hours; a later retry creates new instances.
    #[arg(long, env = "REQUEST_ID_RETENTION_HOURS", default_value_t = 24, value_name = "HOURS",
          value_parser = clap::value_parser!(u32).range(1..=876_000))]
    pub request_id_retention_hours: u32,

    /// What each project may use.
    #[command(flatten)]
    pub quota: QuotaArgs,

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

/// What each project may use.
#[derive(Debug, Clone, Copy, Args)]
pub struct QuotaArgs {
    /// Maximum number of instances per project; negative for no limit.
    #[arg(
        long,
        env = "QUOTA_INSTANCES",
        default_value_t = -1,
        allow_negative_numbers = true,
        value_name = "COUNT"
    )]
    pub quota_instances: i64,

    /// Maximum number of virtual CPUs per project; negative for no limit.
    #[arg(
        long,
        env = "QUOTA_CORES",
        default_value_t = -1,
        allow_negative_numbers = true,
        value_name = "COUNT"
    )]
    pub quota_cores: i64,

    /// Maximum memory per project, in MiB; negative for no limit.
    #[arg(
        long,
        env = "QUOTA_RAM",
        default_value_t = -1,
        allow_negative_numbers = true,
        value_name = "MIB"
    )]
    pub quota_ram: i64,
}

/// What to do instead of serving.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Command {
    /// Bring the schema of the database up to date and exit (serving does that, too).
    Migrate,
}

impl Config {
    /// Longest wait for glance-svc.
    #[must_use]
    pub const fn glance_timeout(&self) -> Duration {
        Duration::from_millis(self.glance_timeout_ms)
    }

    /// TLS to glance-svc, if there is any; its files are read.
    pub fn glance_tls(&self) -> Result<Option<Arc<Reloaded<tls::Client>>>, tls::Error> {
        let Some(ca) = self.glance_ca.clone() else { return Ok(None) };
        let identity = Identity::of(self.glance_cert.clone(), self.glance_key.clone())?;
        Reloaded::new(tls::Client { ca, identity }).map(Some)
    }

    /// How long records that are no longer needed are kept.
    #[must_use]
    pub fn retention(&self) -> Retention {
        Retention {
            deleted_history: TimeDelta::days(self.deleted_history_days.into()),
            requests: TimeDelta::hours(self.request_id_retention_hours.into()),
        }
    }
}

impl From<QuotaArgs> for Quota {
    fn from(args: QuotaArgs) -> Self {
        let limit = |value: i64| (value >= 0).then_some(value);
        Self {
            instances: limit(args.quota_instances),
            cores: limit(args.quota_cores),
            ram_mb: limit(args.quota_ram),
        }
    }
}
