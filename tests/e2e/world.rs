//! The environment of a test: both services on databases of its own, gRPC clients, grpcurl, and SQL.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Output},
};

use chassis::testing::TestDb;
use harness::{service::Service, tools};
use proto::{
    glance::v1::{self as glance, image_service_client::ImageServiceClient},
    nova::v1::{self as nova, instance_service_client::InstanceServiceClient},
};
use serde_json::Value;
use sqlx::{Connection as _, FromRow, PgConnection, SqliteConnection, postgres::PgRow, sqlite::SqliteRow};
use tempfile::TempDir;
use tonic::transport::Channel;

/// Exit code of grpcurl for an RPC error: 64 and the gRPC code.
pub(crate) const GRPCURL_RPC_ERROR: i32 = 64;

/// Both services, each on a database of its own.
pub(crate) struct World {
    pub(crate) glance: Service,
    pub(crate) nova: Service,
    glance_db: TestDb,
    data: TempDir,
    nova_db: TestDb,
    /// What completes operations.
    compute: &'static str,
}

impl World {
    /// Starts both services; `db` becomes nova's, and glance gets another one of its kind.
    pub(crate) async fn start(db: TestDb) -> Self {
        Self::start_with(db, "agent").await
    }

    /// Like [`World::start`]; `compute` completes operations.
    pub(crate) async fn start_with(db: TestDb, compute: &'static str) -> Self {
        let glance_db = db.another().await;
        let data = tempfile::tempdir().unwrap();
        let glance = start_glance(&glance_db.url, data.path(), "127.0.0.1:0");
        let nova = start_nova(&db.url, &glance.endpoint(), compute);
        Self { glance, nova, glance_db, data, nova_db: db, compute }
    }

    /// Kills nova-api-svc and starts it again on the same database.
    pub(crate) fn crash_nova(&mut self) {
        self.nova.kill().unwrap();
        self.nova = start_nova(&self.nova_db.url, &self.glance.endpoint(), self.compute);
    }

    /// Restarts glance-svc at the same address, on the same database.
    pub(crate) fn revive_glance(&mut self) {
        let address = self.glance.address().to_string();
        self.glance = start_glance(&self.glance_db.url, self.data.path(), &address);
    }

    /// The URL of glance's database.
    pub(crate) fn glance_url(&self) -> &str {
        &self.glance_db.url
    }

    /// The URL of nova's database.
    pub(crate) fn nova_url(&self) -> &str {
        &self.nova_db.url
    }

    pub(crate) async fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::connect(self.glance.endpoint()).await.unwrap()
    }

    pub(crate) async fn instances(&self) -> InstanceServiceClient<Channel> {
        InstanceServiceClient::connect(self.nova.endpoint()).await.unwrap()
    }

    /// Registers an ACTIVE image.
    pub(crate) async fn image(&self, properties: &[(&str, &str)]) -> glance::Image {
        let properties =
            properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let image =
            glance::Image { name: "image".into(), size: Some(1), properties, ..glance::Image::default() };
        let request = glance::CreateImageRequest { image: Some(image) };
        self.images().await.create_image(request).await.unwrap().into_inner()
    }

    /// The number returned by a query on nova's database.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        self.row::<(i64,)>(sql).await.0
    }

    /// The only row of a query on nova's database.
    pub(crate) async fn row<T>(&self, sql: &'static str) -> T
    where
        T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        self.rows(sql).await.pop().unwrap()
    }

    /// The rows of a query on nova's database.
    pub(crate) async fn rows<T>(&self, sql: &'static str) -> Vec<T>
    where
        T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        if self.nova_db.url.starts_with("sqlite") {
            let mut connection = SqliteConnection::connect(&self.nova_db.url).await.unwrap();
            sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
        } else {
            let mut connection = PgConnection::connect(&self.nova_db.url).await.unwrap();
            sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
        }
    }

    /// `instance_system_metadata` of all instances, as SQL sees it.
    pub(crate) async fn system_metadata_rows(&self) -> BTreeMap<String, String> {
        let rows = self.rows::<(String, String)>("SELECT key, value FROM instance_system_metadata").await;
        rows.into_iter().collect()
    }
}

/// Starts glance-svc on the database at `url`, with image data in a folder.
pub(crate) fn start_glance(url: &str, data: &Path, listen: &str) -> Service {
    let data = format!("file:{}", data.display());
    let arguments = ["--listen", listen, "--database-url", url, "--data-url", &data];
    Service::start("glance-svc", arguments).unwrap()
}

fn start_nova(url: &str, glance: &str, compute: &str) -> Service {
    start_nova_with(url, glance, compute, &[])
}

/// Starts nova-api-svc on the database at `url`, with more arguments.
pub(crate) fn start_nova_with(url: &str, glance: &str, compute: &str, more: &[&str]) -> Service {
    let arguments =
        ["--listen", "127.0.0.1:0", "--database-url", url, "--glance-endpoint", glance, "--compute", compute];
    Service::start("nova-api-svc", arguments.into_iter().chain(more.iter().copied())).unwrap()
}

/// Starts cinder-svc on the database at `url`; `storage` keeps the data of volumes.
pub(crate) fn start_cinder(url: &str, glance: &str, storage: &str) -> Service {
    let arguments =
        ["--listen", "127.0.0.1:0", "--database-url", url, "--glance-endpoint", glance, "--storage", storage];
    Service::start("cinder-svc", arguments).unwrap()
}

/// A request for `count` instances.
pub(crate) fn create(image: &glance::Image, count: i32) -> nova::CreateInstanceRequest {
    nova::CreateInstanceRequest {
        name: "web".into(),
        image_id: image.id.clone(),
        flavor_id: "1".into(),
        min_count: count,
        ..nova::CreateInstanceRequest::default()
    }
}

/// Calls `method` with the real grpcurl as alice of project demo; `data` is JSON.
pub(crate) fn grpcurl(service: &Service, method: &str, data: &Value) -> Output {
    grpcurl_with(&["x-user-id: alice", "x-project-id: demo"], service, method, data)
}

/// Calls `method` with the real grpcurl and these headers; `data` is JSON.
pub(crate) fn grpcurl_with(headers: &[&str], service: &Service, method: &str, data: &Value) -> Output {
    let mut grpcurl = Command::new(tools::grpcurl().unwrap());
    grpcurl.args(headers.iter().flat_map(|header| ["-H", header])).args(["-plaintext", "-max-time", "20"]);
    grpcurl.args(["-d", &data.to_string(), &service.address().to_string(), method]).output().unwrap()
}

/// Like [`grpcurl`], for a call that succeeds; returns its answer.
pub(crate) fn call(service: &Service, method: &str, data: &Value) -> Value {
    let output = grpcurl(service, method, data);
    assert!(output.status.success(), "{method}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
