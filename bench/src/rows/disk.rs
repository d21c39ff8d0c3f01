//! Bytes on disk per instance, compared with one row per entry of system metadata.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use sqlx::PgConnection;

use super::create;
use crate::{
    bench::Bench,
    ceiling::{
        pgbench::Pgbench,
        row_per_key::{self, Sqlite},
    },
    database,
    figures::{Finding, Goal},
    world::Instances,
};

const ROW: &str = "disk";

/// Instances created at a time.
const IN_FLIGHT: usize = 16;

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    postgres(bench).await?;
    sqlite(bench).await
}

async fn postgres(bench: &mut Bench) -> anyhow::Result<()> {
    bench.progress.step("disk · PostgreSQL");
    let glance = bench.world.database("disk_glance").await?;
    let nova = bench.world.database("disk_nova").await?;
    let baseline = bench.world.database("disk_row_per_key").await?;
    let services = create::services(bench, &glance, &nova, 1).await?;
    let first = create::create_one(&services.instances, 1).await?;

    let mut connection = database::connect(&nova).await?;
    let count = bench.plan.disk_instances;
    let before = Size::of(&mut connection).await?;
    create_exactly(&services.instances, count).await?;
    let ours = Size::of(&mut connection).await?.each_since(&before);

    let mut connection = database::connect(&baseline).await?;
    database::execute(&mut connection, row_per_key::POSTGRES.to_owned()).await?;
    let before = Size::of(&mut connection).await?;
    let script = row_per_key::script(&first.system_metadata);
    Pgbench::new(&script, &baseline, bench.world.server()?)?.times(IN_FLIGHT, count).await?;
    let row_per_key = Size::of(&mut connection).await?.each_since(&before);
    note(bench, "PostgreSQL", ours, row_per_key);
    Ok(())
}

async fn sqlite(bench: &mut Bench) -> anyhow::Result<()> {
    bench.progress.step("disk · SQLite");
    let (glance, nova) = (bench.world.sqlite("disk_glance.sqlite"), bench.world.sqlite("disk_nova.sqlite"));
    let services = create::services(bench, &glance, &nova, 1).await?;
    let first = create::create_one(&services.instances, 1).await?;
    let (file, count) = (bench.world.file("disk_nova.sqlite"), bench.plan.disk_instances);
    let before = database::sqlite_size(&file).await?;
    create_exactly(&services.instances, count).await?;
    let ours = each(before, database::sqlite_size(&file).await?, count);

    let file = bench.world.file("disk_row_per_key.sqlite");
    let ceiling = Sqlite::create(&file, &first.system_metadata).await?;
    let before = database::sqlite_size(&file).await?;
    ceiling.times(count).await?;
    let row_per_key = each(before, database::sqlite_size(&file).await?, count);
    note(bench, "SQLite", ours, row_per_key);
    Ok(())
}

fn note(bench: &mut Bench, database: &str, ours: f64, row_per_key: f64) {
    let finding = Finding::value(ROW, database, "bytes/instance", ours);
    bench.note(finding.against("a row per key", row_per_key).with_goal(Goal::RatioAtMost(0.1)));
}

/// How large a database is, and how many instances it has.
struct Size {
    bytes: i64,
    instances: i64,
}

impl Size {
    async fn of(connection: &mut PgConnection) -> anyhow::Result<Self> {
        let bytes = database::size(connection).await?;
        Ok(Self { bytes, instances: database::count_instances(connection).await? })
    }

    #[expect(clippy::cast_precision_loss, reason = "sizes of a benchmark are far below 2^52")]
    fn each_since(&self, before: &Self) -> f64 {
        (self.bytes - before.bytes) as f64 / (self.instances - before.instances) as f64
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes of a benchmark are far below 2^52")]
fn each(before: u64, after: u64, count: usize) -> f64 {
    (after - before) as f64 / count as f64
}

/// Creates `count` instances, each with a request of its own.
async fn create_exactly(instances: &Instances, count: usize) -> anyhow::Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..IN_FLIGHT {
        let (mut instances, next) = (instances.of(worker), Arc::clone(&next));
        workers.spawn(async move {
            while next.fetch_add(1, Ordering::SeqCst) < count {
                instances.create_instance(create::request(1, 1)).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(())
}
