//! The flags of nova-api-svc alone, each with its environment variable.

use chassis::{quota::limit, sweep::RetentionArgs};
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

    /// How long what nothing needs any more is kept.
    #[command(flatten)]
    pub retention: RetentionArgs,

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

impl From<QuotaArgs> for Quota {
    fn from(args: QuotaArgs) -> Self {
        Self {
            instances: limit(args.quota_instances),
            cores: limit(args.quota_cores),
            ram_mb: limit(args.quota_ram),
        }
    }
}
