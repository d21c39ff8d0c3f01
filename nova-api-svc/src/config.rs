//! The flags of nova-api-svc alone, each with its environment variable.

use chassis::{quota::limit, sweep::Retention};
use chrono::TimeDelta;
use clap::Args;
use peers::{cinder::CinderArgs, glance::GlanceArgs};

use crate::{
    instance::{Compute, names::NameTemplate, snapshot::NonInheritable},
    quota::Quota,
};

/// The compute API of Imprint: creates instances from images and keeps the image's properties with them.
#[derive(Debug, Args)]
#[command(after_help = "Try it:  grpcurl -plaintext 127.0.0.1:8774 list")]
pub struct Config {
    /// The image catalogue.
    #[command(flatten)]
    pub glance: GlanceArgs,

    /// The volume service.
    #[command(flatten)]
    pub cinder: CinderArgs,

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
    /// for any ending. `img_signature*`, `signature_verified`, `cinder_encryption_key_*`, `os_glance*` and what describes
    /// the devices of the original image are never inherited.
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

impl Config {
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
        Self {
            instances: limit(args.quota_instances),
            cores: limit(args.quota_cores),
            ram_mb: limit(args.quota_ram),
        }
    }
}
