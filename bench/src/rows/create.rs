//! `CreateInstance`, compared with a database that writes one row per entry of system metadata.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context as _, ensure};
use harness::service::Service;
use proto::nova::v1::{CreateInstanceRequest, Instance};

use super::get_image;
use crate::{
    bench::{Bench, Case},
    ceiling::{
        pgbench::Pgbench,
        row_per_key::{self, Sqlite},
    },
    database,
    figures::Run,
    load::{Shape, drive},
    process::Watch,
    sample,
    world::{self, Instances},
};

/// The two services, and clients of nova-api-svc.
pub(super) struct Services {
    pub(super) glance: Service,
    pub(super) nova: Service,
    pub(super) instances: Instances,
}

/// The services on two databases, with `images` images.
pub(super) async fn services(
    bench: &Bench,
    glance_url: &str,
    nova_url: &str,
    images: usize,
) -> anyhow::Result<Services> {
    let glance = bench.world.glance(glance_url)?;
    get_image::fill(&world::images(&glance).await?, images).await?;
    let nova = crate::world::World::nova(nova_url, &glance)?;
    let instances = world::instances(&nova).await?;
    Ok(Services { glance, nova, instances })
}

impl Services {
    /// The processes to watch while instances are created.
    pub(super) fn watch(&self, bench: &Bench) -> anyhow::Result<Watch> {
        bench.world.watch(&[("glance-svc", &self.glance), ("nova-api-svc", &self.nova)])
    }
}

pub(super) async fn postgres(bench: &mut Bench) -> anyhow::Result<()> {
    let glance = bench.world.database("create_glance").await?;
    let nova = bench.world.database("create_nova").await?;
    let baseline = bench.world.database("create_row_per_key").await?;
    let services = services(bench, &glance, &nova, 1).await?;
    let first = create_one(&services.instances, 1).await?;
    let mut connection = database::connect(&baseline).await?;
    database::execute(&mut connection, row_per_key::POSTGRES.to_owned()).await?;
    let pgbench =
        Pgbench::new(&row_per_key::script(&first.system_metadata), &baseline, bench.world.server()?)?;
    let (watch, created) = (services.watch(bench)?, Arc::new(AtomicU64::new(1)));
    for (in_flight, goal) in [(1, None), (16, Some(1.5)), (64, Some(2.0))] {
        let shape = bench.plan.shape(in_flight);
        let case = Case {
            row: "create_instance",
            name: format!("PostgreSQL, {in_flight} in flight"),
            unit: "instances/s",
            ceiling: "pgbench, a row per key",
            goal,
        };
        let ours = async || create(shape, &watch, &services.instances, 1, &created).await;
        bench.compare(case, ours, async || pgbench.run(shape).await).await?;
    }
    let mut connection = database::connect(&nova).await?;
    let recorded = u64::try_from(database::count_instances(&mut connection).await?)?;
    let created = created.load(Ordering::SeqCst);
    ensure!(recorded == created, "{created} instances were acknowledged, {recorded} are recorded");
    Ok(())
}

pub(super) async fn sqlite(bench: &mut Bench) -> anyhow::Result<()> {
    let glance = bench.world.sqlite("create_glance.sqlite");
    let file = bench.world.file("create_nova.sqlite");
    let services = services(bench, &glance, &bench.world.sqlite("create_nova.sqlite"), 1).await?;
    let first = create_one(&services.instances, 1).await?;
    let ceiling = Sqlite::create(&bench.world.file("row_per_key.sqlite"), &first.system_metadata).await?;
    let (watch, created) = (services.watch(bench)?, Arc::new(AtomicU64::new(1)));
    let shape = bench.plan.shape(64);
    let case = Case {
        row: "create_instance_sqlite",
        name: "SQLite, 64 in flight".to_owned(),
        unit: "instances/s",
        ceiling: "the same file format, a row per key",
        goal: Some(2.0),
    };
    let ours = async || create(shape, &watch, &services.instances, 1, &created).await;
    bench.compare(case, ours, async || ceiling.run(shape).await).await?;
    let mut connection = database::connect_sqlite(&file).await?;
    let recorded: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM instances").fetch_one(&mut connection).await?;
    let created = created.load(Ordering::SeqCst);
    ensure!(
        u64::try_from(recorded)? == created,
        "{created} instances were acknowledged, {recorded} are recorded"
    );
    Ok(())
}

/// A request for `count` instances of image number `image`.
pub(super) fn request(image: usize, count: i32) -> CreateInstanceRequest {
    CreateInstanceRequest {
        name: "web".to_owned(),
        image_id: sample::image_id(image),
        flavor_id: sample::FLAVOR.to_owned(),
        min_count: count,
        ..Default::default()
    }
}

/// Creates one instance, and returns it.
pub(super) async fn create_one(instances: &Instances, image: usize) -> anyhow::Result<Instance> {
    let answer = instances.of(0).create_instance(request(image, 1)).await?.into_inner();
    answer.instances.into_iter().next().context("one instance was asked for")
}

/// Creates instances of image 1, `count` with each request, and adds up in `created` what was acknowledged.
pub(super) async fn create(
    shape: Shape,
    watch: &Watch,
    instances: &Instances,
    count: i32,
    created: &Arc<AtomicU64>,
) -> anyhow::Result<Run> {
    let (instances, created) = (instances.clone(), Arc::clone(created));
    let run = drive(shape, watch, move |turn| {
        let (mut instances, created) = (instances.of(turn.worker), Arc::clone(&created));
        async move {
            let answer = instances.create_instance(request(1, count)).await?.into_inner();
            ensure!(answer.instances.len() == usize::try_from(count)?, "the wrong number of instances");
            ensure!(count > 1 || is_complete(&answer.instances[0].system_metadata), "metadata is missing");
            created.fetch_add(u64::try_from(count)?, Ordering::SeqCst);
            Ok(())
        }
    })
    .await?;
    Ok(Run { per_second: run.per_second * f64::from(count), ..run })
}

/// Whether there is an entry for each property of the image at least.
fn is_complete(system_metadata: &BTreeMap<String, String>) -> bool {
    system_metadata.len() >= sample::PROPERTIES && system_metadata.contains_key("image_hw_disk_bus")
}
