//! nova-api-svc: the compute API.

use anyhow::Context as _;
use chassis::{
    background,
    program::Program,
    server::{Base, Service},
    sweep::Retention,
};
use mimalloc::MiMalloc;
use nova_api_svc::{
    compute::ComputeApi,
    config::Config,
    store::{MIGRATIONS, Store},
};

/// A quarter of the time of a page of images went into the C library's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const PROGRAM: Program = Program {
    name: "nova-api-svc",
    listen: "127.0.0.1:8774",
    database_url: "sqlite:nova.sqlite",
    migrations: &MIGRATIONS,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    PROGRAM.run(start).await
}

/// Prepares the clients of glance-svc and cinder-svc, and starts the sweeps and the jobs.
async fn start(config: Config, base: &Base) -> anyhow::Result<Service> {
    let retention = Retention::from(config.retention);
    let compute = ComputeApi {
        store: Store::new(base.db.clone()),
        glance: config.glance.client(base.options.keystone.clone()).context("glance-svc")?,
        cinder: config.cinder.client(base.options.keystone.clone()).context("cinder-svc")?,
        quota: config.quota.into(),
        name_template: config.multi_instance_display_name_template,
        compute: config.compute,
        non_inheritable: config.non_inheritable_image_properties,
    };
    let store = compute.store.clone();
    tokio::spawn(async move { background::keep("sweep", || store.sweep(retention)).await });
    let jobs = compute.clone();
    tokio::spawn(async move { background::keep("jobs", || jobs.do_jobs()).await });
    if compute.cinder.is_some() {
        let jobs = compute.clone();
        tokio::spawn(async move { background::keep("volume jobs", || jobs.do_volume_jobs()).await });
    }
    Ok(nova_api_svc::service(compute, base))
}
