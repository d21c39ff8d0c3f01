//! Ten times the load that can be served.

use std::time::Duration;

use tokio::time::sleep;

use super::{Case, DEADLINE, in_turn, per_second};
use crate::{
    load::{Load, Shape},
    table::Table,
    world::World,
};

/// Requests in flight at which throughput peaks.
const CLIENTS: usize = 64;

/// Maximum growth that counts as flat memory, in bytes.
const FLAT: u64 = 64 << 20;

/// How long the peak is measured.
const PEAK: Duration = Duration::from_secs(15);

pub(super) async fn run(is_quick: bool, table: &mut Table) -> anyhow::Result<()> {
    let seconds = if is_quick { 5 } else { 60 };
    // With the usual limits, every request gets its turn; with narrow ones, half of them are refused.
    tenfold(&[], "limits as usual", seconds, is_quick, table).await?;
    let narrow = ["--max-in-flight", "128", "--max-queued", "192", "--max-queue-ms", "300"];
    tenfold(&narrow, "128 let in, 192 wait", seconds, is_quick, table).await
}

async fn tenfold(
    limits: &[&str],
    name: &str,
    seconds: u64,
    is_quick: bool,
    table: &mut Table,
) -> anyhow::Result<()> {
    let mut world = World::start(1).await?;
    world.add_nova(&world.glances(), limits)?;
    let image_id = world.image().await?;
    let usual = Shape { clients: CLIENTS, is_patient: true, ..Shape::modest(image_id, DEADLINE) };
    let peak = goodput(&world, &usual, if is_quick { PEAK / 3 } else { PEAK }).await?;
    let nova = &world.nova[0].service;
    let before = nova.memory()?;
    let tenfold = Shape { clients: 10 * CLIENTS, ..usual };
    let load = Load::start(&tenfold, &in_turn(connections(&world, 10)?));
    let mut most = before;
    for _ in 0..seconds {
        sleep(Duration::from_secs(1)).await;
        most = most.max(nova.memory()?);
    }
    // Requests that are answered while the load stops do not count.
    let reached = per_second(load.ledger.count(), Duration::from_secs(seconds));
    let outcome = load.end().await;
    let (share, grown) = (reached / peak, most.saturating_sub(before) >> 20);
    table.note(
        Case::Overload,
        format!(
            "{name}: {reached:.0} creates/s with 640 in flight, {peak:.0} with 64: {share:.2} ×, {grown} MiB more \
             memory; refused or failed: {:?}",
            outcome.failed
        ),
        // A quick run only shows that everything works; it does not assert speed.
        if is_quick { "memory flat (64 MiB)" } else { "at least 0.8 × the peak, memory flat (64 MiB)" },
        (is_quick || share >= 0.8) && grown << 20 <= FLAT,
    );
    Ok(())
}

async fn goodput(world: &World, shape: &Shape, duration: Duration) -> anyhow::Result<f64> {
    let load = Load::start(shape, &in_turn(connections(world, 4)?));
    sleep(Duration::from_secs(1)).await;
    let before = load.ledger.count();
    sleep(duration).await;
    let count = load.ledger.count() - before;
    load.end().await;
    Ok(per_second(count, duration))
}

/// Clients with one connection each.
fn connections(
    world: &World,
    count: usize,
) -> anyhow::Result<
    Vec<proto::nova::v1::instance_service_client::InstanceServiceClient<tonic::transport::Channel>>,
> {
    let clients: Vec<Vec<_>> = (0..count).map(|_| world.clients()).collect::<anyhow::Result<_>>()?;
    Ok(clients.into_iter().flatten().collect())
}
