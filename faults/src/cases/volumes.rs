//! Volumes with data are made, copied by snapshots, attached and deleted while cinder-svc and glance-svc are killed.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use common::id::Id;
use proto::glance::v1::{UploadImageDataRequest, image_service_client::ImageServiceClient};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tokio::{task::JoinSet, time::sleep};

use super::{Case, PATIENCE};
use crate::{
    table::Table,
    world::{Environment, Replica, World, register_without_data},
};

mod audit;
mod client;

use audit::Audit;
use client::{Client, Ledger, entries};

/// Number of clients.
const CLIENTS: usize = 8;

/// Size of the image's data, in bytes.
const DATA: usize = 1 << 20;

/// How long tasks may take to end: those of a process that was killed when their lease has expired.
const REST: Duration = Duration::from_mins(2);

pub(super) async fn run(times: usize, table: &mut Table) -> anyhow::Result<()> {
    let mut world = World::start(1).await?;
    let temporary = TempDir::new()?;
    let folder: PathBuf = temporary.path().join("volumes");
    let mut cinder = start(&world, &folder).await?;
    let image_id = image(&world).await?;
    let (ledger, is_over) = (Arc::<Mutex<Ledger>>::default(), Arc::<AtomicBool>::default());
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (channel, image_id, ledger) = (cinder.channel()?, image_id.clone(), Arc::clone(&ledger));
        clients.spawn(Client { channel, image_id, ledger }.run(Arc::clone(&is_over)));
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
    let audit = Audit::new(&world.url("cinder"), &folder, &ledger).await?;
    note(times, &ledger, &audit, is_at_rest, table);
    Ok(())
}

fn note(times: usize, ledger: &Mutex<Ledger>, audit: &Audit, is_at_rest: bool, table: &mut Table) {
    let ledger = entries(ledger);
    let made = |kept: &client::Kept| (kept.kept.len() + kept.deleted.len(), kept.deleted.len());
    let ((volumes, deleted), (snapshots, gone)) = (made(&ledger.volumes), made(&ledger.snapshots));
    let Audit { missing, twice, half, attached, astray } = audit;
    table.note(
        Case::Volumes,
        format!(
            "{times} × SIGKILL at random, {volumes} volumes created, {deleted} of them deleted, {snapshots} snapshots \
             taken, {gone} of them deleted, {} attachments, {} in ERROR: {missing} missing, {twice} twice, {half} half, \
             {attached} attachments left, {astray} data astray",
            ledger.attached, ledger.in_error
        ),
        "everything acknowledged holds; no volume or snapshot without its record or its data, no data without one, no \
         attachment left",
        is_at_rest && deleted > 0 && gone > 0 && ledger.attached > 0 && audit.is_clean(),
    );
}

/// cinder-svc with a database and a folder of its own.
async fn start(world: &World, folder: &Path) -> anyhow::Result<Replica> {
    let mut connection = PgConnection::connect(&world.url("postgres")).await?;
    connection.execute("CREATE DATABASE cinder").await?;
    let storage = format!("dir:{}", folder.display());
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

/// Waits until a client has had more acknowledged.
async fn go_on(ledger: &Mutex<Ledger>) -> anyhow::Result<()> {
    let count = || {
        let ledger = entries(ledger);
        ledger.volumes.count() + ledger.snapshots.count() + ledger.attached
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
                         + (SELECT COUNT(*) FROM snapshots WHERE status IN ('creating', 'deleting')) \
                         + (SELECT COUNT(*) FROM volume_data WHERE state <> 'stored')";
        if sqlx::query_scalar::<_, i64>(left).fetch_one(&mut connection).await? == 0 {
            return Ok(true);
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(false)
}
