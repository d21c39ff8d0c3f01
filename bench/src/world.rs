//! The real programs that are measured, each with databases of its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use harness::{postgres::Cluster, service::Service, workspace};
use proto::{
    cinder::v1::volume_service_client::VolumeServiceClient,
    glance::v1::image_service_client::ImageServiceClient,
    nova::v1::instance_service_client::InstanceServiceClient,
};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::{database, process::Watch};

/// Number of connections of a load.
const CONNECTIONS: usize = 4;

/// A client for each connection.
#[derive(Clone)]
pub(crate) struct Clients<C>(Vec<C>);

/// Clients of glance-svc.
pub(crate) type Images = Clients<ImageServiceClient<Channel>>;

/// Clients of nova-api-svc.
pub(crate) type Instances = Clients<InstanceServiceClient<Channel>>;

/// Clients of cinder-svc.
pub(crate) type Volumes = Clients<VolumeServiceClient<Channel>>;

impl<C: Clone> Clients<C> {
    /// The client of one of the requests in flight.
    pub(crate) fn of(&self, worker: usize) -> C {
        self.0[worker % self.0.len()].clone()
    }
}

/// Connects to glance-svc, or to its ceiling.
pub(crate) async fn images(service: &Service) -> anyhow::Result<Images> {
    Ok(Clients(channels(service).await?.into_iter().map(ImageServiceClient::new).collect()))
}

/// Connects to nova-api-svc; a page of instances may be larger than 4 MiB with what gRPC adds.
pub(crate) async fn instances(service: &Service) -> anyhow::Result<Instances> {
    Ok(Clients(channels(service).await?.into_iter().map(InstanceServiceClient::new).collect()))
}

/// Connects to cinder-svc.
pub(crate) async fn volumes(service: &Service) -> anyhow::Result<Volumes> {
    Ok(Clients(channels(service).await?.into_iter().map(VolumeServiceClient::new).collect()))
}

async fn channels(service: &Service) -> anyhow::Result<Vec<Channel>> {
    let endpoint = Endpoint::from_shared(service.endpoint())?;
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS {
        channels.push(endpoint.connect().await?);
    }
    Ok(channels)
}

/// PostgreSQL, and a folder for everything else.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) folder: TempDir,
}

impl World {
    /// Builds the services, and starts PostgreSQL with fsync.
    pub(crate) fn start() -> anyhow::Result<Self> {
        workspace::build_services()?;
        Ok(Self { cluster: Cluster::start_durable()?, folder: tempfile::tempdir()? })
    }

    /// A new, empty database.
    pub(crate) async fn database(&self, name: &str) -> anyhow::Result<String> {
        let mut connection = database::connect(&self.cluster.url("postgres")).await?;
        database::execute(&mut connection, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        database::execute(&mut connection, format!("CREATE DATABASE {name}")).await?;
        Ok(self.cluster.url(name))
    }

    /// Drops databases that are no longer needed, to free space for the next row.
    pub(crate) async fn drop_databases(&self, names: &[&str]) -> anyhow::Result<()> {
        let mut connection = database::connect(&self.cluster.url("postgres")).await?;
        for name in names {
            database::execute(&mut connection, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
                .await?;
        }
        Ok(())
    }

    /// A path in the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The URL of an SQLite file.
    pub(crate) fn sqlite(&self, name: &str) -> String {
        sqlite_url(&self.file(name))
    }

    /// glance-svc on a database.
    pub(crate) fn glance(&self, database_url: &str) -> anyhow::Result<Service> {
        self.glance_with(database_url, &[])
    }

    /// The same with more arguments.
    pub(crate) fn glance_with(&self, database_url: &str, more: &[&str]) -> anyhow::Result<Service> {
        let data = format!("file:{}", self.file("data").display());
        let own = ["--database-url", database_url, "--data-url", &data];
        run("glance-svc", &[&own, more].concat())
    }

    /// nova-api-svc on a database.
    pub(crate) fn nova(database_url: &str, glance: &Service) -> anyhow::Result<Service> {
        Self::nova_with(database_url, glance, &[])
    }

    /// The same with more arguments.
    pub(crate) fn nova_with(database_url: &str, glance: &Service, more: &[&str]) -> anyhow::Result<Service> {
        let own = ["--database-url", database_url, "--glance-endpoint", &glance.endpoint()];
        run("nova-api-svc", &[&own, more].concat())
    }

    /// cinder-svc on a database; its volumes have no data.
    pub(crate) fn cinder(database_url: &str, glance: &Service) -> anyhow::Result<Service> {
        Self::cinder_with(database_url, glance, "none")
    }

    /// cinder-svc with the data of its volumes there.
    pub(crate) fn cinder_with(
        database_url: &str,
        glance: &Service,
        storage: &str,
    ) -> anyhow::Result<Service> {
        let glance = glance.endpoint();
        let own = ["--database-url", database_url, "--glance-endpoint", &glance, "--storage", storage];
        run("cinder-svc", &own)
    }

    /// The processes to watch while requests are sent: this one, PostgreSQL, and the services.
    pub(crate) fn watch(&self, services: &[(&'static str, &Service)]) -> anyhow::Result<Watch> {
        let all = Watch::client().and_family("PostgreSQL", self.server()?);
        Ok(services.iter().fold(all, |watch, (name, service)| watch.and(name, service.pid())))
    }

    /// The main process of PostgreSQL.
    pub(crate) fn server(&self) -> anyhow::Result<u32> {
        self.cluster.process_id()
    }
}

/// The URL of an SQLite file.
fn sqlite_url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

fn run(binary: &str, arguments: &[&str]) -> anyhow::Result<Service> {
    let mut command = Command::new(workspace::binary(binary)?);
    Service::run(binary, command.args(["--listen", "127.0.0.1:0"]).args(arguments))
}
