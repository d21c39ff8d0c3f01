//! `CreateVolume` from an image, compared with a database that writes one row per entry of image metadata.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context as _, ensure};
use proto::cinder::v1::{CreateVolumeRequest, Volume, create_volume_request::Source};

use super::get_image;
use crate::{
    bench::{Bench, Case},
    ceiling::{pgbench::Pgbench, volume_row_per_key},
    database,
    figures::Run,
    load::{Shape, drive},
    process::Watch,
    sample,
    world::{self, Volumes, World},
};

/// Entries of image metadata: the properties, and Cinder's eight attributes of the image.
const ENTRIES: usize = sample::PROPERTIES + 8;

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let glance_url = bench.world.database("create_volume_glance").await?;
    let cinder_url = bench.world.database("create_volume_cinder").await?;
    let baseline = bench.world.database("create_volume_row_per_key").await?;
    let glance = bench.world.glance(&glance_url)?;
    get_image::fill(&world::images(&glance).await?, 1).await?;
    let cinder = World::cinder(&cinder_url, &glance)?;
    let volumes = world::volumes(&cinder).await?;
    let first = create_one(&volumes, 1).await?;
    let metadata = flat(first).context("a volume remembers its image")?;
    ensure!(metadata.len() == ENTRIES, "{} entries, and not {ENTRIES}", metadata.len());
    let mut connection = database::connect(&baseline).await?;
    database::execute(&mut connection, volume_row_per_key::POSTGRES.to_owned()).await?;
    let pgbench = Pgbench::new(&volume_row_per_key::script(&metadata), &baseline, bench.world.server()?)?;
    let watch = bench.world.watch(&[("glance-svc", &glance), ("cinder-svc", &cinder)])?;
    let created = Arc::new(AtomicU64::new(1));
    for (in_flight, goal) in [(1, None), (16, Some(1.5)), (64, Some(2.0))] {
        let shape = bench.plan.shape(in_flight);
        let case = Case {
            row: "create_volume",
            name: format!("PostgreSQL, {in_flight} in flight"),
            unit: "volumes/s",
            ceiling: "pgbench, a row per key",
            goal,
        };
        let ours = async || create(shape, &watch, &volumes, &created).await;
        bench.compare(case, ours, async || pgbench.run(shape).await).await?;
    }
    let mut connection = database::connect(&cinder_url).await?;
    let recorded: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM volumes").fetch_one(&mut connection).await?;
    let created = created.load(Ordering::SeqCst);
    ensure!(
        u64::try_from(recorded)? == created,
        "{created} volumes were acknowledged, {recorded} are recorded"
    );
    Ok(())
}

/// A request for a volume of image number `image`.
fn request(image: usize) -> CreateVolumeRequest {
    CreateVolumeRequest {
        name: "root".to_owned(),
        source: Some(Source::ImageId(sample::image_id(image))),
        ..Default::default()
    }
}

/// Creates one volume, and returns it.
pub(super) async fn create_one(volumes: &Volumes, image: usize) -> anyhow::Result<Volume> {
    Ok(volumes.of(0).create_volume(request(image)).await?.into_inner())
}

/// Creates volumes, and adds up in `created` what was acknowledged.
pub(super) async fn create(
    shape: Shape,
    watch: &Watch,
    volumes: &Volumes,
    created: &Arc<AtomicU64>,
) -> anyhow::Result<Run> {
    let (volumes, created) = (volumes.clone(), Arc::clone(created));
    drive(shape, watch, move |turn| {
        let (mut volumes, created) = (volumes.of(turn.worker), Arc::clone(&created));
        async move {
            let volume = volumes.create_volume(request(1)).await?.into_inner();
            let count = volume.image_properties.len();
            ensure!(count == sample::PROPERTIES && volume.image.is_some(), "image metadata is missing");
            created.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    })
    .await
}

/// What a volume remembers as Cinder keeps it: one list of texts.
fn flat(volume: Volume) -> Option<BTreeMap<String, String>> {
    let image = volume.image?;
    let attributes = [
        ("image_id", image.id),
        ("image_name", image.name),
        ("checksum", image.checksum),
        ("container_format", image.container_format),
        ("disk_format", image.disk_format),
        ("min_disk", image.min_disk.to_string()),
        ("min_ram", image.min_ram.to_string()),
        ("size", image.size?.to_string()),
    ];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
    Some(volume.image_properties.into_iter().chain(attributes).collect())
}
