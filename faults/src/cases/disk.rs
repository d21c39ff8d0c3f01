//! The databases' disk is full, and then has room again.

use std::time::{Duration, Instant};

use harness::{disk::Disk, postgres::Cluster};
use proto::nova::v1::{ListInstancesRequest, instance_service_client::InstanceServiceClient};
use sqlx::{Connection as _, PgConnection};
use tokio::{
    task::block_in_place,
    time::{sleep, timeout},
};

use super::{Case, DEADLINE, goes_on, in_turn};
use crate::{
    images::{ImageLoad, Record},
    ledger::Outcome,
    load::{Load, Shape},
    table::Table,
    world::{Audit, Environment, Replica, World, register},
};

/// How long the disk stays full, at least and at most.
const FULL: Duration = Duration::from_secs(6);
const LONGEST: Duration = Duration::from_secs(30);

/// How long the services may take to work again once there is room.
const SOON: Duration = Duration::from_secs(5);

/// How often readiness is checked.
const LOOK: Duration = Duration::from_millis(50);

/// Sizes of the disks, in bytes: with room for some thousands of instances, or for PostgreSQL and its log as well.
const SMALL: u64 = 64 << 20;
const LARGE: u64 = 320 << 20;

/// Writes a megabyte to PostgreSQL's log, and nothing else.
const LOG: &str = "SELECT pg_logical_emit_message(FALSE, 'fault', repeat('x', 1000000))::text";

/// What was observed each time.
#[derive(Debug, Default)]
struct Observed {
    /// From the full disk until no service was ready, and from free space until all were.
    unready: Option<Duration>,
    ready: Option<Duration>,
    /// From free space until both accepted writes again.
    written: Option<Duration>,
    /// How often a service became ready while the disk was full.
    fickle: usize,
    crashes: usize,
}

pub(super) async fn run(is_quick: bool, table: &mut Table) -> anyhow::Result<()> {
    let times = if is_quick { 1 } else { 5 };
    of_sqlite(times, table).await?;
    of_postgres(times, false, table).await?;
    of_postgres(times, true, table).await
}

/// Both services, and what clients do with them.
struct Subject {
    glance: Replica,
    nova: Replica,
    instances: Load,
    images: ImageLoad,
}

impl Subject {
    async fn start(glance: Replica, nova: Replica) -> anyhow::Result<Self> {
        let shape = Shape {
            insists: true,
            rest: Duration::from_millis(10),
            ..Shape::modest(register(&glance).await?, DEADLINE)
        };
        let client = InstanceServiceClient::new(nova.channel()?);
        let instances = Load::start(&shape, &in_turn(vec![client]));
        let images = ImageLoad::start(&[glance.channel()?], 4, Duration::from_millis(10));
        let subject = Self { glance, nova, instances, images };
        anyhow::ensure!(goes_on(&subject.instances, 50).await.is_some(), "there is no load");
        Ok(subject)
    }

    fn ready(&self) -> usize {
        block_in_place(|| usize::from(self.glance.is_ready()) + usize::from(self.nova.is_ready()))
    }

    /// Fills the disk, frees it, restarts PostgreSQL if it has stopped, and observes the services.
    async fn suffer(
        &self,
        disk: &Disk,
        cluster: Option<&Cluster>,
        fills_log: bool,
    ) -> anyhow::Result<Observed> {
        let mut observed = Observed::default();
        self.is_full(disk, cluster.filter(|_| fills_log), &mut observed).await?;
        disk.make_room()?;
        if let Some(cluster) = cluster {
            observed.crashes += usize::from(started_again(cluster).await?);
        }
        self.recovers(&mut observed).await;
        goes_on(&self.instances, self.instances.ledger.count() + 50).await;
        Ok(observed)
    }

