//! Input on the wire that is not a valid message.

use chassis::{on_both_databases, testing::TestDb};
use proto::nova::v1::{CreateInstanceRequest, CreateInstanceResponse, ListFlavorsRequest};
use tonic::{Code, Request, Status, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_prost::ProstCodec;

use crate::{
    glance::map,
    support::{NOTHING, Nova, assert_error, of},
};

on_both_databases!(
    a_message_that_is_too_large_is_refused,
    a_message_just_below_the_limit_is_read,
    text_that_is_no_utf8_is_refused,
    bytes_that_are_no_message_are_refused,
    an_unknown_method_is_told,
    fields_of_the_future_are_left_alone,
    every_service_is_healthy,
);

const CREATE: &str = "/nova.v1.InstanceService/CreateInstance";

/// A request whose name may be no text, with a field that we do not know.
#[derive(Clone, PartialEq, prost::Message)]
struct Raw {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    image_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    flavor_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "1000")]
    future: Vec<u8>,
}

/// A request whose name is a number.
#[derive(Clone, PartialEq, prost::Message)]
struct Nonsense {
    #[prost(fixed64, tag = "1")]
    name: u64,
}

async fn send(
    nova: &Nova,
    path: &'static str,
    message: impl prost::Message + 'static,
) -> Result<CreateInstanceResponse, Status> {
    let mut grpc = Grpc::new(nova.channel.clone());
    grpc.ready().await.unwrap();
    let path = PathAndQuery::from_static(path);
    Ok(grpc.unary(Request::new(message), path, ProstCodec::default()).await?.into_inner())
}

/// The connection of the test carries further requests.
async fn assert_alive(nova: &Nova) {
    let flavors = nova.flavors().list_flavors(ListFlavorsRequest::default()).await.unwrap();
    assert_eq!(flavors.into_inner().flavors.len(), 5);
    assert_eq!(nova.rows().await, NOTHING);
}

async fn a_message_that_is_too_large_is_refused(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    for bytes in [4 * 1024 * 1024, 20 * 1024 * 1024] {
        let request = CreateInstanceRequest { name: "x".repeat(bytes), ..of(&image) };
        let status = nova.create(request).await.unwrap_err();
        let values = assert_error(&status, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
        assert_eq!(&values["limit_bytes"], "4194304");
        assert_alive(&nova).await;
    }
}

async fn a_message_just_below_the_limit_is_read(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let metadata = map(&[("key", &"x".repeat(4 * 1024 * 1024 - 200))]);
    let status = nova.create(CreateInstanceRequest { metadata, ..of(&image) }).await.unwrap_err();
    let values = assert_error(&status, Code::InvalidArgument, "INVALID_REQUEST");
    assert_eq!(&values["problem"], "the value has 4194104 characters, at most 255 are allowed");
    assert_alive(&nova).await;
}

async fn text_that_is_no_utf8_is_refused(db: TestDb) {
    let nova = Nova::start(db).await;
    for name in [&b"\xff\xfe"[..], b"web\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80"] {
        let status = send(&nova, CREATE, Raw { name: name.to_vec(), ..Raw::default() }).await.unwrap_err();
        assert_error(&status, Code::InvalidArgument, "MALFORMED_MESSAGE");
        assert_alive(&nova).await;
    }
}

async fn bytes_that_are_no_message_are_refused(db: TestDb) {
    let nova = Nova::start(db).await;
    let status = send(&nova, CREATE, Nonsense { name: u64::MAX }).await.unwrap_err();
    assert_error(&status, Code::InvalidArgument, "MALFORMED_MESSAGE");
    assert_alive(&nova).await;
}

async fn an_unknown_method_is_told(db: TestDb) {
    let nova = Nova::start(db).await;
    for path in ["/nova.v1.InstanceService/RebootInstance", "/nova.v2.InstanceService/GetInstance", "/x", "/"]
    {
        let status = send(&nova, path, Raw::default()).await.unwrap_err();
        assert_error(&status, Code::Unimplemented, "METHOD_NOT_FOUND");
        assert_alive(&nova).await;
    }
}

async fn fields_of_the_future_are_left_alone(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let request = Raw {
        name: b"web".to_vec(),
        image_id: image.id.into_bytes(),
        flavor_id: b"1".to_vec(),
        future: vec![0xff; 1000],
    };
    assert_eq!(send(&nova, CREATE, request).await.unwrap().instances[0].name, "web");
}

async fn every_service_is_healthy(db: TestDb) {
    let nova = Nova::start(db).await;
    let mut health = HealthClient::new(nova.channel.clone());
    for service in ["", "liveness", "nova.v1.InstanceService", "nova.v1.FlavorService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let mut watch = health.watch(request).await.unwrap().into_inner();
        while watch.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    }
    let request = HealthCheckRequest { service: "nova.v1.Nothing".to_owned() };
    let status = health.check(request).await.unwrap_err();
    assert_error(&status, Code::NotFound, "NOT_FOUND");
}
