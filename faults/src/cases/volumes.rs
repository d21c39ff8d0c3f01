//! Volumes with data are made, reserved and deleted while cinder-svc and glance-svc are killed.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use common::id::Id;
use proto::{
    cinder::v1::{
        CreateAttachmentRequest, CreateVolumeRequest, DeleteAttachmentRequest, DeleteVolumeRequest,
        GetVolumeRequest, Volume, attachment_service_client::AttachmentServiceClient,
        create_volume_request::Source, volume::Status as VolumeStatus,
        volume_service_client::VolumeServiceClient,
    },
    glance::v1::{UploadImageDataRequest, image_service_client::ImageServiceClient},
};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tokio::{task::JoinSet, time::sleep};
use tonic::{Code, Response, Status, transport::Channel};

use super::{Case, PATIENCE, insist};
use crate::{
    table::Table,
    world::{Environment, Replica, World, register_without_data},
};

/// Number of clients.
const CLIENTS: usize = 8;

/// Size of the image's data, in bytes.
const DATA: usize = 1 << 20;

/// How long tasks may take to end: those of a process that was killed when their lease has expired.
const REST: Duration = Duration::from_mins(2);

/// What was acknowledged to clients: the volumes that must be there, and those that must not.
#[derive(Debug, Default)]
struct Ledger {
    kept: BTreeSet<String>,
    deleted: BTreeSet<String>,
    /// Whose data could not be made, since the process was killed.
    in_error: usize,
}

/// How database and folder differ from what was acknowledged.
#[derive(Debug)]
struct Audit {
    missing: usize,
    twice: usize,
    /// Without what they remember, without data, or not settled.
    half: i64,
    reserved: i64,
    /// Data without a row, and rows without data.
    astray: usize,
}

pub(super) async fn run(times: usize, table: &mut Table) -> anyhow::Result<()> {
    let mut world = World::start(1).await?;
    let folder = TempDir::new()?;
    let mut cinder = start(&world, &folder).await?;
    let image_id = image(&world).await?;
    let (ledger, is_over) = (Arc::<Mutex<Ledger>>::default(), Arc::<AtomicBool>::default());
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let channel = cinder.channel()?;
        clients.spawn(client(channel, image_id.clone(), Arc::clone(&ledger), Arc::clone(&is_over)));
    }
    for number in 0..times {
        let random = u64::try_from(Id::random().as_uuid().as_u128() % 300)?;
        sleep(Duration::from_millis(random)).await;
        let replica = if number % 4 == 3 { &mut world.glance[0] } else { &mut cinder };
        tokio::task::block_in_place(|| replica.crash())?;
        go_on(&ledger).await?;
    }
    is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    let is_at_rest = comes_to_rest(&world).await?;
    let audit = audit(&world, &folder, &ledger).await?;
    let Audit { missing, twice, half, reserved, astray } = audit;
    let (kept, deleted, in_error) = {
        let ledger = entries(&ledger);
        (ledger.kept.len(), ledger.deleted.len(), ledger.in_error)
    };
    table.note(
        Case::Volumes,
        format!(
            "{times} × SIGKILL at random, {} volumes created, {deleted} of them deleted, {in_error} in ERROR: {missing} \
             missing, {twice} twice, {half} half, {reserved} reservations left, {astray} data astray",
            kept + deleted
        ),
        "everything acknowledged holds; no volume without its record or its data, no data without a volume, no \
         reservation left",
        is_at_rest && deleted > 0 && missing + twice + astray == 0 && half + reserved == 0,
    );
    Ok(())
}

/// cinder-svc with a database and a folder of its own.
async fn start(world: &World, folder: &TempDir) -> anyhow::Result<Replica> {
    let mut connection = PgConnection::connect(&world.url("postgres")).await?;
    connection.execute("CREATE DATABASE cinder").await?;
    let storage = format!("dir:{}", folder.path().join("volumes").display());
    let database = world.url("cinder");
    let arguments =
        ["--database-url", &database, "--glance-endpoint", &world.glances(), "--storage", &storage];
    Replica::start_in(Environment::new(), "cinder-svc", arguments.map(str::to_owned).into())
}

/// An image with properties and data.
async fn image(world: &World) -> anyhow::Result<String> {
    let image_id = register_without_data(&world.glance[0]).await?;
    let data = UploadImageDataRequest { image_id: image_id.clone(), size: None, data: vec![7; DATA].into() };
    let mut images = ImageServiceClient::new(world.glance[0].channel()?);
    images.upload_image_data(tokio_stream::once(data)).await?;
    Ok(image_id)
}

/// Makes volumes until the load is over: each is reserved, and the reservation ended; three of four are deleted.
async fn client(
    channel: Channel,
    image_id: String,
    ledger: Arc<Mutex<Ledger>>,
    is_over: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    let volumes = VolumeServiceClient::new(channel.clone());
    for number in 0_usize.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let id = create(&volumes, &image_id).await?.id;
        entries(&ledger).kept.insert(id.clone());
        let volume = settled(&volumes, &id).await?;
        if volume.status() == VolumeStatus::Available {
            reserve_for_a_moment(&channel, &id).await?;
        } else {
            entries(&ledger).in_error += 1;
        }
        if number % 4 != 0 {
            delete(&volumes, &id).await?;
            let mut ledger = entries(&ledger);
            ledger.kept.remove(&id);
            ledger.deleted.insert(id);
        }
    }
    Ok(())
}

