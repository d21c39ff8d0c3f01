//! The database: its schema, and what happens when it is away.

use std::net::SocketAddr;

use chassis::{on_both_databases, testing::TestDb};
use proto::nova::v1::{
    CreateFlavorRequest, DeleteInstanceRequest, Flavor, GetFlavorRequest, GetInstanceRequest,
    ListFlavorsRequest, ListInstancesRequest, flavor_service_client::FlavorServiceClient,
    instance_service_client::InstanceServiceClient,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    glance::{ClosedPort, Glance},
    support::{Nova, Settings, assert_retry, connect, of, serve},
};

on_both_databases!(a_second_server_on_the_same_database_sees_the_same);

async fn a_second_server_on_the_same_database_sees_the_same(db: TestDb) {
    let nova = Nova::start(db).await;
    let instance = nova.create_one(of(&nova.glance.with(&[]))).await;
    let settings = Settings::default();
    let address = serve(&nova.db.url, &nova.glance.endpoint(), &settings).await;
    let mut other = InstanceServiceClient::new(connect(address).await);
    let request = GetInstanceRequest { id: instance.id.clone() };
    assert_eq!(other.get_instance(request).await.unwrap().into_inner(), instance);
}

#[tokio::test]
async fn both_databases_have_the_same_tables_and_columns() {
    let sqlite = Nova::start(TestDb::sqlite()).await;
    let postgres = Nova::start(TestDb::postgres().await).await;
    let of_sqlite = sqlite
        .sql::<(String, String)>(
            "SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c \
             WHERE m.type IN ('table', 'view') AND substr(m.name, 1, 1) <> '_' AND m.name NOT LIKE 'sqlite%' \
             ORDER BY 1, 2",
        )
        .await;
    let of_postgres = postgres
        .sql::<(String, String)>(
            "SELECT table_name::text COLLATE \"C\", column_name::text COLLATE \"C\" FROM information_schema.columns \
             WHERE table_schema = 'public' AND left(table_name, 1) <> '_' ORDER BY 1, 2",
        )
        .await;
    assert_eq!(of_sqlite, of_postgres);
    assert!(of_sqlite.contains(&("instance_system_metadata".to_owned(), "truncated".to_owned())));

    let not_null_of_sqlite = sqlite
        .sql::<(String, String)>(
            "SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND substr(m.name, 1, 1) <> '_' AND m.name NOT LIKE 'sqlite%' \
             AND (c.\"notnull\" = 1 OR c.pk > 0) ORDER BY 1, 2",
        )
        .await;
    let not_null_of_postgres = postgres
        .sql::<(String, String)>(
            "SELECT c.table_name::text COLLATE \"C\", c.column_name::text COLLATE \"C\" \
             FROM information_schema.columns c \
             JOIN information_schema.tables t USING (table_schema, table_name) \
             WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND left(c.table_name, 1) <> '_' \
             AND c.is_nullable = 'NO' ORDER BY 1, 2",
        )
        .await;
    assert_eq!(not_null_of_sqlite, not_null_of_postgres);

    let indexes_of_sqlite = sqlite
        .sql::<(String,)>(
            "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name",
        )
        .await;
    let indexes_of_postgres = postgres
        .sql::<(String,)>(
            "SELECT indexname::text COLLATE \"C\" FROM pg_indexes WHERE schemaname = 'public' \
             AND indexname LIKE '%\\_by\\_%' ORDER BY 1",
        )
        .await;
    assert_eq!(indexes_of_sqlite, indexes_of_postgres);
}

