//! nova-api-svc: reads its configuration, opens its database, serves.

use std::io::Write as _;

use anyhow::Context as _;
use clap::Parser as _;
use common::{db::Db, server, telemetry};
use nova_api_svc::{
    config::{Command, Config},
    glance::Glance,
    grpc,
    operations::Operations,
    pipeline::Pipeline,
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
    let (store, kept) = (Store::new(db.clone()), config.deleted_history());
    let pipeline = Pipeline {
        glance: Glance::new(&config.glance_endpoint, config.glance_timeout())
            .with_context(|| format!("glance endpoint {:?}", config.glance_endpoint))?,
        store: store.clone(),
        quota: config.quota.into(),
        template: config.multi_instance_display_name_template,
        compute: config.compute,
    };
    let operations = Operations { pipeline, left_out: config.non_inheritable_image_properties };
    // Before anybody learns that it runs, and may want to stop it.
    let shutdown = server::shutdown_signal()?;
    let listener = TcpListener::bind(&config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    writeln!(std::io::stdout(), "nova-api-svc listening on {}", listener.local_addr()?)?;
    tokio::spawn(async move { store.sweep(kept).await });
    let done_later = operations.clone();
    tokio::spawn(async move { done_later.do_jobs().await });
    server::serve(listener, grpc::service(operations, config.identity, db), shutdown).await?;
    Ok(())
}
