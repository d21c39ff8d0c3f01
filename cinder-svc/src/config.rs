//! The flags of cinder-svc alone, each with its environment variable.

use std::path::PathBuf;

use chassis::{quota::limit, sweep::RetentionArgs};
use clap::Args;
use peers::glance::GlanceArgs;

use crate::{quota::Quota, storage::StorageArg};

/// The volume service of Imprint: creates volumes from images and keeps the image's properties with them.
#[derive(Debug, Args)]
#[command(after_help = "Try it:  grpcurl -plaintext 127.0.0.1:8776 list")]
pub struct Config {
    /// The image catalogue.
    #[command(flatten)]
    pub glance: GlanceArgs,

    /// Where callers reach this service over HTTP, if not at the host named in their requests.
    #[arg(long, env = "PUBLIC_ENDPOINT", value_name = "URL")]
    pub public_endpoint: Option<String>,

    /// Who keeps the data of volumes: `dir:PATH` means cinder-svc itself, in a folder (created if missing and there is no
    /// data yet); `agent` whatever runs the backend, with `ReportVolumeState`; `none` is for a machine where nothing
    /// does, and each operation completes at once.
    #[arg(long, env = "STORAGE", default_value = "none", value_name = "WHO")]
    pub storage: StorageArg,

    /// The program `qemu-img`, with which cinder-svc converts images that are vmdk, vhd, vhdx or vdi, if it keeps the data
    /// itself; without it, they are refused. It runs within limits of memory and time.
    #[arg(long, env = "QEMU_IMG", value_name = "PATH")]
    pub qemu_img: Option<PathBuf>,

    /// Name or id of the volume type of volumes for which neither the request, nor their source or image, names one.
    #[arg(long, env = "DEFAULT_VOLUME_TYPE", default_value = "__DEFAULT__", value_name = "TYPE")]
    pub default_volume_type: String,

    /// Availability zones, separated by commas; the first one is the default.
    #[arg(
        long,
        env = "AVAILABILITY_ZONES",
        default_value = "nova",
        value_delimiter = ',',
        value_name = "ZONES"
    )]
    pub availability_zones: Vec<String>,

    /// How long what nothing needs any more is kept.
    #[command(flatten)]
    pub retention: RetentionArgs,

    /// What each project may use.
    #[command(flatten)]
    pub quota: QuotaArgs,
}

/// What each project may use, unless `UpdateQuota` says otherwise.
#[derive(Debug, Clone, Copy, Args)]
pub struct QuotaArgs {
    /// Maximum number of volumes per project; negative for no limit.
    #[arg(
        long,
        env = "QUOTA_VOLUMES",
        default_value_t = -1,
        allow_negative_numbers = true,
        value_name = "COUNT"
    )]
    pub quota_volumes: i64,

    /// Maximum number of snapshots per project; negative for no limit.
    #[arg(
        long,
        env = "QUOTA_SNAPSHOTS",
        default_value_t = -1,
        allow_negative_numbers = true,
        value_name = "COUNT"
    )]
    pub quota_snapshots: i64,

    /// Maximum size of all volumes and snapshots of a project, in GiB; negative for no limit.
    #[arg(
        long,
        env = "QUOTA_GIGABYTES",
        default_value_t = -1,
        allow_negative_numbers = true,
        value_name = "GIB"
    )]
    pub quota_gigabytes: i64,

    /// Maximum size of one volume, in GiB; negative for no limit.
    #[arg(
        long,
        env = "QUOTA_PER_VOLUME_GIGABYTES",
        default_value_t = -1,
        allow_negative_numbers = true,
        value_name = "GIB"
    )]
    pub quota_per_volume_gigabytes: i64,
}

impl From<QuotaArgs> for Quota {
    fn from(args: QuotaArgs) -> Self {
        Self {
            volumes: limit(args.quota_volumes),
            snapshots: limit(args.quota_snapshots),
            gigabytes: limit(args.quota_gigabytes),
            per_volume_gigabytes: limit(args.quota_per_volume_gigabytes),
        }
    }
}
