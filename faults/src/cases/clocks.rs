//! Two replicas of each service whose clocks are 40 s apart.

use std::time::Duration;

use common::id::Id;
use harness::clock::Clock;
use proto::{
    glance::v1::{
        CreateImageRequest, Image, ListImagesRequest, UploadImageDataRequest,
        image_service_client::ImageServiceClient,
    },
    nova::v1::{
        CreateInstanceRequest, GetInstanceHistoryRequest, GetInstanceRequest, ReportInstanceStateRequest,
        SnapshotInstanceRequest, instance::State, instance_service_client::InstanceServiceClient,
    },
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{interval, sleep},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, transport::Channel};

use super::{Case, DEADLINE, in_turn};
use crate::{
    images::{ImageLoad, Record},
    ledger::Outcome,
    load::{Load, Shape},
    proxy::{Proxy, Weather},
    table::Table,
    world::{Audit, Replica, World},
};

/// How far ahead the clocks of the replicas are, in seconds.
const AHEAD: [i64; 2] = [20, -20];

/// Concurrent uploads, and snapshots.
const UPLOADS: usize = 8;
const SNAPSHOTS: i32 = 24;

/// How often a part of an upload is sent.
const PART: Duration = Duration::from_millis(250);

/// What was observed.
struct Observed {
    apart: i64,
    uploads: Vec<Result<(), Status>>,
    snapshots: Snapshots,
    /// How many jobs were done, by each replica.
    done: f64,
    outcome: Outcome,
    audit: Audit,
    record: Record,
    lost: usize,
    /// How many histories go backwards in time.
    back: usize,
}

pub(super) async fn run(seconds: u64, table: &mut Table) -> anyhow::Result<()> {
    let observed = suffer(seconds).await?;
    let Observed { apart, snapshots, done, audit, record, lost, back, .. } = &observed;
    let broken: Vec<_> = observed.uploads.iter().filter_map(|upload| upload.as_ref().err()).collect();
    let failed = record.failed.count();
    table.note(
        Case::Clocks,
        format!(
            "clocks {apart} s apart, for {seconds} s: {} uploads, {} lost their lease {broken:?}; {} snapshots, each registered \
             {} to {} times, {done} jobs done; {} creates: {audit}; {} images: {lost} lost; {back} histories go back; \
             {failed} calls on images failed",
            observed.uploads.len(),
            broken.len(),
            snapshots.count,
            snapshots.fewest,
            snapshots.most,
            observed.outcome.acknowledged.len(),
            record.images(),
        ),
        "no upload loses its lease, no job is done twice, nothing is lost, no history goes backwards",
        (38..=42).contains(apart)
            && broken.is_empty()
            && (snapshots.fewest, snapshots.most) == (1, 1)
            && (done - f64::from(SNAPSHOTS)).abs() < 0.5
            && audit.is_clean()
            && failed + lost + record.stale + back == 0,
    );
    Ok(())
}

async fn suffer(seconds: u64) -> anyhow::Result<Observed> {
    let (world, networks) = start().await?;
    let apart = apart(&world).await?;
    let glances: Vec<_> = world.glance.iter().map(Replica::channel).collect::<Result<_, _>>()?;
    let rest = Duration::from_millis(20);
    let shape = Shape { insists: true, rest, ..Shape::modest(world.image().await?, DEADLINE) };
    let load = Load::start(&shape, &in_turn(world.clients()?));
    let images = ImageLoad::start(&glances, 4, rest);
    let mut uploads = JoinSet::new();
    for number in 0..UPLOADS {
        uploads.spawn(upload(glances[number % 2].clone(), seconds));
    }
    let snapshots = snapshots(&world, &networks).await?;
    let counter = "imprint_image_jobs_total{outcome=\"done\"";
    let done = world.nova.iter().map(|nova| nova.counter(counter)).sum();
    let uploads = uploads.join_all().await;
    let (outcome, record) = (load.end().await, images.end().await);
    let audit = world.audit(&outcome).await?;
    let lost = record.audit(glances[0].clone()).await?;
    let back = record.broken_histories(glances[0].clone()).await? + snapshots.back;
    Ok(Observed { apart, uploads, snapshots, done, outcome, audit, record, lost, back })
}

/// Replicas with wrong clocks, and the networks through which each nova-api-svc reaches glance-svc.
async fn start() -> anyhow::Result<(World, Vec<Proxy>)> {
    let clock = Clock::build()?;
    let mut world = World::start(0).await?;
    let mut networks = Vec::new();
    for ahead in AHEAD {
        let glance = world.glance_in(clock.environment(ahead).into())?;
        networks.push(Proxy::start(glance.address).await?);
        world.glance.push(glance);
    }
    let endpoints: Vec<_> = networks.iter().map(Proxy::endpoint).collect();
    for ahead in AHEAD {
        let more = ["--glance-timeout-ms", "1000"];
        let nova = world.nova_in(clock.environment(ahead).into(), &endpoints.join(","), &more)?;
        world.nova.push(nova);
    }
    // The library has been loaded by now.
    drop(clock);
    Ok((world, networks))
}