    /// Keeps the disk full, and writes to the log of `cluster`.
    async fn is_full(
        &self,
        disk: &Disk,
        cluster: Option<&Cluster>,
        observed: &mut Observed,
    ) -> anyhow::Result<()> {
        let (since, mut before) = (Instant::now(), 2);
        // On a busy machine, it takes a while until both need more room than they have.
        while since.elapsed() < FULL || observed.unready.is_none() && since.elapsed() < LONGEST {
            disk.fill()?;
            if let Some(cluster) = cluster {
                // Fails when there is no room, or when PostgreSQL has stopped because of that.
                let _ = timeout(DEADLINE, write_log(cluster)).await;
            }
            let ready = self.ready();
            if ready == 0 && observed.unready.is_none() {
                observed.unready = Some(since.elapsed());
            }
            observed.fickle += ready.saturating_sub(before);
            before = ready;
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until both services are ready and accept writes.
    async fn recovers(&self, observed: &mut Observed) {
        let (since, counts) = (Instant::now(), (self.instances.ledger.count(), self.images.count()));
        while since.elapsed() < Duration::from_mins(1)
            && (observed.ready.is_none() || observed.written.is_none())
        {
            if observed.ready.is_none() && self.ready() == 2 {
                observed.ready = Some(since.elapsed());
            }
            let is_written = self.instances.ledger.count() > counts.0 && self.images.count() > counts.1 + 20;
            if observed.written.is_none() && is_written {
                observed.written = Some(since.elapsed());
            }
            sleep(LOOK).await;
        }
    }

    /// Stops the loads, kills the services, and looks for everything that was acknowledged.
    async fn audit(self) -> anyhow::Result<Audited> {
        let Self { mut glance, mut nova, instances, images } = self;
        let (outcome, record) = (instances.end().await, images.end().await);
        block_in_place(|| glance.crash().and_then(|()| nova.crash()))?;
        let audit = audit(&nova, &outcome).await?;
        let lost = record.audit(glance.channel()?).await?;
        Ok(Audited { outcome, record, audit, lost })
    }
}

struct Audited {
    outcome: Outcome,
    record: Record,
    audit: Audit,
    lost: usize,
}

impl Audited {
    /// The errors that do not say why they happened and that a retry helps.
    fn unexplained(&self) -> Vec<(&String, &usize)> {
        self.outcome.unexplained.iter().chain(&self.record.failed.unexplained).collect()
    }

    /// Whether both services refused requests as promised, and lost nothing.
    fn is_kept(&self) -> bool {
        let both_refused = self.outcome.failures() > 0 && self.record.failed.count() > 0;
        both_refused
            && self.unexplained().is_empty()
            && self.audit.is_clean()
            && self.lost + self.record.stale == 0
    }
}

/// What is wrong with nova-api-svc's instances according to its API, where every request was acknowledged in the end.
async fn audit(nova: &Replica, outcome: &Outcome) -> anyhow::Result<Audit> {
    let mut client = InstanceServiceClient::new(nova.channel()?);
    let mut request = ListInstancesRequest { page_size: 1000, ..Default::default() };
    let mut kept = std::collections::BTreeMap::new();
    loop {
        let page = client.list_instances(request.clone()).await?.into_inner();
        kept.extend(page.instances.into_iter().map(|one| (one.id, one.system_metadata.len())));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    Ok(Audit {
        missing: outcome.acknowledged.values().filter(|id| !kept.contains_key(*id)).count(),
        half: kept.values().filter(|entries| **entries < 30).count(),
        twice: kept.len().saturating_sub(outcome.acknowledged.len()),
    })
}

async fn of_sqlite(times: usize, table: &mut Table) -> anyhow::Result<()> {
    let disk = Disk::start(SMALL)?;
    let url = |name: &str| format!("sqlite://{}/{name}.sqlite", disk.folder().display());
    let data = format!("file:{}/data", disk.folder().display());
    let arguments = ["--database-url".to_owned(), url("glance"), "--data-url".to_owned(), data];
    let glance = Replica::start_in(Environment::new(), "glance-svc", arguments.into())?;
    let endpoint = glance.service.endpoint();
    let arguments = ["--database-url".to_owned(), url("nova"), "--glance-endpoint".to_owned(), endpoint];
    let nova = Replica::start_in(Environment::new(), "nova-api-svc", arguments.into())?;
    let subject = Subject::start(glance, nova).await?;
    let mut all = Vec::new();
    for _ in 0..times {
        all.push(subject.suffer(&disk, None, false).await?);
    }
    note("both services on SQLite", &all, &subject.audit().await?, table);
    Ok(())
}

async fn of_postgres(times: usize, fills_log: bool, table: &mut Table) -> anyhow::Result<()> {
    let disk = Disk::start(LARGE)?;
    let mut world = World::start_on(Cluster::start_on(&disk)?, None, 1).await?;
    world.add_nova(&world.glances(), &[])?;
    let subject = Subject::start(world.glance.remove(0), world.nova.remove(0)).await?;
    let mut all = Vec::new();
    for _ in 0..times {
        all.push(subject.suffer(&disk, Some(&world.cluster), fills_log).await?);
    }
    let name = if fills_log { "PostgreSQL's log as well" } else { "PostgreSQL" };
    note(name, &all, &subject.audit().await?, table);
    Ok(())
}

async fn write_log(cluster: &Cluster) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(&cluster.url("postgres")).await?;
    for _ in 0..8 {
        sqlx::query(LOG).execute(&mut connection).await?;
    }
    Ok(())
}

/// Restarts PostgreSQL if it has stopped, as an operator would; returns whether it had.
async fn started_again(cluster: &Cluster) -> anyhow::Result<bool> {
    // It may be about to stop, or recovering.
    let had_ended = !block_in_place(|| cluster.is_running());
    let mut tries = 0;
    while PgConnection::connect(&cluster.url("postgres")).await.is_err() {
        tries += 1;
        anyhow::ensure!(tries < 200, "PostgreSQL does not start");
        if !block_in_place(|| cluster.is_running()) {
            let _ = block_in_place(|| cluster.start_again());
        }
        sleep(LOOK).await;
    }
    Ok(had_ended || tries > 0)
}

fn note(name: &str, all: &[Observed], audited: &Audited, table: &mut Table) {
    let Audited { outcome, record, audit, lost } = audited;
    let times: [fn(&Observed) -> Option<Duration>; 3] =
        [|observed| observed.unready, |observed| observed.ready, |observed| observed.written];
    let longest = times.map(|of| all.iter().map(of).collect::<Option<Vec<_>>>()?.into_iter().max());
    let [unready, ready, written] = longest
        .map(|time| time.map_or_else(|| "never".to_owned(), |time| format!("{:.2} s", time.as_secs_f64())));
    let sum = |of: fn(&Observed) -> usize| all.iter().map(of).sum::<usize>();
    table.note(
        Case::Disk,
        format!(
            "{name}: {} × full for {} s, {} × PostgreSQL ended: not ready after {unready}, ready {ready} after there is room, \
             written {written} after; {} creates and {} images acknowledged: {audit}, {lost} images lost; {} failed; \
             {} × ready meanwhile; other errors: {:?}",
            all.len(),
            FULL.as_secs(),
            sum(|observed| observed.crashes),
            outcome.acknowledged.len(),
            record.images(),
            outcome.failures() + record.failed.count(),
            sum(|observed| observed.fickle),
            audited.unexplained(),
        ),
        "errors are UNAVAILABLE and say why, not ready while full, ready and writable within 5 s, nothing lost",
        audited.is_kept() && longest[0].is_some() && longest[1..].iter().all(|time| time.is_some_and(|time| time <= SOON)),
    );
}
