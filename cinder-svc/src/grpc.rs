//! The gRPC edge: reads requests, calls the use cases, renders answers.

use std::sync::Arc;

use chassis::{caller::Caller, identity};
use proto::cinder::v1::{
    attachment_service_server::{self, AttachmentServiceServer},
    volume_service_server::{self, VolumeServiceServer},
};
use tonic::{Request, service::Routes};

use crate::{error::Error, volumes::VolumeApi};

mod attachment;
mod history;
mod parse;
mod render;
mod volume;

/// The names of the services.
pub const NAMES: &[&str] = &[volume_service_server::SERVICE_NAME, attachment_service_server::SERVICE_NAME];

/// The services of `cinder.v1` on `volumes`, whose messages have `message` bytes at most.
#[must_use]
pub fn routes(volumes: VolumeApi, message: usize) -> Routes {
    let volume = VolumeServiceServer::new(volume::Api { volumes: volumes.clone() });
    let attachment = AttachmentServiceServer::new(attachment::Api { volumes });
    Routes::new(volume.max_decoding_message_size(message))
        .add_service(attachment.max_decoding_message_size(message))
}

/// Who is calling.
fn caller<T>(request: &Request<T>) -> Result<Arc<Caller>, Error> {
    Ok(identity::caller(request.extensions())?)
}
