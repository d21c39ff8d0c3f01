//! `CreateInstance` of a thousand in one call.

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
    let (watch, created) = (services.watch(bench)?, Arc::new(AtomicU64::new(0)));
    // Two calls keep both cores busy: while the client reads an answer, the services make the next.
    for in_flight in [1, 2] {
        let shape = bench.plan.shape(in_flight);
        let name = format!("{database}, {COUNT} in a call, {in_flight} in flight");
        let ours = async || create::create(shape, &watch, &services.instances, COUNT, &created).await;
        let runs = bench.repeat(ROW, &name, ours).await?;
        let rate = median_of(&runs, |run| run.per_second);
        let goal = Goal::AtLeast(20_000.0);
        bench.note(Finding::value(ROW, name, "instances/s", rate).with_runs(runs).with_goal(goal));
    }
    Ok(())
}
