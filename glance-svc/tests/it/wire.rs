//! What a broken or hostile client gets: a clean status, and a connection that goes on.

use std::time::Duration;

use chassis::{on_both_databases, testing::TestDb};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use prost_types::FieldMask;
use proto::glance::v1::{
    GetImageRequest, Image, UpdateImagePropertiesRequest, UpdateImageRequest,
    image_service_client::ImageServiceClient,
};
use tonic::{Code, Request, Status, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt as _;

use crate::support::{Glance, assert_error, assert_violation, made_by, named, setting, violations};

on_both_databases!(
    refuses_a_message_that_is_too_large,
    refuses_a_message_of_too_many_fields,
    tells_the_first_violations_and_how_many_others,
    refuses_invalid_utf8,
    refuses_broken_messages,
    refuses_an_unknown_method,
    refuses_an_unknown_compression,
    refuses_a_bad_actor,
    takes_an_actor_of_255_characters,
    an_expired_deadline_is_an_answer,
    no_deadline_is_missed_without_a_word,
    a_generous_deadline_changes_nothing,
    every_answer_has_a_request_id,
);

/// Sends any message to any method.
async fn send<M>(channel: &Channel, path: &'static str, request: Request<M>) -> Result<Image, Status>
where
    M: prost::Message + Default + 'static,
{
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let codec = ProstCodec::<M, Image>::default();
    Ok(grpc.unary(request, PathAndQuery::from_static(path), codec).await?.into_inner())
}

const GET: &str = "/glance.v1.ImageService/GetImage";
const CREATE: &str = "/glance.v1.ImageService/CreateImage";

/// `GetImageRequest` as somebody has it who takes text for bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct Bytes {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
}

/// `GetImageRequest` as somebody has it who takes text for a number.
#[derive(Clone, PartialEq, prost::Message)]
struct Number {
    #[prost(fixed64, tag = "1")]
    id: u64,
}

async fn refuses_a_message_that_is_too_large(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = glance.named("cirros").await;
    let set = |bytes: usize| {
        let value = "x".repeat(bytes / 100);
        let names: Vec<_> = (0..100).map(|number| format!("{number:02}")).collect();
        let pairs: Vec<_> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
        setting(&image.id, &pairs)
    };
    for bytes in [5_000_000, 50_000_000] {
        let refused = glance.update_properties(set(bytes)).await.unwrap_err();
        let metadata = assert_error(&refused, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
        assert_eq!(metadata["limit_bytes"], "4194304");
        assert_eq!(glance.get(&image.id).await.unwrap(), image, "the connection goes on");
    }
    // This one arrives; the image may not have that much.
    let refused = glance.update_properties(set(4_100_000)).await.unwrap_err();
    assert_error(&refused, Code::ResourceExhausted, "IMAGE_QUOTA_EXCEEDED");
}

async fn refuses_a_message_of_too_many_fields(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = glance.named("cirros").await;
    let paths = vec![String::new(); 2_000_000];
    let request = UpdateImageRequest { image: Some(image), update_mask: Some(FieldMask { paths }) };
    let refused = glance.client.clone().update_image(request).await.unwrap_err();
    let values = assert_error(&refused, Code::InvalidArgument, "TOO_MANY_FIELDS");
    assert!(values["fields"].parse::<usize>().unwrap() > 2_000_000, "{values:?}");
    assert!(refused.message().ends_with("fields, at most 32768 are allowed"), "{refused:?}");
    glance.named("others go on").await;
}

async fn tells_the_first_violations_and_how_many_others(db: TestDb) {
    let glance = Glance::start(db).await;
    let remove = (0..10_000).map(|number| format!("bad\n{number}")).collect();
    let request = UpdateImagePropertiesRequest { remove, ..setting(&glance.named("n").await.id, &[]) };
    let refused = glance.update_properties(request).await.unwrap_err();
    let found = violations(&refused);
    assert!(found.len() <= 51, "{}", found.len());
    let others = format!("and {} more violations; correct these first", 10_000 - (found.len() - 1));
    assert_eq!(found.last().unwrap().1, others);
    assert!(refused.message().starts_with("10000 violations"), "{refused:?}");
}

async fn refuses_invalid_utf8(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = glance.named("cirros").await;
    for id in [&b"\xff"[..], b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\xe2\x82"] {
        let refused = send(&glance.channel, GET, Request::new(Bytes { id: id.to_vec() })).await.unwrap_err();
        assert_error(&refused, Code::InvalidArgument, "MALFORMED_MESSAGE");
        assert_eq!(glance.get(&image.id).await.unwrap(), image, "the connection goes on");
    }
    let valid = Bytes { id: image.id.clone().into_bytes() };
    assert_eq!(send(&glance.channel, GET, Request::new(valid)).await.unwrap(), image);
}

async fn refuses_broken_messages(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = glance.named("cirros").await;
    let number = send(&glance.channel, GET, Request::new(Number { id: 7 })).await.unwrap_err();
    assert_error(&number, Code::InvalidArgument, "MALFORMED_MESSAGE");
    // An image that ends in the middle of its name.
    let cut = Bytes { id: vec![0x12, 0x7f, b'x'] };
    let cut = send(&glance.channel, CREATE, Request::new(cut)).await.unwrap_err();
    assert_error(&cut, Code::InvalidArgument, "MALFORMED_MESSAGE");
    assert_eq!(glance.get(&image.id).await.unwrap(), image, "the connection goes on");
}

async fn refuses_an_unknown_method(db: TestDb) {
    let glance = Glance::start(db).await;
    for path in ["/glance.v1.ImageService/Nonsense", "/nonsense.v1.Nonsense/Get", "/", "/x/y/z"] {
        let refused = send(&glance.channel, path, Request::new(Number { id: 7 })).await.unwrap_err();
        assert_error(&refused, Code::Unimplemented, "METHOD_NOT_FOUND");
    }
    glance.named("the connection goes on").await;
}

async fn refuses_an_unknown_compression(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.named("cirros").await.id;
    let mut request = Request::new(GetImageRequest { id, revision: 0 });
    request.metadata_mut().insert("grpc-encoding", "gzip".parse().unwrap());
    let refused = send(&glance.channel, GET, request).await.unwrap_err();
    assert_error(&refused, Code::Unimplemented, "COMPRESSION_NOT_SUPPORTED");
    glance.named("the connection goes on").await;
}

async fn refuses_a_bad_actor(db: TestDb) {
    let mut glance = Glance::start(db).await;
    let image = glance.named("cirros").await;
    let long = "x".repeat(300);
    let request = || setting(&image.id, &[("k", "v")]);
    for (user, project, field) in [(long.as_str(), "demo", "x-user-id"), ("alice", &long, "x-project-id")] {
        let refused = glance.client.update_image_properties(made_by(user, project, request())).await;
        assert_violation(&refused.unwrap_err(), field, "has 300 characters, at most 255 are allowed");
    }
    let mut other: Request<UpdateImagePropertiesRequest> = Request::new(request());
    let opaque = tonic::metadata::MetadataValue::try_from(&b"\xe9"[..]).unwrap();
    other.metadata_mut().insert("x-user-id", opaque);
    let refused = glance.client.update_image_properties(other).await.unwrap_err();
    assert_violation(&refused, "x-user-id", "must be visible ASCII");
    assert_eq!(glance.get(&image.id).await.unwrap(), image);
}

async fn takes_an_actor_of_255_characters(db: TestDb) {
    let mut glance = Glance::start(db).await;
    let longest = "x".repeat(255);
    let image = proto::glance::v1::CreateImageRequest { image: Some(named("cirros")) };
    let created = glance.client.create_image(made_by(&longest, &longest, image)).await.unwrap().into_inner();
    let last = glance.revisions(&created.id).await.remove(0);
    assert_eq!((last.user_id, last.project_id), (longest.clone(), longest));
}

/// A client that sends `grpc-timeout` but does not watch it, so that the server's answer is seen.
async fn patient(glance: &Glance, id: &str, timeout: &str) -> Result<Image, Status> {
    let http = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let origin = format!("http://{}", glance.address).parse().unwrap();
    let mut client = ImageServiceClient::with_origin(http, origin);
    let mut request = Request::new(GetImageRequest { id: id.to_owned(), revision: 0 });
    request.metadata_mut().insert("grpc-timeout", timeout.parse().unwrap());
    Ok(client.get_image(request).await?.into_inner())
}

async fn an_expired_deadline_is_an_answer(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.named("cirros").await.id;
    for timeout in ["0n", "1n", "0m", "0H"] {
        let refused = patient(&glance, &id, timeout).await.unwrap_err();
        assert_error(&refused, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    }
}

async fn no_deadline_is_missed_without_a_word(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.named("cirros").await.id;
    for microseconds in (0..3000).step_by(30) {
        if let Err(refused) = patient(&glance, &id, &format!("{microseconds}u")).await {
            assert_error(&refused, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
        }
    }
}

async fn a_generous_deadline_changes_nothing(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = glance.named("cirros").await;
    for timeout in ["99999999H", "30S", "nonsense", "-1S", ""] {
        assert_eq!(patient(&glance, &image.id, timeout).await.unwrap(), image, "{timeout}");
    }
    let mut request = Request::new(GetImageRequest { id: image.id.clone(), revision: 0 });
    request.set_timeout(Duration::from_mins(1));
    assert_eq!(send(&glance.channel, GET, request).await.unwrap(), image);
}

async fn every_answer_has_a_request_id(db: TestDb) {
    let mut glance = Glance::start(db).await;
    let id = glance.named("cirros").await.id;
    let answer = glance.client.get_image(GetImageRequest { id, revision: 0 }).await.unwrap();
    assert!(answer.metadata().contains_key("x-request-id"));
    let mut request = Request::new(GetImageRequest { id: "x".to_owned(), revision: 0 });
    request.metadata_mut().insert("x-request-id", "mine".parse().unwrap());
    let refused = glance.client.get_image(request).await.unwrap_err();
    assert_eq!(refused.metadata().get("x-request-id").unwrap(), "mine");
    assert!(refused.get_details_error_info().is_some());
}
