//! Image data over gRPC: streams of chunks.

use std::pin::pin;

use bytes::Bytes;
use chassis::caller::Caller;
use common::{id::Id, violations::Violations};
use futures_util::{Stream, StreamExt as _, stream::BoxStream};
use proto::glance::{EncodedImage, v1 as pb};
use tonic::{Response, Status, Streaming};

use crate::{
    error::Error,
    images::{Images, Upload},
};
use chassis::grpc::GrpcResult;

/// The chunks of a download.
pub(super) type Download = BoxStream<'static, Result<pb::DownloadImageDataResponse, Status>>;

pub(super) async fn upload(
    images: &Images,
    caller: &Caller,
    mut requests: Streaming<pb::UploadImageDataRequest>,
) -> GrpcResult<EncodedImage> {
    let first = requests.message().await?.unwrap_or_default();
    let (id, size) = target(&first).map_err(Error::from)?;
    let upload = Upload { bytes: pin!(chunks(first, requests)), size, etags: Vec::new() };
    Ok(super::image(&images.upload(id, upload, caller).await?))
}

/// The image that the first message names, and the announced size of its data.
fn target(first: &pb::UploadImageDataRequest) -> Result<(Id, Option<u64>), Violations> {
    let mut violations = Violations::default();
    let id = violations.take("image_id", first.image_id.parse());
    let size = first.size.map(u64::try_from).transpose().map_err(|_| "must not be negative");
    let size = violations.take("size", size).flatten();
    violations.check()?;
    Ok((id.expect("a malformed id is a violation"), size))
}

/// The chunks of an upload; `image_id` and `size` of later messages are ignored.
fn chunks(
    first: pb::UploadImageDataRequest,
    requests: Streaming<pb::UploadImageDataRequest>,
) -> impl Stream<Item = Result<Bytes, Status>> + Send {
    futures_util::stream::once(async { Ok(first) })
        .chain(requests)
        .map(|message| message.map(|message| message.data))
}

pub(super) async fn download(
    images: &Images,
    caller: &Caller,
    request: pb::DownloadImageDataRequest,
) -> GrpcResult<Download> {
    let mut violations = Violations::default();
    let id = violations.take("id", request.id.parse());
    let offset = violations.take("offset", u64::try_from(request.offset).map_err(|_| "must not be negative"));
    let length = violations.take("length", u64::try_from(request.length).map_err(|_| "must not be negative"));
    violations.check().map_err(Error::from)?;
    let id: Id = id.expect("a malformed id is a violation");
    let (offset, length) = (offset.unwrap_or_default(), length.unwrap_or_default());
    let part = |_: &_, size: u64| {
        let end = if length == 0 { size } else { size.min(offset.saturating_add(length)) };
        if offset <= end { Ok(offset..end) } else { Err(Error::Range { size }) }
    };
    let download = images.download(id, caller, part).await?;
    let chunks = download.bytes.map(|chunk| match chunk {
        Ok(data) => Ok(pb::DownloadImageDataResponse { data }),
        Err(error) => Err(Error::DataStore(error).into()),
    });
    Ok(Response::new(chunks.boxed()))
}
