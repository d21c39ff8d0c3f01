//! Everything is restarted, one replica after the other, as in a rolling update.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use proto::nova::v1::instance_service_client::InstanceServiceClient;
use tokio::time::sleep;
use tonic::transport::Channel;

use super::{Case, DEADLINE, goes_on};
use crate::{
    load::{Load, Route, Shape},
    table::Table,
    world::World,
};

/// Maximum time until a load balancer notices that a replica is not ready.
const HEARS: Duration = Duration::from_millis(500);

/// Clients whose requests go to ready replicas only, as with a Service of Kubernetes.
struct Balanced {
    clients: Vec<InstanceServiceClient<Channel>>,
    ready: [AtomicBool; 2],
}

impl Route for Balanced {
    fn client(&self, number: usize) -> InstanceServiceClient<Channel> {
        let chosen = number % 2;
        let is_ready = self.ready[chosen].load(Ordering::Relaxed);
        self.clients[if is_ready { chosen } else { 1 - chosen }].clone()
    }
}

pub(super) async fn run(table: &mut Table) -> anyhow::Result<()> {
    let mut world = World::start(2).await?;
    let endpoints = world.glances();
    for _ in 0..2 {
        world.add_nova(&endpoints, &["--drain-delay-s", "1"])?;
    }
    let route = Arc::new(Balanced { clients: world.clients()?, ready: [true, true].map(AtomicBool::new) });
    let shape = Shape::modest(world.image().await?, DEADLINE);
    let load = Load::start(&shape, &(Arc::clone(&route) as Arc<dyn Route>));
    for index in 0..2 {
        anyhow::ensure!(goes_on(&load, load.ledger.count()).await.is_some(), "there is no load");
        // The clients notice late, as in a cluster; the replica keeps serving in the meantime.
        let notified = {
            let route = Arc::clone(&route);
            tokio::spawn(async move {
                sleep(HEARS).await;
                route.ready[index].store(false, Ordering::Relaxed);
            })
        };
        tokio::task::block_in_place(|| world.nova[index].restart())?;
        notified.await?;
        while !world.nova[index].is_ready() {
            sleep(Duration::from_millis(20)).await;
        }
        route.ready[index].store(true, Ordering::Relaxed);
        tokio::task::block_in_place(|| world.glance[index].restart())?;
        while !world.glance[index].is_ready() {
            sleep(Duration::from_millis(20)).await;
        }
        anyhow::ensure!(
            goes_on(&load, load.ledger.count() + 100).await.is_some(),
            "the load does not continue"
        );
    }
    let outcome = load.end().await;
    let audit = world.audit(&outcome).await?;
    table.note(
        Case::Rolling,
        format!(
            "2 + 2 replicas restarted, {} creates, {} failed {:?}",
            outcome.all(),
            outcome.failures(),
            outcome.failed
        ),
        "no request fails",
        outcome.failures() == 0 && audit.is_clean(),
    );
    Ok(())
}
