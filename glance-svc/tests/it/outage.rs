//! A PostgreSQL that is away: clear answers meanwhile, and a service that comes back by itself.

use std::net::SocketAddr;

use chassis::testing::TestDb;
use proto::glance::v1::{
    ListImagesRequest, image_service_client::ImageServiceClient, image_service_server::SERVICE_NAME,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_types::StatusExt as _;

use crate::{
    database::{await_health, health},
    support::{DEFAULT_QUOTA, Glance, assert_error, connect, named, serve},
};

/// A server whose way to its database leads through `gate`, an address where nobody listens yet.
async fn behind_a_gate() -> (Glance, SocketAddr, String) {
    let db = TestDb::postgres().await;
    let gate = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (before, database) = db.url.rsplit_once('/').unwrap();
    let host = before.rsplit(['/', '@']).next().unwrap().to_owned();
    let user = before.strip_suffix(&host).unwrap();
    let address = serve(&format!("{user}{gate}/{database}"), DEFAULT_QUOTA).await;
    let channel = connect(address).await;
    let client = ImageServiceClient::new(channel.clone());
    (Glance { client, channel, address, db }, gate, host)
}

/// Opens the gate until the task is aborted, which also cuts what goes through it.
async fn open_gate(gate: SocketAddr, database: String) -> JoinHandle<()> {
    let listener = TcpListener::bind(gate).await.unwrap();
    tokio::spawn(async move {
        let mut through = JoinSet::new();
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(&database).await.unwrap();
            through.spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    })
}

async fn close_gate(gate: JoinHandle<()>) {
    gate.abort();
    assert!(gate.await.unwrap_err().is_cancelled());
}

#[track_caller]
fn assert_unavailable(refused: &Status) {
    assert_error(refused, Code::Unavailable, "DATABASE_UNAVAILABLE");
    let delay = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(!delay.is_zero());
    for word in ["refused", "pool", "sqlx", "127.0.0.1"] {
        assert!(!format!("{refused:?}").contains(word), "{refused:?}");
    }
}

#[tokio::test]
async fn starts_and_answers_without_a_database() {
    let (glance, _, _) = behind_a_gate().await;
    let unknown = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11";
    assert_unavailable(&glance.create(named("cirros")).await.unwrap_err());
    assert_unavailable(&glance.get(unknown).await.unwrap_err());
    assert_unavailable(&glance.set(unknown, &[]).await.unwrap_err());
    assert_unavailable(&glance.delete(unknown, "").await.unwrap_err());
    assert_unavailable(&glance.list(ListImagesRequest::default()).await.unwrap_err());
    for service in ["", SERVICE_NAME] {
        assert_eq!(health(&glance, service).await.unwrap(), ServingStatus::NotServing);
    }
    assert_eq!(health(&glance, "liveness").await.unwrap(), ServingStatus::Serving);
}

#[tokio::test]
async fn says_what_is_wrong_with_a_request_without_a_database() {
    let (glance, _, _) = behind_a_gate().await;
    let refused = glance.get("x").await.unwrap_err();
    assert_error(&refused, Code::InvalidArgument, "INVALID_REQUEST");
}

#[tokio::test]
async fn comes_back_with_its_database() {
    let (glance, gate, database) = behind_a_gate().await;
    let opened = open_gate(gate, database.clone()).await;
    await_health(&glance, SERVICE_NAME, ServingStatus::Serving).await;
    let image = glance.named("cirros").await;

    close_gate(opened).await;
    assert_unavailable(&glance.get(&image.id).await.unwrap_err());
    await_health(&glance, "", ServingStatus::NotServing).await;
    assert_unavailable(&glance.set(&image.id, &[("k", "v")]).await.unwrap_err());

    let _opened = open_gate(gate, database).await;
    await_health(&glance, "", ServingStatus::Serving).await;
    assert_eq!(glance.get(&image.id).await.unwrap(), image);
    assert_eq!(glance.set(&image.id, &[("k", "v")]).await.unwrap().revision, 2);
}
