//! The data of volumes over gRPC: streams of parts.

use chassis::{caller::Caller, grpc::GrpcResult};
use common::{id::Id, violations::Violations};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use proto::cinder::v1::{
    ReadVolumeDataRequest, ReadVolumeDataResponse, WriteVolumeDataRequest,
    read_volume_data_response::Part as Read, write_volume_data_request::Part as Written,
};
use tonic::{Response, Status, Streaming};

use crate::{
    error::Error,
    storage::Piece,
    volume::Volume,
    volumes::{
        VolumeApi,
        data::{Part, WriteData},
    },
};

/// The parts of an answer.
pub(super) type Download = BoxStream<'static, Result<ReadVolumeDataResponse, Status>>;

/// Reads a part of the data of a volume.
pub(super) async fn read(
    volumes: &VolumeApi,
    caller: &Caller,
    request: &ReadVolumeDataRequest,
) -> GrpcResult<Download> {
    let mut violations = Violations::default();
    let id = violations.take("id", request.id.parse::<Id>());
    let number = |value: i64| u64::try_from(value).map_err(|_| "must not be negative");
    let offset = violations.take("offset", number(request.offset)).unwrap_or_default();
    let length = violations.take("length", number(request.length)).unwrap_or_default();
    violations.check().map_err(Error::from)?;
    let id = id.expect("a malformed id is a violation");
    let pieces = volumes.read_data(id, (offset, length), caller).await?;
    let parts = pieces.map(|piece| match piece? {
        Piece::Data(bytes) => Ok(ReadVolumeDataResponse { part: Some(Read::Data(bytes)) }),
        Piece::Zeros(count) => {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            Ok(ReadVolumeDataResponse { part: Some(Read::Zeros(count)) })
        }
    });
    Ok(Response::new(parts.boxed()))
}

/// Replaces the data of a volume.
pub(super) async fn write(
    volumes: &VolumeApi,
    caller: &Caller,
    mut messages: Streaming<WriteVolumeDataRequest>,
) -> Result<Volume, Status> {
    let first = messages.message().await?.unwrap_or_default();
    let volume_id = Id::from_field("id", &first.id).map_err(Error::from)?;
    let etag = first.etag.clone();
    let messages = stream::once(async { Ok(first) }).chain(messages);
    let parts = messages.flat_map(|message| stream::iter(parts(message))).boxed();
    Ok(volumes.write_data(WriteData { volume_id, etag, parts }, caller).await?)
}

/// What a message says; `id` and `etag` of later messages are ignored.
fn parts(message: Result<WriteVolumeDataRequest, Status>) -> Vec<Result<Part, ()>> {
    let Ok(WriteVolumeDataRequest { part, sha512, .. }) = message else { return vec![Err(())] };
    let piece = part.map(|part| match part {
        Written::Data(bytes) => Ok(Piece::Data(bytes)),
        Written::Zeros(count) => u64::try_from(count).map(Piece::Zeros).map_err(|_| ()),
    });
    let piece = piece.into_iter().map(|piece| piece.map(Part::Piece));
    piece.chain((!sha512.is_empty()).then_some(Ok(Part::Sha512(sha512)))).collect()
}
