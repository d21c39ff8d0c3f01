//! glance-svc: reads its configuration, opens its database, serves.

use anyhow::Context as _;
use chassis::{
    background,
    db::Db,
    server::{self, Listeners},
    telemetry,
};
use clap::Parser as _;
use glance_svc::{
    EdgeOptions,
    config::{Command, Config},
    data::DataStore,
    image::properties::Quota,
    images::{ImageLimits, Images},
    store::{MIGRATIONS, Store},
};
use mimalloc::MiMalloc;

/// A quarter of the time of a page of images went into the C library's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let _telemetry = telemetry::init(&config.telemetry, "glance-svc").context("cannot send traces")?;
    let mut options = config.server.options().context("TLS")?;
    let db = Db::open(&config.database_url, config.database_max_connections, &MIGRATIONS)?;
    if let Some(Command::Migrate) = config.command {
        db.migrate().await?;
        db.close().await;
        return Ok(());
    }
    options.keystone = config.keystone.open(config.identity).context("Keystone")?;
    if config.skip_migrations {
        db.skip_migrations();
    }
    db.migrate_or_wait().await?;
    let data = DataStore::open(&config.data_url).context("cannot open the data store")?;
    let limits = ImageLimits { properties: Quota(config.image_property_quota), size: config.image_size_cap };
    let images = Images::new(Store::new(db.clone(), config.image_cache_bytes), data, limits)
        .sharing(options.limits.memory());
    // Before anybody learns that it runs, and may want to stop it.
    let shutdown = server::shutdown_signal()?;
    let listeners = Listeners::bind(&config.listen, config.server.admin_listen.as_deref()).await?;
    config.identity.check(listeners.public.local_addr()?, config.server.allow_remote_development)?;
    listeners.announce("glance-svc")?;
    let sweeping = images.clone();
    tokio::spawn(async move { background::keep("sweep", || sweeping.sweep()).await });
    let edge = EdgeOptions {
        identity: config.identity,
        public_endpoint: config.public_endpoint.as_deref(),
        message: options.limits.message,
    };
    let service = glance_svc::service(images, edge, db);
    server::serve(listeners, service, options, shutdown).await?;
    Ok(())
}
