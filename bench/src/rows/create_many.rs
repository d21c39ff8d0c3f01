//! `CreateInstance` of a thousand in one call, one call after the other.

use std::sync::{Arc, atomic::AtomicU64};

use super::create;
use crate::{
    bench::Bench,
    figures::{Finding, Goal, median_of},
};

const ROW: &str = "create_1000";

/// Instances of a call.
const COUNT: i32 = 1_000;

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let glance = bench.world.database("many_glance").await?;
    let nova = bench.world.database("many_nova").await?;
    on(bench, "PostgreSQL", &glance, &nova).await?;
    let (glance, nova) = (bench.world.sqlite("many_glance.sqlite"), bench.world.sqlite("many_nova.sqlite"));
    on(bench, "SQLite", &glance, &nova).await
}

async fn on(bench: &mut Bench, database: &str, glance: &str, nova: &str) -> anyhow::Result<()> {
    let services = create::services(bench, glance, nova, 1).await?;
    let (watch, shape, created) = (services.watch(bench)?, bench.plan.shape(1), Arc::new(AtomicU64::new(0)));
    let name = format!("{database}, {COUNT} in a call");
    let ours = async || create::create(shape, &watch, &services.instances, COUNT, &created).await;
    let runs = bench.repeat(ROW, &name, ours).await?;
    let rate = median_of(&runs, |run| run.per_second);
    bench.note(
        Finding::value(ROW, name, "instances/s", rate).with_runs(runs).with_goal(Goal::AtLeast(20_000.0)),
    );
    Ok(())
}
