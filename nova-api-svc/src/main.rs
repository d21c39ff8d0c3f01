//! nova-api-svc: reads its configuration, opens its database, serves.

use anyhow::Context as _;
use chassis::{
    background,
    db::Db,
    server::{self, Listeners},
    telemetry,
};
use clap::Parser as _;
use mimalloc::MiMalloc;
use nova_api_svc::{
    config::{Command, Config},
    grpc,
    operations::Operations,
    pipeline::Pipeline,
    store::{MIGRATIONS, Store},
};
use peers::glance::Glance;

/// A quarter of the time of a page of images went into the C library's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let _telemetry = telemetry::init(&config.telemetry, "nova-api-svc").context("cannot send traces")?;
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
    let (store, retention) = (Store::new(db.clone()), config.retention());
    let pipeline = Pipeline {
        glance: Glance::new(
            &config.glance_endpoint,
            config.glance_timeout(),
            config.glance_tls()?.as_ref(),
            options.keystone.clone(),
        )
        .with_context(|| format!("glance endpoint {:?}", config.glance_endpoint))?,
        store: store.clone(),
        quota: config.quota.into(),
        template: config.multi_instance_display_name_template,
        compute: config.compute,
    };
    let operations = Operations { pipeline, non_inheritable: config.non_inheritable_image_properties };
    // Before anybody learns that it runs, and may want to stop it.
    let shutdown = server::shutdown_signal()?;
    let listeners = Listeners::bind(&config.listen, config.server.admin_listen.as_deref()).await?;
    config.identity.check(listeners.public.local_addr()?, config.server.allow_remote_development)?;
    listeners.announce("nova-api-svc")?;
    tokio::spawn(async move { background::keep("sweep", || store.sweep(retention)).await });
    let done_later = operations.clone();
    tokio::spawn(async move { background::keep("jobs", || done_later.do_jobs()).await });
    let service = grpc::service(operations, config.identity, &options.limits, db);
    server::serve(listeners, service, options, shutdown).await?;
    Ok(())
}
