//! The faults, and what is promised under each.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use common::id::Id;
use proto::nova::v1::instance_service_client::InstanceServiceClient;
use tokio::time::sleep;
use tonic::{Code, Response, Status, transport::Channel};

use crate::{
    load::{Load, Route, Shape},
    table::Table,
    world::World,
};

mod bucket;
mod clocks;
mod disk;
mod failover;
mod hostile;
mod leave;
mod network;
mod overload;
mod rolling;
mod shelve;
mod volumes;

/// Default time that clients wait for an answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long a killed service may take to answer again.
const PATIENCE: Duration = Duration::from_mins(1);

/// Maximum memory of a service, in bytes.
const FITS: u64 = 256 << 20;

#[expect(clippy::cast_precision_loss, reason = "counts of a minute are far below 2^52")]
fn per_second(count: usize, duration: Duration) -> f64 {
    count as f64 / duration.as_secs_f64()
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// Either service is killed, again and again.
    Crash,
    /// Clients leave before they are answered; then both services are killed.
    Leave,
    /// PostgreSQL crashes and is restarted.
    Database,
    /// PostgreSQL is gone for good, and its standby takes over.
    Failover,
    /// The disk of the databases is full, and then has room again.
    Disk,
    /// The bucket with the image data is slow.
    Bucket,
    /// The clocks of two replicas of each service are 40 s apart.
    Clocks,
    /// Hostile clients, alongside well-behaved ones.
    Hostile,
    /// glance-svc is frozen, unreachable or slow; one of three replicas is dead.
    Network,
    /// Everything is restarted, one replica after the other.
    Rolling,
    /// Instances are shelved while answers of glance-svc are lost or nova-api-svc crashes, and cannot be unshelved at once.
    Shelve,
    /// Volumes with data are made, reserved and deleted while cinder-svc and glance-svc are killed.
    Volumes,
    /// Ten times as many requests as can be answered.
    Overload,
}

impl Case {
    /// Runs the case.
    pub(crate) async fn run(self, quick: bool, table: &mut Table) -> anyhow::Result<()> {
        match self {
            Self::Crash => crash(50, table).await,
            Self::Leave => leave::run(if quick { 2 } else { 10 }, table).await,
            Self::Database => database(table).await,
            Self::Failover => failover::run(table).await,
            Self::Disk => disk::run(quick, table).await,
            Self::Bucket => bucket::run(if quick { 3 } else { 20 }, table).await,
            Self::Clocks => clocks::run(if quick { 10 } else { 60 }, table).await,
            Self::Hostile => hostile::run(if quick { 3 } else { 30 }, table).await,
            Self::Network => network::run(if quick { 3 } else { 10 }, table).await,
            Self::Rolling => rolling::run(table).await,
            Self::Shelve => shelve::run(if quick { 2 } else { 10 }, table).await,
            Self::Volumes => volumes::run(if quick { 8 } else { 50 }, table).await,
            Self::Overload => overload::run(quick, table).await,
        }
    }
}

/// Assigns routes to clients in turn.
fn in_turn(clients: Vec<InstanceServiceClient<Channel>>) -> Arc<dyn Route> {
    Arc::new(move |number: usize| clients[number % clients.len()].clone())
}

/// Waits until a load has had more than `count` requests acknowledged.
async fn goes_on(load: &Load, count: usize) -> Option<Duration> {
    let since = Instant::now();
    while load.ledger.count() <= count {
        if since.elapsed() > Duration::from_mins(1) {
            return None;
        }
        sleep(Duration::from_millis(5)).await;
    }
    Some(since.elapsed())
}

/// Retries for as long as the service is down.
async fn insist<T, F>(call: impl Fn() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let since = Instant::now();
    loop {
        match call().await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status)
                if since.elapsed() < PATIENCE
                    && matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled) => {}
            Err(status) => return Err(status.into()),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// One replica of each service, and clients that retry a request until it is acknowledged.
async fn under_load() -> anyhow::Result<(World, Load)> {
    under_load_in(World::start(1).await?).await
}

/// The same, in a world that has a replica of glance-svc.
async fn under_load_in(mut world: World) -> anyhow::Result<(World, Load)> {
    world.add_nova(&world.glances(), &[])?;
    let shape = Shape { insists: true, ..Shape::modest(world.image().await?, DEADLINE) };
    let load = Load::start(&shape, &in_turn(world.clients()?));
    Ok((world, load))
}

async fn crash(times: usize, table: &mut Table) -> anyhow::Result<()> {
    let (mut world, load) = under_load().await?;
    for _ in 0..times {
        let random = Id::random().as_uuid().as_u128();
        sleep(Duration::from_millis(u64::try_from(random % 300)?)).await;
        let replica = if random >> 64 & 1 == 0 { &mut world.nova[0] } else { &mut world.glance[0] };
        replica.crash()?;
        let count = load.ledger.count();
        anyhow::ensure!(goes_on(&load, count).await.is_some(), "the load does not continue after a crash");
    }
    let outcome = load.end().await;
    let audit = world.audit(&outcome).await?;
    table.note(
        Case::Crash,
        format!("{times} × SIGKILL at random, {} creates acknowledged: {audit}", outcome.acknowledged.len()),
        "every acknowledged create present, none twice, none half",
        audit.is_clean(),
    );
    Ok(())
}

async fn database(table: &mut Table) -> anyhow::Result<()> {
    let (world, load) = under_load().await?;
    anyhow::ensure!(goes_on(&load, 100).await.is_some(), "there is no load");
    let before = [world.nova[0].service.pid(), world.glance[0].service.pid()];
    world.cluster.kill_hard()?;
    sleep(Duration::from_secs(2)).await;
    let mut tries = 0;
    // The previous server's processes may not have ended yet.
    while let Err(error) = world.cluster.start_again() {
        tries += 1;
        anyhow::ensure!(tries < 100, error);
        sleep(Duration::from_millis(100)).await;
    }
    let back = goes_on(&load, load.ledger.count()).await;
    let outcome = load.end().await;
    let audit = world.audit(&outcome).await?;
    let after = [world.nova[0].service.pid(), world.glance[0].service.pid()];
    let recovered = back.map_or_else(|| "never".to_owned(), |back| format!("{:.2} s", back.as_secs_f64()));
    table.note(
        Case::Database,
        format!("creates work again {recovered} after PostgreSQL accepts connections; {audit}"),
        "within 5 s, without restarting our services, nothing lost",
        back.is_some_and(|back| back <= Duration::from_secs(5)) && audit.is_clean() && before == after,
    );
    Ok(())
}
