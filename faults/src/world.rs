//! What the faults happen to: replicas of the services on one PostgreSQL.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use harness::{http, postgres::Cluster, service::Service, workspace};
use proto::{
    glance::v1::{CreateImageRequest, Image, image_service_client::ImageServiceClient},
    nova::v1::instance_service_client::InstanceServiceClient,
};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::{ledger::Outcome, proxy::Proxy};

/// How long to wait before trying to start again: the port may still be in use.
const PAUSE: Duration = Duration::from_millis(50);

/// How long jobs for images may take once glance-svc is up.
const REST: Duration = Duration::from_mins(2);

/// The environment of a service.
pub(crate) type Environment = Vec<(&'static str, String)>;

/// A service that can be restarted at the same address.
pub(crate) struct Replica {
    binary: &'static str,
    arguments: Vec<String>,
    environment: Environment,
    pub(crate) address: SocketAddr,
    pub(crate) service: Service,
}

impl Replica {
    /// Starts one with this environment.
    pub(crate) fn start_in(
        environment: Environment,
        binary: &'static str,
        arguments: Vec<String>,
    ) -> anyhow::Result<Self> {
        let service = start(binary, &arguments, &environment, "127.0.0.1:0")?;
        Ok(Self { binary, arguments, environment, address: service.address(), service })
    }

    /// A channel to it, which reconnects by itself.
    pub(crate) fn channel(&self) -> anyhow::Result<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address))?;
        Ok(endpoint.connect_timeout(Duration::from_secs(1)).connect_lazy())
    }

    /// Kills it, and starts it again.
    pub(crate) fn crash(&mut self) -> anyhow::Result<()> {
        self.service.kill()?;
        self.start_again()
    }

    /// Stops it gracefully, and starts it again.
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        let status = self.service.terminate(Duration::from_secs(30))?;
        anyhow::ensure!(status.success(), "{} ended with {status}", self.binary);
        self.start_again()
    }

    fn start_again(&mut self) -> anyhow::Result<()> {
        let address = self.address.to_string();
        let mut last = None;
        for _ in 0..100 {
            match start(self.binary, &self.arguments, &self.environment, &address) {
                Ok(service) => {
                    self.service = service;
                    return Ok(());
                }
                Err(error) => last = Some(error),
            }
            std::thread::sleep(PAUSE);
        }
        Err(last.context("a hundred tries end with an error")?)
    }

    /// Whether it reports that it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.service
            .admin()
            .is_ok_and(|admin| http::get(admin, "/readyz").is_ok_and(|answer| answer.contains(" 200 ")))
    }

    /// The sum of a counter over all its labels; 0 while it does not answer.
    pub(crate) fn counter(&self, name: &str) -> f64 {
        let metrics = self.service.admin().and_then(|admin| http::get(admin, "/metrics")).unwrap_or_default();
        let lines = metrics.lines().filter(|line| line.starts_with(name) && !line.starts_with('#'));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }
}

fn start(
    binary: &str,
    arguments: &[String],
    environment: &Environment,
    listen: &str,
) -> anyhow::Result<Service> {
    workspace::build_services()?;
    let mut command = Command::new(workspace::binary(binary)?);
    command.args(["--admin-listen", "127.0.0.1:0", "--listen", listen]).args(arguments);
    Service::run(binary, command.envs(environment.iter().map(|(name, value)| (name, value))))
}

/// Replicas of both services.
pub(crate) struct World {
    pub(crate) nova: Vec<Replica>,
    pub(crate) glance: Vec<Replica>,
    pub(crate) cluster: Cluster,
    /// The network between the services and PostgreSQL, if a case interferes with it.
    front: Option<Proxy>,
    data: TempDir,
}

impl World {
    /// A PostgreSQL, and this many replicas of glance-svc.
    pub(crate) async fn start(glances: usize) -> anyhow::Result<Self> {
        Self::start_on(Cluster::start_durable()?, None, glances).await
    }

    /// The same on this PostgreSQL, which the services reach through `front`.
    pub(crate) async fn start_on(
        cluster: Cluster,
        front: Option<Proxy>,
        glances: usize,
    ) -> anyhow::Result<Self> {
        let mut connection = PgConnection::connect(&cluster.url("postgres")).await?;
        connection.execute("CREATE DATABASE glance").await?;
        let data = tempfile::tempdir()?;
        let mut world = Self { nova: Vec::new(), glance: Vec::new(), cluster, front, data };
        for _ in 0..glances {
            let replica = world.glance_in(Environment::new())?;
            world.glance.push(replica);
        }
        Ok(world)
    }

    /// The URL of a database for the services.
    pub(crate) fn url(&self, database: &str) -> String {
        match &self.front {
            Some(front) => format!("postgres://postgres@127.0.0.1:{}/{database}", front.port()),
            None => self.cluster.url(database),
        }
    }

