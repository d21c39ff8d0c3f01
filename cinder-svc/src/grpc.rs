//! The gRPC edge: reads requests, calls the use cases, renders answers.

use std::sync::Arc;

use chassis::{
    caller::Caller,
    grpc::{self, CallContext},
    identity,
};
use proto::cinder::v1::{
    attachment_service_server::{self, AttachmentServiceServer},
    quota_service_server::{self, QuotaServiceServer},
    snapshot_service_server::{self, SnapshotServiceServer},
    transfer_service_server::{self, TransferServiceServer},
    volume_service_server::{self, VolumeServiceServer},
    volume_type_service_server::{self, VolumeTypeServiceServer},
};
use tonic::{Request, service::Routes};

use crate::{error::Error, volumes::VolumeApi};

mod attachment;
mod data;
mod drift;
mod history;
mod parse;
mod quota;
mod render;
mod snapshot;
mod transfer;
mod volume;
mod volume_type;

/// The names of the services.
pub const NAMES: &[&str] = &[
    attachment_service_server::SERVICE_NAME,
    quota_service_server::SERVICE_NAME,
    snapshot_service_server::SERVICE_NAME,
    transfer_service_server::SERVICE_NAME,
    volume_service_server::SERVICE_NAME,
    volume_type_service_server::SERVICE_NAME,
];

/// The services of `cinder.v1` on `volumes`, whose messages have `message` bytes at most.
#[must_use]
pub fn routes(volumes: VolumeApi, message: usize) -> Routes {
    let attachment = AttachmentServiceServer::new(attachment::Api { volumes: volumes.clone() });
    let quota = QuotaServiceServer::new(quota::Api { volumes: volumes.clone() });
    let snapshot = SnapshotServiceServer::new(snapshot::Api { volumes: volumes.clone() });
    let transfer = TransferServiceServer::new(transfer::Api { volumes: volumes.clone() });
    let volume_type = VolumeTypeServiceServer::new(volume_type::Api { volumes: volumes.clone() });
    let volume = VolumeServiceServer::new(volume::Api { volumes });
    Routes::new(volume.max_decoding_message_size(message))
        .add_service(attachment.max_decoding_message_size(message))
        .add_service(quota.max_decoding_message_size(message))
        .add_service(snapshot.max_decoding_message_size(message))
        .add_service(transfer.max_decoding_message_size(message))
        .add_service(volume_type.max_decoding_message_size(message))
}

/// Who is calling.
fn caller<T>(request: &Request<T>) -> Result<Arc<Caller>, Error> {
    Ok(identity::caller(request.extensions())?)
}

/// The context of a call, and its message.
fn open<T>(request: Request<T>) -> Result<(CallContext, T), Error> {
    Ok(grpc::open(request)?)
}
