//! The bucket with the image data is slow.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use harness::{bucket::Bucket, postgres::Cluster};
use proto::glance::v1::{
    CreateImageRequest, DownloadImageDataRequest, Image, UploadImageDataRequest,
    image_service_client::ImageServiceClient,
};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::{task::JoinSet, time::sleep};
use tonic::{Request, Status, transport::Channel};

use super::{Case, FITS, per_second};
use crate::{
    images::ImageLoad,
    proxy::{Proxy, Weather},
    table::Table,
    world::{Environment, Replica},
};

/// Concurrent uploads and downloads.
const TRANSFERS: u8 = 8;

/// Size of each image, in bytes: more than one part of an object.
const SIZE: usize = 6 << 20;

const MIB: usize = 1 << 20;

/// How long clients pause, so that processors are not what limits them.
const REST: Duration = Duration::from_millis(20);

pub(super) async fn run(seconds: u64, table: &mut Table) -> anyhow::Result<()> {
    let (bucket, cluster) = (tokio::task::block_in_place(Bucket::start)?, Cluster::start_durable()?);
    PgConnection::connect(&cluster.url("postgres")).await?.execute("CREATE DATABASE glance").await?;
    let address = bucket.endpoint().trim_start_matches("http://").parse()?;
    let network = Proxy::start(address).await?;
    let glance = start(&cluster, &network)?;
    network.set(Weather::Slow);
    let load = ImageLoad::start(&[glance.channel()?], 8, REST);
    let before = goodput(&load, seconds).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut transfers = JoinSet::new();
    for number in 0..TRANSFERS {
        transfers.spawn(transfer(number, glance.channel()?, Arc::clone(&is_over)));
    }
    // Until the transfers are in progress.
    sleep(Duration::from_secs(1)).await;
    let beside = goodput(&load, 2 * seconds).await;
    is_over.store(true, Ordering::Relaxed);
    let (mut done, mut failed) = (0, BTreeMap::<String, usize>::new());
    for transferred in transfers.join_all().await {
        done += transferred.0;
        transferred.1.into_iter().for_each(|why| *failed.entry(why).or_default() += 1);
    }
    let after = goodput(&load, seconds).await;
    let record = load.end().await;
    let lost = record.audit(glance.channel()?).await?;
    let (share, peak) = (2.0 * beside / (before + after), glance.service.peak()?);
    let is_quick = seconds < 10;
    table.note(
        Case::Bucket,
        format!(
            "{done} times {} MiB up and down at 2 MiB/s, failed: {failed:?}; beside them {beside:.0} calls/s on images, \
             {before:.0} before and {after:.0} after: {share:.2} ×; {} failed {:?}, {lost} lost; at most {} MiB",
            SIZE >> 20,
            record.failed.count(),
            record.failed.codes,
            peak >> 20,
        ),
        // A quick run only shows that everything works; it does not assert speed.
        if is_quick {
            "nothing fails, at most 256 MiB"
        } else {
            "nothing fails, at least 0.8 × as many calls as without, at most 256 MiB"
        },
        done >= usize::from(TRANSFERS)
            && failed.is_empty()
            && record.failed.count() + lost + record.stale == 0
            && peak <= FITS
            && (is_quick || share >= 0.8),
    );
    Ok(())
}

fn start(cluster: &Cluster, network: &Proxy) -> anyhow::Result<Replica> {
    let environment: Environment =
        Bucket::environment(&network.endpoint()).map(|(name, value)| (name, value.to_owned())).into();
    let arguments = ["--database-url", &cluster.url("glance"), "--data-url", Bucket::DATA_URL];
    Replica::start_in(environment, "glance-svc", arguments.map(str::to_owned).into())
}

/// Successful requests per second, over this time.
async fn goodput(load: &ImageLoad, seconds: u64) -> f64 {
    let (before, duration) = (load.count(), Duration::from_secs(seconds));
    sleep(duration).await;
    per_second(load.count() - before, duration)
}

/// Uploads data and downloads it again, one image after the other; returns how often, and what failed.
async fn transfer(number: u8, channel: Channel, is_over: Arc<AtomicBool>) -> (usize, Vec<String>) {
    let data: Vec<u8> = (0..SIZE).map(|index| u8::try_from(index % 251).unwrap_or(0) ^ number).collect();
    let (mut done, mut failed) = (0, Vec::new());
    while !is_over.load(Ordering::Relaxed) {
        match there_and_back(number, &channel, &data).await {
            Ok(true) => done += 1,
            Ok(false) => failed.push("other data".to_owned()),
            Err(status) => failed.push(format!("{:?}: {}", status.code(), status.message())),
        }
    }
    (done, failed)
}

async fn there_and_back(number: u8, channel: &Channel, data: &[u8]) -> Result<bool, Status> {
    let mut images = ImageServiceClient::new(channel.clone());
    let (disk_format, container_format) = ("raw".into(), "bare".into());
    let image = Image { name: "slow".into(), disk_format, container_format, ..Image::default() };
    let request = by(number, CreateImageRequest { image: Some(image) });
    let id = images.create_image(request).await?.into_inner().id;
    let message = |part: &[u8]| UploadImageDataRequest {
        image_id: id.clone(),
        data: part.to_vec().into(),
        ..UploadImageDataRequest::default()
    };
    let parts: Vec<_> = data.chunks(MIB).map(message).collect();
    images.upload_image_data(by(number, tokio_stream::iter(parts))).await?;
    let request = by(number, DownloadImageDataRequest { id, ..Default::default() });
    let mut answer = images.download_image_data(request).await?.into_inner();
    let mut read = Vec::with_capacity(data.len());
    while let Some(part) = answer.message().await? {
        read.extend_from_slice(&part.data);
    }
    Ok(read == data)
}

/// A request from a user of its own.
fn by<T>(number: u8, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-user-id", format!("mover-{number}").parse().expect("ASCII"));
    request
}
