//! Volumes with the data of an image, in a folder: from a raw image compared with a bare copy of the same stream, and
//! from a qcow2 image compared with `qemu-img`.

use std::{
    fs::{self, File},
    io::{BufWriter, Read as _, Write as _},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use futures_util::stream;
use harness::{program::show, service::Service};
use proto::{
    cinder::v1::{DeleteVolumeRequest, GetVolumeRequest, volume::Status},
    glance::v1::UploadImageDataRequest,
};
use sha2::{Digest as _, Sha512};

use super::{
    create_volume,
    data::{case, mebibytes, timed},
};
use crate::{
    bench::Bench,
    ceiling::server,
    figures::Run,
    http::Connection,
    process::Watch,
    sample,
    world::{self, Images, Volumes, World},
};

const ROW: &str = "volume_data";

/// Size of the parts of an upload, in bytes.
const PART: usize = 1 << 20;

/// How often a volume is looked at while its data is made.
const LOOK: Duration = Duration::from_millis(2);

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let images_url = bench.world.database("volume_data_glance").await?;
    let volumes_url = bench.world.database("volume_data_cinder").await?;
    let glance = bench.world.glance(&images_url)?;
    let storage = format!("dir:{}", bench.world.file("volumes").display());
    let cinder = World::cinder_with(&volumes_url, &glance, &storage)?;
    let (images, volumes) = (world::images(&glance).await?, world::volumes(&cinder).await?);
    let watch = bench.world.watch(&[("glance-svc", &glance), ("cinder-svc", &cinder)])?;
    raw(bench, &watch, &images, &volumes).await?;
    qcow2(bench, &watch, &images, &volumes).await
}

/// From a raw image; the copy of its stream is hashed and written as the volume is.
async fn raw(bench: &mut Bench, watch: &Watch, images: &Images, volumes: &Volumes) -> anyhow::Result<()> {
    let size = bench.plan.data_bytes;
    let source = bench.world.file("source.raw");
    write_data(&source, size)?;
    register(images, 1, "raw", &source).await?;
    let (answer, target) = (bench.world.file("empty"), bench.world.file("copy.raw"));
    fs::write(&answer, "")?;
    let bare = server::start("http", &[("--answer", &answer), ("--data", &source)])?;
    let bare_watch = Watch::client().and("bare axum", bare.pid());
    let ours = async || create(watch, volumes, 1, size).await;
    let ceiling = async || timed(&bare_watch, size, copy(&bare, &target, size)).await;
    bench
        .compare(
            case(ROW, format!("raw, {}", mebibytes(size)), "bare stream, hash, fsync", 0.7),
            ours,
            ceiling,
        )
        .await?;
    drop(bare);
    [source, target].iter().try_for_each(fs::remove_file).context("a file of the benchmark is gone")
}

/// From a qcow2 image, which `qemu-img` converts without a stream and without a hash.
async fn qcow2(bench: &mut Bench, watch: &Watch, images: &Images, volumes: &Volumes) -> anyhow::Result<()> {
    let size = bench.plan.qcow2_bytes;
    let (plain, source) = (bench.world.file("plain.raw"), bench.world.file("source.qcow2"));
    let target = bench.world.file("converted.raw");
    write_data(&plain, size)?;
    qemu_img("raw", "qcow2", &plain, &source)?;
    fs::remove_file(&plain)?;
    register(images, 2, "qcow2", &source).await?;
    let children = Watch::children("qemu-img");
    let ours = async || create(watch, volumes, 2, size).await;
    let ceiling = async || {
        timed(&children, size, async {
            qemu_img("qcow2", "raw", &source, &target)?;
            Ok(File::open(&target)?.sync_all()?)
        })
        .await
    };
    bench
        .compare(
            case(ROW, format!("qcow2, {}", mebibytes(size)), "qemu-img convert, fsync", 0.2),
            ours,
            ceiling,
        )
        .await
}

/// Creates a volume of image `number`, which has `size` bytes of data, and deletes it when its data is there.
async fn create(watch: &Watch, volumes: &Volumes, number: usize, size: u64) -> anyhow::Result<Run> {
    let mut id = String::new();
    let run = timed(watch, size, async {
        id = create_volume::create_one(volumes, number).await?.id;
        until(volumes, &id, Some(Status::Available)).await
    })
    .await?;
    volumes.of(0).delete_volume(DeleteVolumeRequest { id: id.clone(), ..Default::default() }).await?;
    until(volumes, &id, None).await?;
    Ok(run)
}

/// Waits until the volume has this status, or is gone.
async fn until(volumes: &Volumes, id: &str, wanted: Option<Status>) -> anyhow::Result<()> {
    loop {
        let request = GetVolumeRequest { id: id.to_owned(), revision: 0 };
        let status = match volumes.of(0).get_volume(request).await {
            Ok(volume) => Some(volume.into_inner().status()),
            Err(status) if status.code() == tonic::Code::NotFound => None,
            Err(status) => return Err(status.into()),
        };
        match status {
            status if status == wanted => return Ok(()),
            Some(Status::Error) => bail!("the data of volume {id} could not be made"),
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

/// Reads the stream of a bare server, and hashes and writes it.
async fn copy(bare: &Service, target: &Path, size: u64) -> anyhow::Result<()> {
    let mut connection = Connection::open(bare.address()).await?;
    let mut file = BufWriter::with_capacity(PART, File::create(target)?);
    let mut hash = Sha512::new();
    let read = connection
        .download("/v2/images/1/file", |bytes| {
            hash.update(bytes);
            Ok(file.write_all(bytes)?)
        })
        .await?;
    ensure!(read == size, "{read} bytes came back of {size}");
    std::hint::black_box(hash.finalize());
    Ok(file.into_inner()?.sync_all()?)
}

/// Writes a file of `size` bytes that neither compress to nothing nor are zeros.
fn write_data(path: &Path, size: u64) -> anyhow::Result<()> {
    let mut file = BufWriter::with_capacity(PART, File::create(path)?);
    let part: Vec<u8> = (0..=250_u8).cycle().take(PART).collect();
    for _ in 0..size / PART as u64 {
        file.write_all(&part)?;
    }
    Ok(file.into_inner()?.sync_all()?)
}

/// Registers image `number` with the data of a file.
async fn register(images: &Images, number: usize, format: &str, file: &Path) -> anyhow::Result<()> {
    let mut request = sample::image(number);
    if let Some(image) = &mut request.image {
        (image.size, image.checksum, image.disk_format) = (None, String::new(), format.to_owned());
    }
    let mut client = images.of(0);
    client.create_image(request).await?;
    let (id, file) = (sample::image_id(number), File::open(file)?);
    let parts = stream::unfold((id, file), |(image_id, mut file)| async move {
        let mut data = vec![0; PART];
        let length = file.read(&mut data).expect("a file of the benchmark can be read");
        data.truncate(length);
        let part = UploadImageDataRequest { image_id: image_id.clone(), size: None, data: Bytes::from(data) };
        (length > 0).then_some((part, (image_id, file)))
    });
    client.upload_image_data(parts).await?;
    Ok(())
}

fn qemu_img(from: &str, to: &str, source: &Path, target: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("qemu-img");
    show(command.args(["convert", "-f", from, "-O", to]).args([source, target]))
}
