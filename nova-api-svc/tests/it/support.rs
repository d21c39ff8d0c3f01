//! A server for each test, and shortcuts to call it.

use std::{net::SocketAddr, time::Duration};

pub(crate) use chassis::testing::{
    Values, assert_violation, bad_fields, connect, fields, made_as, made_by, reason, violations,
};
use chassis::{
    caller::Identity,
    db::Db,
    server::Base,
    testing::{self, TestDb},
};
use nova_api_svc::{
    compute::ComputeApi,
    instance::Compute,
    quota::Quota,
    store::{MIGRATIONS, Store},
};
use peers::{cinder::Cinder as CinderClient, glance::Glance as GlanceClient};
use proto::{
    glance::v1::Image,
    nova::v1::{
        CreateInstanceRequest, CreateInstanceResponse, DeleteInstanceRequest, Flavor, GetInstanceRequest,
        Instance, ListInstancesRequest, ListInstancesResponse, flavor_service_client::FlavorServiceClient,
        instance_service_client::InstanceServiceClient,
    },
};
use sqlx::{
    Connection as _, Executor as _, FromRow, PgConnection, SqliteConnection, postgres::PgRow,
    sqlite::SqliteRow,
};
use tonic::{Code, IntoRequest, Status, transport::Channel};
use tonic_types::StatusExt as _;

use crate::glance::Glance;

/// How a server is configured.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) quota: Quota,
    pub(crate) template: &'static str,
    pub(crate) glance_timeout: Duration,
    /// Where glance-svc is; the double unless given.
    pub(crate) glance_endpoint: Option<String>,
    /// Where cinder-svc is, if there is one.
    pub(crate) cinder_endpoint: Option<String>,
    pub(crate) compute: Compute,
    pub(crate) non_inheritable: &'static str,
    /// Whether it does jobs in the background.
    pub(crate) does_jobs: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            quota: Quota::default(),
            template: "%(name)s-%(uuid)s",
            glance_timeout: Duration::from_secs(30),
            glance_endpoint: None,
            cinder_endpoint: None,
            compute: Compute::Agent,
            non_inheritable: "cache_in_nova,bittorrent",
            does_jobs: true,
        }
    }
}

/// A running nova-api-svc, a client of it, and the image catalogue that it calls.
pub(crate) struct Nova {
    pub(crate) channel: Channel,
    pub(crate) glance: Glance,
    pub(crate) db: TestDb,
}

/// How many rows each table has: instances, metadata, system metadata, requests, projects under a quota.
pub(crate) type Rows = (i64, i64, i64, i64, i64);

/// No rows anywhere.
pub(crate) const NOTHING: Rows = (0, 0, 0, 0, 0);

impl Nova {
    pub(crate) async fn start(db: TestDb) -> Self {
        Self::start_with(db, Settings::default()).await
    }

    pub(crate) async fn start_with(db: TestDb, settings: Settings) -> Self {
        let glance = Glance::start().await;
        let endpoint = settings.glance_endpoint.clone().unwrap_or_else(|| glance.endpoint());
        let channel = connect(serve(&db.url, &endpoint, &settings).await).await;
        Self { channel, glance, db }
    }

    pub(crate) fn instances(&self) -> InstanceServiceClient<Channel> {
        InstanceServiceClient::new(self.channel.clone())
    }

    /// Clients of this replica and of another one on the same database.
    pub(crate) async fn replicas(&self, settings: &Settings) -> [InstanceServiceClient<Channel>; 2] {
        let address = serve(&self.db.url, &self.glance.endpoint(), settings).await;
        [self.instances(), InstanceServiceClient::new(connect(address).await)]
    }

    pub(crate) fn flavors(&self) -> FlavorServiceClient<Channel> {
        FlavorServiceClient::new(self.channel.clone())
    }

    /// Creates instances for alice of project demo, unless the request says whose it is.
    pub(crate) async fn create(
        &self,
        request: impl IntoRequest<CreateInstanceRequest>,
    ) -> Result<CreateInstanceResponse, Status> {
        let mut request = request.into_request();
        if request.metadata().get("x-project-id").is_none() {
            request = made_by("alice", "demo", request.into_inner());
        }
        Ok(self.instances().create_instance(request).await?.into_inner())
    }

    /// The only instance that a request creates.
    pub(crate) async fn create_one(&self, request: CreateInstanceRequest) -> Instance {
        let mut created = self.create(request).await.unwrap().instances;
        assert_eq!(created.len(), 1);
        created.remove(0)
    }

    pub(crate) async fn get(&self, id: &str) -> Result<Instance, Status> {
        let request = GetInstanceRequest { id: id.to_owned() };
        Ok(self.instances().get_instance(request).await?.into_inner())
    }

