//! Image data, over both edges.

use std::{fmt::Write as _, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use md5::Md5;
use proto::glance::v1::{DownloadImageDataRequest, Image, UploadImageDataRequest, image::Status};
use sha2::{Digest as _, Sha512};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_stream::wrappers::ReceiverStream;

use crate::support::{Answer, Http, Who, World, soon};

mod away;
mod broken;
mod concurrent;
mod download;
mod gone;
mod lease;
mod limit;
mod range;
mod refused;
mod removal;
mod upload;
mod virtual_size;

const MIB: usize = 1024 * 1024;

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// This many bytes, without repetition at the boundaries of parts and chunks.
fn bytes(count: usize) -> Bytes {
    (0..count).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

fn hexadecimal(hash: &[u8]) -> String {
    let mut text = String::new();
    for byte in hash {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

fn md5(data: &[u8]) -> String {
    hexadecimal(&Md5::digest(data))
}

fn sha512(data: &[u8]) -> String {
    hexadecimal(&Sha512::digest(data))
}

/// A body of chunks, without a length.
fn chunked(data: &Bytes, piece: usize) -> Body {
    let pieces: Vec<_> =
        data.chunks(piece).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
    Body::from_stream(stream::iter(pieces))
}

/// The messages of an upload, in pieces; at least one, which names the image.
fn messages(id: &str, size: Option<i64>, data: &[u8], piece: usize) -> Vec<UploadImageDataRequest> {
    let first = UploadImageDataRequest { image_id: id.to_owned(), size, data: Bytes::new() };
    let pieces = data
        .chunks(piece)
        .map(|piece| UploadImageDataRequest { data: Bytes::copy_from_slice(piece), ..Default::default() });
    std::iter::once(first).chain(pieces).collect()
}

async fn upload_over_grpc(
    world: &World,
    who: Who,
    messages: Vec<UploadImageDataRequest>,
) -> Result<Image, tonic::Status> {
    Ok(world.grpc(who).upload_image_data(tokio_stream::iter(messages)).await?.into_inner())
}

/// A part of the data over gRPC; `length` 0 for all to the end.
async fn read(world: &World, who: Who, id: &str, offset: i64, length: i64) -> Result<Vec<u8>, tonic::Status> {
    let request = DownloadImageDataRequest { id: id.to_owned(), offset, length };
    let mut chunks = world.grpc(who).download_image_data(request).await?.into_inner();
    let mut data = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        data.extend(chunk.data);
    }
    Ok(data)
}

async fn status(world: &World, id: &str) -> Status {
    world.get(id).await.unwrap().status()
}

/// Waits until the image has that status.
async fn becomes(world: &World, id: &str, expected: Status) {
    soon(expected.as_str_name(), async || (status(world, id).await == expected).then_some(())).await;
}

/// Waits until the data store is empty; files are removed a moment after the database has recorded it.
async fn is_empty(world: &World) {
    soon("no data are left", async || world.data().is_empty().then_some(())).await;
}

/// Checks that the image is QUEUED again, and that none of its data is left.
async fn is_queued_again(world: &World, id: &str) {
    becomes(world, id, Status::Queued).await;
    let image = world.get(id).await.unwrap();
    assert_eq!((image.size, image.virtual_size), (None, None));
    assert_eq!((image.checksum.as_str(), image.os_hash_value.as_str()), ("", ""));
    is_empty(world).await;
}

/// An upload that waits for the test to send its bytes.
struct Slow {
    bytes: mpsc::Sender<Result<Bytes, std::io::Error>>,
    answer: JoinHandle<Answer>,
}

impl Slow {
    /// Begins an upload over HTTP; the image is SAVING.
    async fn begin(world: &World, http: &Http, id: &str) -> Self {
        let (bytes, receiver) = mpsc::channel(1);
        let (http, target) = (http.clone(), id.to_owned());
        let body = Body::from_stream(ReceiverStream::new(receiver));
        let answer = tokio::spawn(async move { http.upload(&target, body).await });
        let slow = Self { bytes, answer };
        slow.send("beginning ").await;
        becomes(world, id, Status::Saving).await;
        slow
    }

    async fn send(&self, bytes: &'static str) {
        self.bytes.send(Ok(Bytes::from_static(bytes.as_bytes()))).await.unwrap();
    }

    /// The answer, before the data ends.
    async fn answered(self) -> Answer {
        timeout(PATIENCE, self.answer).await.expect("an answer in time").unwrap()
    }

    /// Ends the data, and returns the answer.
    async fn end(self) -> Answer {
        drop(self.bytes);
        timeout(PATIENCE, self.answer).await.expect("an answer in time").unwrap()
    }
}

/// Like [`Slow`], over gRPC.
struct SlowGrpc {
    messages: mpsc::Sender<UploadImageDataRequest>,
    answer: JoinHandle<Result<Image, tonic::Status>>,
}

impl SlowGrpc {
    async fn begin(world: &World, who: Who, id: &str) -> Self {
        let (messages, receiver) = mpsc::channel(1);
        let mut client = world.grpc(who);
        let answer = tokio::spawn(async move {
            Ok(client.upload_image_data(ReceiverStream::new(receiver)).await?.into_inner())
        });
        let first = UploadImageDataRequest {
            image_id: id.to_owned(),
            size: None,
            data: Bytes::from_static(b"beginning "),
        };
        messages.send(first).await.unwrap();
        becomes(world, id, Status::Saving).await;
        Self { messages, answer }
    }

    async fn end(self) -> Result<Image, tonic::Status> {
        drop(self.messages);
        timeout(PATIENCE, self.answer).await.expect("an answer in time").unwrap()
    }
}
