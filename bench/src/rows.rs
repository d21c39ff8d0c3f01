//! The rows of the benchmark, one file each.

mod boot_from_volume;
mod create;
mod create_many;
mod create_volume;
mod data;
mod disk;
mod footprint;
mod get_image;
mod growth;
mod http_get_image;
mod keystone;
mod list_images;
mod list_volumes;
mod loader;
mod pages;
mod update;
mod volume_data;

use clap::ValueEnum;

use crate::bench::Bench;

/// The rows of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Row {
    /// `GetImage`, and whether reads are stale after an acknowledged change.
    GetImage,
    /// `UpdateImageProperties` of different images and of one.
    Update,
    /// `CreateInstance` on PostgreSQL.
    CreateInstance,
    /// `CreateInstance` on SQLite.
    CreateInstanceSqlite,
    /// `CreateInstance` of a thousand in one call.
    Create1000,
    /// `CreateVolume` from an image.
    CreateVolume,
    /// `CreateInstance` on a new volume.
    BootFromVolume,
    /// Bytes on disk per instance.
    Disk,
    /// GET of an image over HTTP.
    HttpGetImage,
    /// GET of an image with a token that is known from Keystone.
    Keystone,
    /// Upload and download of image data.
    Data,
    /// Volumes with the data of an image, in a folder.
    VolumeData,
    /// Startup time and memory.
    Footprint,
    /// `ListImages` among many and very many images.
    ListImages,
    /// `ListVolumes` among many and very many volumes.
    ListVolumes,
    /// Reads and creates as the number of instances grows.
    Growth,
}

impl Row {
    /// The row's name, as `--only` takes it.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Measures the row, and records its findings.
    pub(crate) async fn measure(self, bench: &mut Bench) -> anyhow::Result<()> {
        match self {
            Self::GetImage => get_image::measure(bench).await,
            Self::Update => update::measure(bench).await,
            Self::CreateInstance => create::postgres(bench).await,
            Self::CreateInstanceSqlite => create::sqlite(bench).await,
            Self::Create1000 => create_many::measure(bench).await,
            Self::CreateVolume => create_volume::measure(bench).await,
            Self::BootFromVolume => boot_from_volume::measure(bench).await,
            Self::Disk => disk::measure(bench).await,
            Self::HttpGetImage => http_get_image::measure(bench).await,
            Self::Keystone => keystone::measure(bench).await,
            Self::Data => data::measure(bench).await,
            Self::VolumeData => volume_data::measure(bench).await,
            Self::Footprint => footprint::measure(bench).await,
            Self::ListImages => list_images::measure(bench).await,
            Self::ListVolumes => list_volumes::measure(bench).await,
            Self::Growth => growth::measure(bench).await,
        }
    }
}