async fn create(volumes: &VolumeServiceClient<Channel>, image_id: &str) -> anyhow::Result<Volume> {
    let request = CreateVolumeRequest {
        name: "fault".to_owned(),
        source: Some(Source::ImageId(image_id.to_owned())),
        request_id: Id::random().to_string(),
        ..CreateVolumeRequest::default()
    };
    insist(|| {
        let (mut volumes, request) = (volumes.clone(), request.clone());
        async move { volumes.create_volume(request).await }
    })
    .await
}

/// The volume once nothing is done with it.
async fn settled(volumes: &VolumeServiceClient<Channel>, id: &str) -> anyhow::Result<Volume> {
    let since = Instant::now();
    loop {
        let volume = insist(|| {
            let (mut volumes, request) =
                (volumes.clone(), GetVolumeRequest { id: id.to_owned(), revision: 0 });
            async move { volumes.get_volume(request).await }
        })
        .await?;
        if volume.task.is_none() {
            return Ok(volume);
        }
        anyhow::ensure!(since.elapsed() < REST, "the task of volume {id} does not end");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn reserve_for_a_moment(channel: &Channel, id: &str) -> anyhow::Result<()> {
    let attachments = AttachmentServiceClient::new(channel.clone());
    let request = CreateAttachmentRequest {
        volume_id: id.to_owned(),
        request_id: Id::random().to_string(),
        ..CreateAttachmentRequest::default()
    };
    let attachment = insist(|| {
        let (mut attachments, request) = (attachments.clone(), request.clone());
        async move { attachments.create_attachment(request).await }
    })
    .await?;
    insist(|| {
        let request = DeleteAttachmentRequest { id: attachment.id.clone(), etag: String::new() };
        let mut attachments = attachments.clone();
        async move { or_gone(attachments.delete_attachment(request).await) }
    })
    .await
}

async fn delete(volumes: &VolumeServiceClient<Channel>, id: &str) -> anyhow::Result<()> {
    let request_id = Id::random().to_string();
    insist(|| {
        let request = DeleteVolumeRequest {
            id: id.to_owned(),
            request_id: request_id.clone(),
            ..DeleteVolumeRequest::default()
        };
        let mut volumes = volumes.clone();
        async move { or_gone(volumes.delete_volume(request).await) }
    })
    .await
}

/// What an earlier try has deleted is gone.
fn or_gone(answer: Result<Response<()>, Status>) -> Result<Response<()>, Status> {
    match answer {
        Err(status) if status.code() == Code::NotFound => Ok(Response::new(())),
        answer => answer,
    }
}

/// Waits until a client has had more acknowledged.
async fn go_on(ledger: &Mutex<Ledger>) -> anyhow::Result<()> {
    let count = || {
        let ledger = entries(ledger);
        ledger.kept.len() + 2 * ledger.deleted.len()
    };
    let (before, since) = (count(), Instant::now());
    while count() == before {
        anyhow::ensure!(since.elapsed() < PATIENCE, "the load does not continue after a crash");
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Waits until no task and no data to be removed is left; returns whether that took not too long.
async fn comes_to_rest(world: &World) -> anyhow::Result<bool> {
    let mut connection = PgConnection::connect(&world.url("cinder")).await?;
    let since = Instant::now();
    while since.elapsed() < REST {
        let left = "SELECT (SELECT COUNT(*) FROM volume_tasks) \
                         + (SELECT COUNT(*) FROM volume_data WHERE state <> 'stored')";
        if sqlx::query_scalar::<_, i64>(left).fetch_one(&mut connection).await? == 0 {
            return Ok(true);
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(false)
}

/// Compares database and folder with what was acknowledged.
async fn audit(world: &World, folder: &TempDir, ledger: &Mutex<Ledger>) -> anyhow::Result<Audit> {
    let mut connection = PgConnection::connect(&world.url("cinder")).await?;
    let ids = "SELECT id::text FROM volumes";
    let there: BTreeSet<String> =
        sqlx::query_scalar(ids).fetch_all(&mut connection).await?.into_iter().collect();
    let half = "SELECT COUNT(*) FROM volumes v WHERE \
                (SELECT COUNT(*) FROM volume_image_properties p WHERE p.volume_id = v.id) < 30 \
                OR v.status NOT IN ('available', 'error') OR (v.status = 'available') <> (v.data_id IS NOT NULL)";
    let half = sqlx::query_scalar(half).fetch_one(&mut connection).await?;
    let reserved = "SELECT COUNT(*) FROM attachments";
    let reserved = sqlx::query_scalar(reserved).fetch_one(&mut connection).await?;
    let rows: BTreeSet<String> = sqlx::query_scalar("SELECT id::text FROM volume_data")
        .fetch_all(&mut connection)
        .await?
        .into_iter()
        .collect();
    let mut data = BTreeSet::new();
    for entry in fs::read_dir(folder.path().join("volumes"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // The marker is not data.
        if name.parse::<Id>().is_ok() {
            data.insert(name);
        }
    }
    let ledger = entries(ledger);
    Ok(Audit {
        missing: ledger.kept.difference(&there).count() + ledger.deleted.intersection(&there).count(),
        twice: there.difference(&ledger.kept).filter(|id| !ledger.deleted.contains(*id)).count(),
        half,
        reserved,
        astray: rows.symmetric_difference(&data).count(),
    })
}

fn entries(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
