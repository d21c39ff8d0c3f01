//! The primary is gone for good. The database's name points to the standby before that is promoted.

use std::time::Duration;

use harness::postgres::Cluster;
use tokio::time::sleep;

use super::{Case, goes_on, under_load_in};
use crate::{proxy::Proxy, table::Table, world::World};

/// How long the standby stays read-only.
const READ_ONLY: Duration = Duration::from_secs(3);

pub(super) async fn run(table: &mut Table) -> anyhow::Result<()> {
    let primary = Cluster::start_durable()?;
    let standby = primary.standby()?;
    let front = Proxy::start(([127, 0, 0, 1], primary.port()).into()).await?;
    let world = World::start_on(primary, Some(front.clone()), 1).await?;
    let (mut world, load) = under_load_in(world).await?;
    anyhow::ensure!(goes_on(&load, 100).await.is_some(), "there is no load");
    let before = [world.nova[0].service.pid(), world.glance[0].service.pid()];

    world.cluster.kill()?;
    front.lead_to(standby.port());
    sleep(READ_ONLY).await;
    let was_ready = world.nova[0].is_ready() || world.glance[0].is_ready();
    standby.promote()?;
    let back = goes_on(&load, load.ledger.count()).await;
    let is_ready = world.nova[0].is_ready();
    let failed_at = load.ledger.outcome().failures();
    // Every session that remains from before would fail once more.
    anyhow::ensure!(goes_on(&load, load.ledger.count() + 200).await.is_some(), "the load does not continue");
    let outcome = load.end().await;
    let later = outcome.failures() - failed_at;
    world.cluster = standby;
    let audit = world.audit(&outcome).await?;
    let after = [world.nova[0].service.pid(), world.glance[0].service.pid()];
    let recovered = back.map_or_else(|| "never".to_owned(), |back| format!("{:.2} s", back.as_secs_f64()));
    table.note(
        Case::Failover,
        format!(
            "creates work again {recovered} after the standby was promoted, {later} failed after that; {} acknowledged: {audit}",
            outcome.acknowledged.len()
        ),
        "within 5 s, without restarting our services, not ready before, nothing lost",
        back.is_some_and(|back| back <= Duration::from_secs(5))
            && audit.is_clean()
            && before == after
            && !was_ready
            && is_ready,
    );
    Ok(())
}
