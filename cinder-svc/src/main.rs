//! cinder-svc: volumes.

use anyhow::Context as _;
use chassis::{
    background,
    program::Program,
    server::{Base, Service},
    sweep::Retention,
};
use cinder_svc::{
    config::Config,
    storage::{QemuImg, StorageArg},
    store::{MIGRATIONS, Store},
    volumes::{VolumeApi, VolumeData},
};
use mimalloc::MiMalloc;

/// As in nova-api-svc: a quarter of the time of a page went into the C library's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const PROGRAM: Program = Program {
    name: "cinder-svc",
    listen: "127.0.0.1:8776",
    database_url: "sqlite:cinder.sqlite",
    migrations: &MIGRATIONS,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    PROGRAM.run(start).await
}

/// The data of volumes, if cinder-svc keeps it itself.
fn data(config: &Config, base: &Base) -> anyhow::Result<Option<VolumeData>> {
    let StorageArg::Directory(path) = &config.storage else { return Ok(None) };
    let data = VolumeData::open(path, base.db.clone()).context("the data of volumes")?;
    Ok(Some(match &config.qemu_img {
        Some(program) => data.with_qemu_img(QemuImg::find(program).context("--qemu-img")?),
        None => data,
    }))
}

/// Prepares the client of glance-svc, and starts the work in the background.
async fn start(config: Config, base: &Base) -> anyhow::Result<Service> {
    let retention = Retention::from(config.retention);
    let data = data(&config, base)?;
    let volumes = VolumeApi {
        store: Store::new(base.db.clone()),
        glance: config.glance.client(base.options.keystone.clone()).context("glance-svc")?,
        quota: config.quota.into(),
        default_volume_type: config.default_volume_type,
        availability_zones: config.availability_zones,
        storage: (&config.storage).into(),
        data,
    };
    let store = volumes.store.clone();
    tokio::spawn(async move { background::keep("sweep", || store.sweep(retention)).await });
    let leases = volumes.clone();
    tokio::spawn(async move { background::keep("leases", || leases.end_lapsed_reservations()).await });
    let sweeping = volumes.clone();
    tokio::spawn(async move { background::keep("data", || sweeping.sweep_data()).await });
    let working = volumes.clone();
    tokio::spawn(async move { background::keep("tasks", || working.do_tasks()).await });
    let jobs = volumes.clone();
    tokio::spawn(async move { background::keep("jobs", || jobs.do_jobs()).await });
    Ok(cinder_svc::service(volumes, config.public_endpoint.as_deref(), base))
}
