//! The flags of glance-svc alone, each with its environment variable.

use clap::Args;

use crate::{data::DataUrl, store};

/// The image catalogue of Imprint: images, their properties, the history of both, and their data, over gRPC and
/// as OpenStack's Image API v2 over HTTP.
#[derive(Debug, Args)]
#[command(
    after_help = "Try it:  grpcurl -plaintext 127.0.0.1:9292 list\n         curl 127.0.0.1:9292/v2/images"
)]
pub struct Config {
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
}
