//! The gRPC edge: reads requests, calls the use cases, renders answers.

use std::sync::Arc;

use chassis::{
    caller::{Caller, Identity},
    db::Db,
    edge::{Limits, Room},
    http::ErrorBody,
    identity, server,
};
use proto::nova::v1::{
    flavor_service_server::{self, FlavorServiceServer},
    instance_service_server::{self, InstanceServiceServer},
};
use tonic::{Request, service::Routes};

use crate::{
    compute::{ComputeApi, operations},
    error::Error,
};

mod drift;
mod flavor;
mod history;
mod instance;
mod parse;
mod render;

/// The gRPC services of nova-api-svc, with messages up to the size of `limits`.
#[must_use]
pub fn service(compute: ComputeApi, identity: Identity, limits: &Limits, db: Db) -> server::Service {
    let flavors = FlavorServiceServer::new(flavor::Api { compute: compute.clone() })
        .max_decoding_message_size(limits.message);
    let instances =
        InstanceServiceServer::new(instance::Api { compute }).max_decoding_message_size(limits.message);
    server::Service {
        program: "nova-api-svc",
        identity,
        is_transfer: |_| false,
        path: |_| None,
        memory: limits.memory(),
        metrics: |registry| {
            peers::glance::register_metrics(registry);
            operations::register_metrics(registry);
        },
        domain: "nova",
        error_body: ErrorBody::ByAccept,
        descriptors: proto::nova::DESCRIPTORS,
        names: &[flavor_service_server::SERVICE_NAME, instance_service_server::SERVICE_NAME],
        routes: Routes::new(flavors).add_service(instances),
        db,
    }
}

/// Room for an answer that takes about that many `bytes` to make.
async fn room<T>(request: &Request<T>, bytes: usize) -> Option<Room> {
    Room::of(request.extensions(), bytes).await
}

/// Who is calling.
fn caller<T>(request: &Request<T>) -> Result<Arc<Caller>, Error> {
    Ok(identity::caller(request.extensions())?)
}
