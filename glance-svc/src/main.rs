//! glance-svc: the image catalogue.

use anyhow::Context as _;
use chassis::{
    background,
    program::Program,
    server::{Base, Service},
};
use glance_svc::{
    config::Config,
    data::DataStore,
    image::properties::Quota,
    images::{ImageLimits, Images},
    store::{MIGRATIONS, Store},
};
use mimalloc::MiMalloc;

/// A quarter of the time of a page of images went into the C library's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const PROGRAM: Program = Program {
    name: "glance-svc",
    listen: "127.0.0.1:9292",
    database_url: "sqlite:glance.sqlite",
    migrations: &MIGRATIONS,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    PROGRAM.run(start).await
}

/// Opens the data store, and begins to sweep.
async fn start(config: Config, base: &Base) -> anyhow::Result<Service> {
    let data = DataStore::open(&config.data_url).context("cannot open the data store")?;
    let limits = ImageLimits { properties: Quota(config.image_property_quota), size: config.image_size_cap };
    let store = Store::new(base.db.clone(), config.image_cache_bytes);
    let images = Images::new(store, data, limits).with_memory(base.options.limits.memory());
    let sweeping = images.clone();
    tokio::spawn(async move { background::keep("sweep", || sweeping.sweep()).await });
    Ok(glance_svc::service(images, config.public_endpoint.as_deref(), base))
}