    pub(crate) async fn delete(&self, id: &str) -> Result<(), Status> {
        let request = DeleteInstanceRequest { id: id.to_owned(), ..Default::default() };
        self.instances().delete_instance(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn list(&self, request: ListInstancesRequest) -> Result<ListInstancesResponse, Status> {
        Ok(self.instances().list_instances(request).await?.into_inner())
    }

    /// The whole list, page by page.
    pub(crate) async fn walk(&self, mut request: ListInstancesRequest) -> Vec<Instance> {
        let mut instances = Vec::new();
        loop {
            let page = self.list(request.clone()).await.unwrap();
            assert!(
                request.page_size == 0 || page.instances.len() <= usize::try_from(request.page_size).unwrap()
            );
            instances.extend(page.instances);
            if page.next_page_token.is_empty() {
                return instances;
            }
            request.page_token = page.next_page_token;
        }
    }

    /// A flavor of that size, with name and id `id`.
    pub(crate) async fn flavor(&self, id: &str, memory_mb: i32, vcpus: i32, root_gb: i32) -> Flavor {
        let (id, name) = (id.to_owned(), id.to_owned());
        let flavor = Flavor { id, name, memory_mb, vcpus, root_gb, ..Flavor::default() };
        let request = proto::nova::v1::CreateFlavorRequest { flavor: Some(flavor) };
        self.flavors().create_flavor(request).await.unwrap().into_inner()
    }

    /// How many rows each table has.
    pub(crate) async fn rows(&self) -> Rows {
        self.sql(
            "SELECT (SELECT COUNT(*) FROM instances), (SELECT COUNT(*) FROM instance_metadata), \
             (SELECT COUNT(*) FROM instance_system_metadata), (SELECT COUNT(*) FROM create_requests), \
             (SELECT COUNT(*) FROM quota_projects)",
        )
        .await
        .remove(0)
    }

    /// The rows that a query gives.
    pub(crate) async fn sql<T>(&self, query: &'static str) -> Vec<T>
    where
        T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        if self.is_sqlite() {
            let mut connection = SqliteConnection::connect(&self.db.url).await.unwrap();
            sqlx::query_as(query).fetch_all(&mut connection).await.unwrap()
        } else {
            let mut connection = PgConnection::connect(&self.db.url).await.unwrap();
            sqlx::query_as(query).fetch_all(&mut connection).await.unwrap()
        }
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.db.url.starts_with("sqlite")
    }
}

/// Serves the database at `url` as long as the test runs.
pub(crate) async fn serve(url: &str, glance_endpoint: &str, settings: &Settings) -> SocketAddr {
    let db = testing::open(url, &MIGRATIONS).await;
    let compute = compute_api(&db, glance_endpoint, settings);
    if settings.does_jobs {
        let jobs = compute.clone();
        tokio::spawn(async move { jobs.do_jobs().await });
        let jobs = compute.clone();
        tokio::spawn(async move { jobs.do_volume_jobs().await });
    }
    let base = Base::new("nova-api-svc", db, Identity::Development);
    testing::serve(nova_api_svc::service(compute, &base)).await
}

/// The compute API on a database.
pub(crate) fn compute_api(db: &Db, glance_endpoint: &str, settings: &Settings) -> ComputeApi {
    ComputeApi {
        glance: GlanceClient::new(glance_endpoint, settings.glance_timeout, None, None).unwrap(),
        cinder: settings
            .cinder_endpoint
            .as_ref()
            .map(|endpoint| CinderClient::new(endpoint, settings.glance_timeout, None, None).unwrap()),
        store: Store::new(db.clone()),
        quota: settings.quota,
        name_template: settings.template.parse().unwrap(),
        compute: settings.compute,
        non_inheritable: settings.non_inheritable.parse().unwrap(),
    }
}

/// Runs statements on the database at `url`.
pub(crate) async fn execute(url: &str, statements: &str) {
    let statements = sqlx::AssertSqlSafe(statements.to_owned());
    if url.starts_with("sqlite") {
        SqliteConnection::connect(url).await.unwrap().execute(statements).await.unwrap();
    } else {
        PgConnection::connect(url).await.unwrap().execute(statements).await.unwrap();
    }
}

/// A request for one m1.small called `web`.
pub(crate) fn of(image: &Image) -> CreateInstanceRequest {
    CreateInstanceRequest {
        name: "web".to_owned(),
        image_id: image.id.clone(),
        flavor_id: "2".to_owned(),
        ..CreateInstanceRequest::default()
    }
}

/// A request for that many of them.
pub(crate) fn several(image: &Image, count: i32) -> CreateInstanceRequest {
    CreateInstanceRequest { min_count: count, ..of(image) }
}

/// Checks what every error carries and that it is this one; returns its values.
#[track_caller]
pub(crate) fn assert_error(status: &Status, code: Code, reason: &str) -> Values {
    testing::assert_error(status, "nova", code, reason)
}

/// Checks that an error is worth a retry and says when.
#[track_caller]
pub(crate) fn assert_retry(status: &Status, code: Code, reason: &str) {
    assert_error(status, code, reason);
    assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_secs(1)));
}

/// Checks that the image, or image and flavor together, do not allow it; returns the values.
#[track_caller]
pub(crate) fn assert_refused(status: &Status, reason: &str, image_id: &str) -> Values {
    let values = assert_error(status, Code::FailedPrecondition, reason);
    assert_eq!(&values["image_id"], image_id);
    let failure = status.get_details_precondition_failure().unwrap();
    assert_eq!(failure.violations.len(), 1);
    assert_eq!(failure.violations[0].r#type, reason);
    assert_eq!(failure.violations[0].subject, format!("image/{image_id}"));
    assert_eq!(failure.violations[0].description, status.message());
    values
}