/// How many seconds the clocks are apart, judging by images that are registered at the same time.
async fn apart(world: &World) -> anyhow::Result<i64> {
    let mut times = Vec::new();
    for glance in &world.glance {
        let image = Image { name: "clock".into(), size: Some(1), ..Image::default() };
        let request = CreateImageRequest { image: Some(image) };
        let image = ImageServiceClient::new(glance.channel()?).create_image(request).await?.into_inner();
        times.push(image.create_time.map_or(0, |time| time.seconds));
    }
    Ok(times[0] - times[1])
}

/// Uploads an image, a part now and then, for this long.
async fn upload(channel: Channel, seconds: u64) -> Result<(), Status> {
    let mut images = ImageServiceClient::new(channel);
    let (disk_format, container_format) = ("raw".into(), "bare".into());
    let image = Image { name: "long".into(), disk_format, container_format, ..Image::default() };
    let image = images.create_image(CreateImageRequest { image: Some(image) }).await?.into_inner();
    let (send, parts) = mpsc::channel(1);
    let count = Duration::from_secs(seconds).as_millis() / PART.as_millis();
    tokio::spawn(async move {
        let mut ticks = interval(PART);
        for _ in 0..count {
            ticks.tick().await;
            let data = vec![7; 4096].into();
            let part = UploadImageDataRequest { image_id: image.id.clone(), data, ..Default::default() };
            if send.send(part).await.is_err() {
                break;
            }
        }
    });
    let uploaded = images.upload_image_data(ReceiverStream::new(parts)).await?.into_inner();
    let expected = i64::try_from(count * 4096).ok();
    if uploaded.size == expected { Ok(()) } else { Err(Status::data_loss(format!("{:?}", uploaded.size))) }
}

/// What became of snapshots.
struct Snapshots {
    count: usize,
    /// Minimum and maximum number of images with the same name.
    fewest: usize,
    most: usize,
    /// How many histories go backwards in time.
    back: usize,
}

/// Snapshots instances while answers of glance-svc are lost; either replica does the remaining jobs later.
async fn snapshots(world: &World, networks: &[Proxy]) -> anyhow::Result<Snapshots> {
    let clients = world.clients()?;
    let ids = running(&clients, &world.image().await?).await?;
    for network in networks {
        network.set(Weather::Unheard);
    }
    let mut asking = JoinSet::new();
    for (number, id) in ids.iter().enumerate() {
        let mut client = clients[number % 2].clone();
        let request = SnapshotInstanceRequest {
            id: id.clone(),
            name: format!("snapshot-{number}"),
            ..Default::default()
        };
        asking.spawn(async move { client.snapshot_instance(request).await.is_ok() });
    }
    sleep(Duration::from_secs(2)).await;
    for network in networks {
        network.set(Weather::Fair);
    }
    asking.join_all().await;
    anyhow::ensure!(world.comes_to_rest().await?, "jobs are left undone");
    let mut images = ImageServiceClient::new(world.glance[0].channel()?);
    let mut counts = Vec::new();
    for number in 0..ids.len() {
        let filter = format!("name = \"snapshot-{number}\"");
        let request = ListImagesRequest { filter, ..Default::default() };
        counts.push(images.list_images(request).await?.into_inner().images.len());
    }
    let mut back = 0;
    for id in &ids {
        back += usize::from(goes_back(&clients[0], id).await?);
    }
    let (fewest, most) = (counts.iter().min(), counts.iter().max());
    Ok(Snapshots {
        count: ids.len(),
        fewest: fewest.copied().unwrap_or(0),
        most: most.copied().unwrap_or(0),
        back,
    })
}

/// Creates instances through one replica, and reports through the other that they run; returns their ids.
async fn running(clients: &[InstanceServiceClient<Channel>], image_id: &str) -> anyhow::Result<Vec<String>> {
    let mut created = Vec::new();
    for _ in 0..SNAPSHOTS {
        let request = CreateInstanceRequest {
            name: "clock".to_owned(),
            image_id: image_id.to_owned(),
            flavor_id: "1".to_owned(),
            request_id: Id::random().to_string(),
            ..CreateInstanceRequest::default()
        };
        created.extend(clients[0].clone().create_instance(request).await?.into_inner().instances);
    }
    for instance in &created {
        let request = ReportInstanceStateRequest {
            id: instance.id.clone(),
            seen_state: instance.state,
            state: State::Active.into(),
            request_id: Id::random().to_string(),
            ..ReportInstanceStateRequest::default()
        };
        clients[1].clone().report_instance_state(request).await?;
    }
    Ok(created.into_iter().map(|instance| instance.id).collect())
}

/// Whether the history of an instance goes backwards in time, or begins before its creation.
async fn goes_back(client: &InstanceServiceClient<Channel>, id: &str) -> anyhow::Result<bool> {
    let mut client = client.clone();
    let request = GetInstanceHistoryRequest { id: id.to_owned(), ..Default::default() };
    let entries = client.get_instance_history(request).await?.into_inner().entries;
    let times = entries
        .iter()
        .rev()
        .map(|entry| entry.create_time.map(|time| (time.seconds, time.nanos)).unwrap_or_default());
    let instance = client.get_instance(GetInstanceRequest { id: id.to_owned() }).await?.into_inner();
    let seconds =
        [instance.create_time, instance.update_time].map(|time| time.map_or(0, |time| time.seconds));
    Ok(entries.len() < 3 || !times.is_sorted() || !seconds.is_sorted())
}
