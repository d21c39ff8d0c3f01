//! glance-svc: reads its configuration, opens its database, serves.

use std::io::Write as _;

use anyhow::Context as _;
use clap::Parser as _;
use common::{db::Db, server, telemetry};
use glance_svc::{
    config::{Command, Config},
    data::DataStore,
    image::properties::Quota,
    images::{Images, Limits},
    store::{MIGRATIONS, Store},
};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init();
    let config = Config::parse();
    let db = Db::open(&config.database_url, config.database_max_connections, &MIGRATIONS)?;
    if let Some(Command::Migrate) = config.command {
        db.migrate().await?;
        db.close().await;
        return Ok(());
    }
    db.migrate_or_wait().await?;
    let data = DataStore::open(&config.data_url).context("cannot open the data store")?;
    let limits = Limits { properties: Quota(config.image_property_quota), size: config.image_size_cap };
    let images = Images::new(Store::new(db.clone(), config.image_cache_bytes), data, limits);
    // Before anybody learns that it runs, and may want to stop it.
    let shutdown = server::shutdown_signal()?;
    let listener = TcpListener::bind(&config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    writeln!(std::io::stdout(), "glance-svc listening on {}", listener.local_addr()?)?;
    let sweeping = images.clone();
    tokio::spawn(async move { sweeping.sweep().await });
    let service = glance_svc::service(images, config.identity, config.public_endpoint.as_deref(), db);
    server::serve(listener, service, shutdown).await?;
    Ok(())
}
