//! The gRPC edge: reads requests, calls the use cases, renders answers.

use std::sync::Arc;

use chassis::{
    caller::Caller,
    edge::Room,
    grpc::{self, CallContext},
    identity,
};
use proto::nova::v1::{
    flavor_service_server::FlavorServiceServer, instance_service_server::InstanceServiceServer,
};
use tonic::{Request, service::Routes};

use crate::{compute::ComputeApi, error::Error};

mod drift;
mod flavor;
mod history;
mod instance;
mod parse;
mod render;

/// `nova.v1.FlavorService` and `nova.v1.InstanceService` on `compute`, whose messages have `message` bytes at most.
#[must_use]
pub fn routes(compute: ComputeApi, message: usize) -> Routes {
    let flavors = FlavorServiceServer::new(flavor::Api { compute: compute.clone() });
    let instances = InstanceServiceServer::new(instance::Api { compute });
    Routes::new(flavors.max_decoding_message_size(message))
        .add_service(instances.max_decoding_message_size(message))
}

/// Room for an answer that takes about that many `bytes` to make.
async fn room<T>(request: &Request<T>, bytes: usize) -> Option<Room> {
    Room::of(request.extensions(), bytes).await
}

/// Who is calling.
fn caller<T>(request: &Request<T>) -> Result<Arc<Caller>, Error> {
    Ok(identity::caller(request.extensions())?)
}

/// The context of a call, and its message.
fn open<T>(request: Request<T>) -> Result<(CallContext, T), Error> {
    Ok(grpc::open(request)?)
}
