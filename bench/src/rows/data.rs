//! Upload and download of image data over HTTP, compared with the bare minimum.

use std::{collections::BTreeMap, fs, future::Future, net::SocketAddr, time::Instant};

use anyhow::ensure;
use proto::glance::v1::DeleteImageRequest;

use crate::{
    bench::{Bench, Case},
    ceiling::server,
    figures::{Latency, Run},
    http::Connection,
    process::Watch,
    sample,
    world::{self, Images},
};

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let database = bench.world.database("data").await?;
    let glance = bench.world.glance(&database)?;
    let images = world::images(&glance).await?;
    let (answer, file) = (bench.world.file("empty"), bench.world.file("bare_data"));
    fs::write(&answer, "")?;
    let bare = server::start("http", &[("--answer", &answer), ("--data", &file)])?;
    let size = bench.plan.data_bytes;
    let watch = bench.world.watch(&[("glance-svc", &glance)])?;
    let bare_watch = Watch::client().and("bare axum", bare.pid());

    let mut number = 0;
    let ours = async || {
        number += 1;
        renew(&images, number).await?;
        transfer(&watch, glance.address(), number, Direction::Upload, size).await
    };
    let ceiling = async || transfer(&bare_watch, bare.address(), 1, Direction::Upload, size).await;
    bench
        .compare(case("upload", mebibytes(size), "bare stream, both hashes, fsync", 0.7), ours, ceiling)
        .await?;

    let ours = async || transfer(&watch, glance.address(), number, Direction::Download, size).await;
    let ceiling = async || transfer(&bare_watch, bare.address(), 1, Direction::Download, size).await;
    bench.compare(case("download", mebibytes(size), "bare stream of the file", 0.7), ours, ceiling).await
}

/// A comparison of rates of data.
pub(super) fn case(row: &'static str, name: String, ceiling: &'static str, goal: f64) -> Case {
    Case { row, name, unit: "MB/s", ceiling, goal: Some(goal) }
}

/// A size, for the name of a case.
pub(super) fn mebibytes(size: u64) -> String {
    format!("{} MiB", size >> 20)
}

/// Registers image `number` without data, and deletes the previous one with its data.
async fn renew(images: &Images, number: usize) -> anyhow::Result<()> {
    let mut client = images.of(0);
    if number > 1 {
        let id = sample::image_id(number - 1);
        client.delete_image(DeleteImageRequest { id, etag: String::new() }).await?;
    }
    let mut request = sample::image(number);
    if let Some(image) = &mut request.image {
        (image.size, image.checksum) = (None, String::new());
    }
    client.create_image(request).await?;
    Ok(())
}

#[derive(Clone, Copy)]
enum Direction {
    Upload,
    Download,
}

/// Transfers all of the data once.
async fn transfer(
    watch: &Watch,
    address: SocketAddr,
    number: usize,
    direction: Direction,
    size: u64,
) -> anyhow::Result<Run> {
    let path = format!("/v2/images/{}/file", sample::image_id(number));
    let mut connection = Connection::open(address).await?;
    timed(watch, size, async {
        match direction {
            Direction::Upload => connection.upload(&path, size).await,
            Direction::Download => {
                let read = connection.download(&path, |_| Ok(())).await?;
                ensure!(read == size, "{read} bytes came back of {size}");
                Ok(())
            }
        }
    })
    .await
}

/// Does something with `size` bytes of data once, at so many megabytes per second.
#[expect(clippy::cast_precision_loss, reason = "sizes and times of a benchmark are far below 2^52")]
pub(super) async fn timed(
    watch: &Watch,
    size: u64,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Run> {
    watch.reset_peaks();
    let (before, began) = (watch.cpu()?, Instant::now());
    work.await?;
    let (elapsed, after) = (began.elapsed(), watch.cpu()?);
    let latency = elapsed.as_micros() as f64;
    let cpu_us: BTreeMap<_, _> =
        after.iter().map(|(name, after)| (*name, after - before.get(name).unwrap_or(&0.0))).collect();
    Ok(Run {
        requests: 1,
        seconds: elapsed.as_secs_f64(),
        per_second: size as f64 / latency,
        latency_us: Latency { p50: latency, p99: latency, p999: latency },
        cpu_us,
        peak_mib: watch.peaks()?,
    })
}
