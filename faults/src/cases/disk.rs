//! The disk of the database is full, and then has room again.

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
    images::{ImageLoad, Told},
    ledger::Outcome,
    load::{Load, Shape},
    table::Table,
    world::{Audit, Environment, Replica, World, register},
};

/// How long the disk is full, at least and at most.
const FULL: Duration = Duration::from_secs(6);
const LONGEST: Duration = Duration::from_secs(30);

/// How long the services may take to work again once there is room.
const SOON: Duration = Duration::from_secs(5);

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(50);

/// Sizes of the disks, bytes: with room for some thousands of instances, or for PostgreSQL and its log as well.
const SMALL: u64 = 64 << 20;
const LARGE: u64 = 320 << 20;

/// Writes a megabyte of the log, and nothing else.
const LOG: &str = "SELECT pg_logical_emit_message(FALSE, 'fault', repeat('x', 1000000))::text";

/// What was seen each time.
#[derive(Debug, Default)]
struct Seen {
    /// Until no service was ready, after the disk was full, and until all were, after it had room.
    unready: Option<Duration>,
    ready: Option<Duration>,
    /// Until both were written again.
    written: Option<Duration>,
    /// How often a service was ready while it had not been a moment before, and the disk was full.
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

    /// Fills the disk, makes room, has PostgreSQL started again if it has ended, and looks what comes of it.
    async fn suffer(&self, disk: &Disk, cluster: Option<&Cluster>, fills_log: bool) -> anyhow::Result<Seen> {
        let mut seen = Seen::default();
        self.is_full(disk, cluster.filter(|_| fills_log), &mut seen).await?;
        disk.make_room()?;
        if let Some(cluster) = cluster {
            seen.crashes += usize::from(started_again(cluster).await?);
        }
        self.recovers(&mut seen).await;
        goes_on(&self.instances, self.instances.ledger.count() + 50).await;
        Ok(seen)
    }

    /// Keeps the disk full, and has the log of `cluster` written.
    async fn is_full(&self, disk: &Disk, cluster: Option<&Cluster>, seen: &mut Seen) -> anyhow::Result<()> {
        let (since, mut before) = (Instant::now(), 2);
        // On a busy machine it takes a while until both want more room than they have.
        while since.elapsed() < FULL || seen.unready.is_none() && since.elapsed() < LONGEST {
            disk.fill()?;
            if let Some(cluster) = cluster {
                // It fails when there is no room, and when PostgreSQL has ended for that.
                let _ = timeout(DEADLINE, write_log(cluster)).await;
            }
            let ready = self.ready();
            if ready == 0 && seen.unready.is_none() {
                seen.unready = Some(since.elapsed());
            }
            seen.fickle += ready.saturating_sub(before);
            before = ready;
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until both services are ready, and written.
    async fn recovers(&self, seen: &mut Seen) {
        let (since, counts) = (Instant::now(), (self.instances.ledger.count(), self.images.count()));
        while since.elapsed() < Duration::from_mins(1) && (seen.ready.is_none() || seen.written.is_none()) {
            if seen.ready.is_none() && self.ready() == 2 {
                seen.ready = Some(since.elapsed());
            }
            let is_written = self.instances.ledger.count() > counts.0 && self.images.count() > counts.1 + 20;
            if seen.written.is_none() && is_written {
                seen.written = Some(since.elapsed());
            }
            sleep(LOOK).await;
        }
    }

    /// Takes the loads off, kills the services, and looks for what was acknowledged.
    async fn audit(self) -> anyhow::Result<Audited> {
        let Self { mut glance, mut nova, instances, images } = self;
        let (outcome, told) = (instances.end().await, images.end().await);
        block_in_place(|| glance.crash().and_then(|()| nova.crash()))?;
        let audit = audit(&nova, &outcome).await?;
        let lost = told.audit(glance.channel()?).await?;
        Ok(Audited { outcome, told, audit, lost })
    }
}

struct Audited {
    outcome: Outcome,
    told: Told,
    audit: Audit,
    lost: usize,
}

impl Audited {
    /// The errors that do not say that and why trying again helps.
    fn unexplained(&self) -> Vec<(&String, &usize)> {
        self.outcome.unexplained.iter().chain(&self.told.failed.unexplained).collect()
    }

    /// Whether both services refused something, as is promised, and lost nothing.
    fn is_kept(&self) -> bool {
        let both_refused = self.outcome.failures() > 0 && self.told.failed.count() > 0;
        both_refused
            && self.unexplained().is_empty()
            && self.audit.is_clean()
            && self.lost + self.told.stale == 0
    }
}

/// What is wrong with what nova-api-svc has, as it says itself; every request was acknowledged in the end.
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

/// Starts PostgreSQL again if it has ended, as whoever looks after it does; whether it had.
async fn started_again(cluster: &Cluster) -> anyhow::Result<bool> {
    // It may be about to end, and may be recovering.
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

fn note(name: &str, all: &[Seen], audited: &Audited, table: &mut Table) {
    let Audited { outcome, told, audit, lost } = audited;
    let times: [fn(&Seen) -> Option<Duration>; 3] =
        [|seen| seen.unready, |seen| seen.ready, |seen| seen.written];
    let longest = times.map(|of| all.iter().map(of).collect::<Option<Vec<_>>>()?.into_iter().max());
    let [unready, ready, written] = longest
        .map(|time| time.map_or_else(|| "never".to_owned(), |time| format!("{:.2} s", time.as_secs_f64())));
    let sum = |of: fn(&Seen) -> usize| all.iter().map(of).sum::<usize>();
    table.note(
        Case::Disk,
        format!(
            "{name}: {} × full for {} s, {} × PostgreSQL ended: not ready after {unready}, ready {ready} after there is room, \
             written {written} after; {} creates and {} images acknowledged: {audit}, {lost} images lost; {} failed; \
             {} × ready meanwhile; other errors: {:?}",
            all.len(),
            FULL.as_secs(),
            sum(|seen| seen.crashes),
            outcome.acknowledged.len(),
            told.images(),
            outcome.failures() + told.failed.count(),
            sum(|seen| seen.fickle),
            audited.unexplained(),
        ),
        "errors are UNAVAILABLE and say why, not ready while full, ready and written within 5 s, nothing lost",
        audited.is_kept() && longest[0].is_some() && longest[1..].iter().all(|time| time.is_some_and(|time| time <= SOON)),
    );
}
