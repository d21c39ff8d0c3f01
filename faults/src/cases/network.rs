//! glance-svc does not answer, or is slow.

use std::time::Duration;

use tokio::time::sleep;

use super::{Case, in_turn};
use crate::{
    ledger::Outcome,
    load::{Load, Shape},
    proxy::{Proxy, Weather},
    table::Table,
    world::World,
};

/// How long clients wait for an answer.
const DEADLINE: Duration = Duration::from_secs(3);

/// The latest that an answer counts as in time.
const IN_TIME: Duration = Duration::from_millis(3100);

pub(super) async fn run(seconds: u64, table: &mut Table) -> anyhow::Result<()> {
    alone(seconds, table).await?;
    of_three(seconds, table).await
}

/// Number of creates since there had been `before`, at least 1; each may call glance-svc once, or share a call.
#[expect(clippy::cast_precision_loss, reason = "counts of a minute are far below 2^52")]
fn offered(outcome: &Outcome, before: usize) -> f64 {
    (outcome.all() - before).max(1) as f64
}

/// A fault, with its name: switches it on or off.
type Fault<'a> = (&'static str, Box<dyn Fn(bool) -> anyhow::Result<()> + 'a>);

/// Faults of the only replica.
async fn alone(seconds: u64, table: &mut Table) -> anyhow::Result<()> {
    let mut world = World::start(1).await?;
    let proxy = Proxy::start(world.glance[0].address).await?;
    world.add_nova(&proxy.endpoint(), &[])?;
    let weather = |weather: Weather| {
        let proxy = proxy.clone();
        move |is_on: bool| {
            proxy.set(if is_on { weather } else { Weather::Fair });
            Ok(())
        }
    };
    let frozen = |is_on: bool| world.glance[0].service.signal(if is_on { "STOP" } else { "CONT" });
    let faults: [Fault<'_>; 3] = [
        ("glance-svc frozen", Box::new(frozen)),
        ("glance-svc black-holed", Box::new(weather(Weather::Hole))),
        ("glance-svc 1 s late", Box::new(weather(Weather::Late))),
    ];
    for fault in &faults {
        suffer(&world, fault, false, seconds, table).await?;
    }
    Ok(())
}

/// Faults of one replica of three, which clients do not notice.
async fn of_three(seconds: u64, table: &mut Table) -> anyhow::Result<()> {
    let mut world = World::start(3).await?;
    let proxy = Proxy::start(world.glance[2].address).await?;
    let others = [0, 1].map(|index: usize| world.glance[index].service.endpoint());
    world.add_nova(&format!("{},{},{}", others[0], others[1], proxy.endpoint()), &[])?;
    let frozen = |is_on: bool| world.glance[2].service.signal(if is_on { "STOP" } else { "CONT" });
    let late = |is_on: bool| {
        proxy.set(if is_on { Weather::Late } else { Weather::Fair });
        Ok(())
    };
    let faults: [Fault<'_>; 2] =
        [("one of three frozen", Box::new(frozen)), ("one of three 1 s late", Box::new(late))];
    for fault in &faults {
        suffer(&world, fault, true, seconds, table).await?;
    }
    drop(faults);
    world.glance[2].service.kill()?;
    let dead: Fault<'_> = ("one of three dead", Box::new(|_| Ok(())));
    suffer(&world, &dead, true, seconds, table).await
}

async fn suffer(
    world: &World,
    (name, fault): &Fault<'_>,
    all_succeed: bool,
    seconds: u64,
    table: &mut Table,
) -> anyhow::Result<()> {
    let shape = Shape::modest(world.image().await?, DEADLINE);
    let tries = || world.nova[0].counter("imprint_glance_requests_total");
    let load = Load::start(&shape, &in_turn(world.clients()?));
    sleep(Duration::from_secs(1)).await;
    let (tries_before, before) = (tries(), load.ledger.outcome().all());
    fault(true)?;
    sleep(Duration::from_secs(seconds)).await;
    fault(false)?;
    let outcome = load.end().await;
    let tries = tries() - tries_before;
    let amplified = tries / offered(&outcome, before);
    let is_kept = outcome.slowest <= IN_TIME && amplified <= 1.2 && (!all_succeed || outcome.failures() == 0);
    table.note(
        Case::Network,
        format!(
            "{name}: {} of {} creates, slowest answer {:.2} s of {:.0}, {amplified:.2} calls of glance-svc each; \
             failed: {:?}",
            outcome.acknowledged.len(),
            outcome.all(),
            outcome.slowest.as_secs_f64(),
            DEADLINE.as_secs_f64(),
            outcome.failed
        ),
        if all_succeed {
            "all creates succeed in time, at most 1.2 calls each"
        } else {
            "every create succeeds or fails in time, at most 1.2 calls each"
        },
        is_kept,
    );
    Ok(())
}