/// Every method that needs the database says that it is away and when to come back.
async fn assert_away(channel: Channel) {
    let mut instances = InstanceServiceClient::new(channel.clone());
    let mut flavors = FlavorServiceClient::new(channel);
    let id = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11".to_owned();
    let flavor = Flavor { name: "a".to_owned(), memory_mb: 1, vcpus: 1, ..Flavor::default() };
    let image = proto::glance::v1::Image { id: id.clone(), ..Default::default() };
    let retry = proto::nova::v1::CreateInstanceRequest { request_id: "1".to_owned(), ..of(&image) };
    for status in [
        instances.create_instance(of(&image)).await.unwrap_err(),
        instances.create_instance(retry).await.unwrap_err(),
        instances.get_instance(GetInstanceRequest { id: id.clone() }).await.unwrap_err(),
        instances.list_instances(ListInstancesRequest::default()).await.unwrap_err(),
        instances.delete_instance(DeleteInstanceRequest { id, ..Default::default() }).await.unwrap_err(),
        flavors.create_flavor(CreateFlavorRequest { flavor: Some(flavor) }).await.unwrap_err(),
        flavors.get_flavor(GetFlavorRequest { id: "1".to_owned() }).await.unwrap_err(),
        flavors.list_flavors(ListFlavorsRequest::default()).await.unwrap_err(),
    ] {
        assert_retry(&status, Code::Unavailable, "DATABASE_UNAVAILABLE");
        assert_eq!(status.message(), "the database is not available; try again");
    }
}

async fn health(channel: &Channel, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(channel.clone()).check(request).await.unwrap().into_inner().status()
}

/// Waits until the health of the whole server is `status`; the test runner's patience is the limit.
async fn wait_for_health(channel: &Channel, status: ServingStatus) {
    let request = HealthCheckRequest::default();
    let mut watch = HealthClient::new(channel.clone()).watch(request).await.unwrap().into_inner();
    while watch.message().await.unwrap().unwrap().status() != status {}
}

#[tokio::test]
async fn a_server_starts_without_its_database_and_says_so() {
    let port = ClosedPort::reserve();
    let glance = Glance::start().await;
    let url = format!("postgres://nova:secret@{}/nova", port.address());
    let channel = connect(serve(&url, &glance.endpoint(), &Settings::default()).await).await;
    assert_away(channel.clone()).await;
    for service in ["", "nova.v1.InstanceService", "nova.v1.FlavorService"] {
        assert_eq!(health(&channel, service).await, ServingStatus::NotServing);
    }
    assert_eq!(health(&channel, "liveness").await, ServingStatus::Serving);
}

#[tokio::test]
async fn a_database_that_comes_back_is_used_again() {
    let db = TestDb::postgres().await;
    let (line, url) = Line::to(&db.url).await;
    let glance = Glance::start().await;
    let channel = connect(serve(&url, &glance.endpoint(), &Settings::default()).await).await;
    wait_for_health(&channel, ServingStatus::Serving).await;
    let image = glance.with(&[]);
    let mut instances = InstanceServiceClient::new(channel.clone());
    let created = instances.create_instance(of(&image)).await.unwrap().into_inner().instances;

    line.send_replace(false);
    wait_for_health(&channel, ServingStatus::NotServing).await;
    assert_away(channel.clone()).await;

    line.send_replace(true);
    wait_for_health(&channel, ServingStatus::Serving).await;
    let listed = instances.list_instances(ListInstancesRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.instances, created);
    instances.create_instance(of(&image)).await.unwrap();
}

/// A line to a PostgreSQL server that can be cut.
struct Line;

impl Line {
    /// A switch, and the URL of the database at the other end.
    async fn to(url: &str) -> (watch::Sender<bool>, String) {
        let (head, rest) = url.rsplit_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let server: SocketAddr = server.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (switch, state) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, server, state.clone()));
            }
        });
        (switch, format!("{head}@{address}/{database}"))
    }
}

/// Carries a connection until the line is cut; one that begins then ends at once.
async fn carry(mut near: TcpStream, server: SocketAddr, mut state: watch::Receiver<bool>) {
    let mut far = TcpStream::connect(server).await.unwrap();
    tokio::select! {
        biased;
        _ = state.wait_for(|whole| !whole) => {}
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
    }
}
