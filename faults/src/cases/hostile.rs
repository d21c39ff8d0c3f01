//! Hostile clients, alongside well-behaved ones.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinHandle, time::sleep};

use super::{Case, DEADLINE, FITS, in_turn, per_second};
use crate::{
    attack::{Attack, Target},
    images::ImageLoad,
    load::{Load, Shape},
    table::Table,
    world::{Replica, World},
};

/// How long well-behaved clients pause, so that processors are not what limits them.
const REST: Duration = Duration::from_millis(30);

/// Number of well-behaved clients.
const CLIENTS: usize = 8;

const GLANCE: Target = Target {
    list: "/glance.v1.ImageService/ListImages",
    body: "/glance.v1.ImageService/UploadImageData",
    form: "/v2/images",
};

const NOVA: Target = Target {
    list: "/nova.v1.FlavorService/ListFlavors",
    body: "/nova.v1.InstanceService/CreateInstance",
    form: "/nova.v1.InstanceService/CreateInstance",
};

pub(super) async fn run(seconds: u64, table: &mut Table) -> anyhow::Result<()> {
    let mut world = World::start(1).await?;
    world.add_nova(&world.glances(), &[])?;
    let images = ImageLoad::start(&[world.glance[0].channel()?], CLIENTS, REST);
    let glance = suffer(&world.glance[0], GLANCE, seconds, || images.count()).await?;
    let record = images.end().await;
    let lost = record.audit(world.glance[0].channel()?).await?;
    note("glance-svc", &glance, record.failed.count(), lost + record.stale, seconds, table);

    let shape = Shape { clients: CLIENTS, rest: REST, ..Shape::modest(world.image().await?, DEADLINE) };
    let load = Load::start(&shape, &in_turn(world.clients()?));
    let nova = suffer(&world.nova[0], NOVA, seconds, || load.ledger.count()).await?;
    let outcome = load.end().await;
    let audit = world.audit(&outcome).await?;
    let wrong = audit.missing + audit.half + audit.twice;
    note("nova-api-svc", &nova, outcome.failures(), wrong, seconds, table);
    Ok(())
}

/// What was observed.
struct Observed {
    /// Successful requests of well-behaved clients per second: without the hostile ones, and alongside them.
    without: [f64; 2],
    beside: f64,
    /// How many requests the hostile clients sent.
    requests: usize,
    /// How often readiness was checked, and how often the service was not ready.
    looks: usize,
    unready: usize,
    peak: u64,
}

async fn suffer(
    replica: &Replica,
    target: Target,
    seconds: u64,
    count: impl Fn() -> usize,
) -> anyhow::Result<Observed> {
    let goodput = async |seconds| {
        let (before, duration) = (count(), Duration::from_secs(seconds));
        sleep(duration).await;
        per_second(count() - before, duration)
    };
    // The first requests take longer.
    sleep(Duration::from_secs(1)).await;
    let first = goodput(seconds).await;
    replica.service.forget_peak()?;
    let watch = Watch::start(replica)?;
    let attack = Attack::start(replica.address, target);
    let beside = goodput(2 * seconds).await;
    let requests = attack.end().await;
    let (looks, unready) = watch.end().await?;
    let peak = replica.service.peak()?;
    sleep(Duration::from_secs(1)).await;
    Ok(Observed { without: [first, goodput(seconds).await], beside, requests, looks, unready, peak })
}

/// Checks again and again whether a service reports that it is ready.
struct Watch {
    is_over: Arc<AtomicBool>,
    looks: Arc<AtomicUsize>,
    watching: JoinHandle<usize>,
}

impl Watch {
    fn start(replica: &Replica) -> anyhow::Result<Self> {
        let admin = replica.service.admin()?;
        let (is_over, looks) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (over, looked) = (Arc::clone(&is_over), Arc::clone(&looks));
        let watching = tokio::task::spawn_blocking(move || {
            let mut unready = 0;
            while !over.load(Ordering::Relaxed) {
                let answer = harness::http::get(admin, "/readyz");
                unready += usize::from(!answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")));
                looked.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(100));
            }
            unready
        });
        Ok(Self { is_over, looks, watching })
    }

    async fn end(self) -> anyhow::Result<(usize, usize)> {
        self.is_over.store(true, Ordering::Relaxed);
        let unready = self.watching.await?;
        Ok((self.looks.load(Ordering::Relaxed), unready))
    }
}

fn note(name: &str, observed: &Observed, failed: usize, lost: usize, seconds: u64, table: &mut Table) {
    let Observed { without: [before, after], beside, requests, looks, unready, peak } = observed;
    let (share, is_quick) = (2.0 * beside / (before + after), seconds < 10);
    table.note(
        Case::Hostile,
        format!(
            "{name}: {beside:.0} calls/s beside {requests} hostile requests, {before:.0} before and {after:.0} after: {share:.2} \
             ×; {failed} failed, {lost} lost; at most {} MiB; not ready {unready} of {looks} times",
            peak >> 20,
        ),
        // A quick run only shows that everything works; it does not assert speed.
        if is_quick {
            "nothing fails, ready, at most 256 MiB"
        } else {
            "nothing fails, at least 0.8 × as many calls as without, ready, at most 256 MiB"
        },
        failed + lost + unready == 0
            && *peak <= FITS
            && *looks > 0
            && *beside > 0.0
            && (is_quick || share >= 0.8),
    );
}