    /// Adds a replica of nova-api-svc that calls these endpoints.
    pub(crate) fn add_nova(&mut self, endpoints: &str, more: &[&str]) -> anyhow::Result<()> {
        let replica = self.nova_in(Environment::new(), endpoints, more)?;
        self.nova.push(replica);
        Ok(())
    }

    /// Adds a replica of glance-svc with this environment.
    pub(crate) fn glance_in(&self, environment: Environment) -> anyhow::Result<Replica> {
        let data = format!("file:{}", self.data.path().display());
        let arguments = ["--database-url".to_owned(), self.url("glance"), "--data-url".to_owned(), data];
        Replica::start_in(environment, "glance-svc", arguments.into())
    }

    /// Adds a replica of nova-api-svc with this environment that calls these endpoints.
    pub(crate) fn nova_in(
        &self,
        environment: Environment,
        endpoints: &str,
        more: &[&str],
    ) -> anyhow::Result<Replica> {
        let usual = ["--database-url", &self.url("postgres"), "--glance-endpoint", endpoints];
        let arguments = usual.iter().chain(more).map(|argument| (*argument).to_owned()).collect();
        Replica::start_in(environment, "nova-api-svc", arguments)
    }

    /// The endpoints of glance-svc.
    pub(crate) fn glances(&self) -> String {
        self.glance.iter().map(|replica| replica.service.endpoint()).collect::<Vec<_>>().join(",")
    }

    /// A client of each replica of nova-api-svc, which reconnects by itself.
    pub(crate) fn clients(&self) -> anyhow::Result<Vec<InstanceServiceClient<Channel>>> {
        self.nova.iter().map(|replica| Ok(InstanceServiceClient::new(replica.channel()?))).collect()
    }

    /// Registers an image, and returns its id.
    pub(crate) async fn image(&self) -> anyhow::Result<String> {
        register(&self.glance[0]).await
    }

    /// Waits until no jobs are left; returns whether that took not too long.
    pub(crate) async fn comes_to_rest(&self) -> anyhow::Result<bool> {
        let mut connection = PgConnection::connect(&self.url("postgres")).await?;
        let since = Instant::now();
        while since.elapsed() < REST {
            let jobs = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM image_jobs");
            if jobs.fetch_one(&mut connection).await? == 0 {
                return Ok(true);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(false)
    }

    /// Compares the database with what was acknowledged to clients: instances that are missing, there twice, or without
    /// their record.
    pub(crate) async fn audit(&self, outcome: &Outcome) -> anyhow::Result<Audit> {
        let mut connection = PgConnection::connect(&self.url("postgres")).await?;
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT i.id::text, (SELECT COUNT(*) FROM instance_system_metadata s WHERE s.instance_id = i.id) \
             FROM instances i",
        )
        .fetch_all(&mut connection)
        .await?;
        let kept: BTreeMap<_, _> = rows.into_iter().collect();
        let requests: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM create_requests").fetch_one(&mut connection).await?;
        Ok(Audit {
            missing: outcome.acknowledged.values().filter(|id| !kept.contains_key(*id)).count(),
            half: kept.values().filter(|entries| **entries < 30).count(),
            // Each request creates one instance: any more were created twice.
            twice: kept.len().saturating_sub(usize::try_from(requests)?),
        })
    }
}

/// Registers an image with a replica of glance-svc, and returns its id; its data is elsewhere.
pub(crate) async fn register(glance: &Replica) -> anyhow::Result<String> {
    register_with(glance, Image { size: Some(1), ..Image::default() }).await
}

/// The same for an image that waits for its data, which is raw.
pub(crate) async fn register_without_data(glance: &Replica) -> anyhow::Result<String> {
    let (disk_format, container_format) = ("raw".to_owned(), "bare".to_owned());
    register_with(glance, Image { disk_format, container_format, ..Image::default() }).await
}

async fn register_with(glance: &Replica, image: Image) -> anyhow::Result<String> {
    let mut images = ImageServiceClient::new(glance.channel()?);
    let properties = (0..30).map(|number| (format!("p{number}"), format!("value {number}")));
    let image = Image { name: "fault".into(), properties: properties.collect(), ..image };
    Ok(images.create_image(CreateImageRequest { image: Some(image) }).await?.into_inner().id)
}

/// How the database differs from what was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Audit {
    pub(crate) missing: usize,
    pub(crate) half: usize,
    pub(crate) twice: usize,
}

impl fmt::Display for Audit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { missing, half, twice } = self;
        write!(formatter, "{missing} missing, {twice} twice, {half} half")
    }
}

impl Audit {
    pub(crate) const fn is_clean(self) -> bool {
        self.missing + self.half + self.twice == 0
    }
}
