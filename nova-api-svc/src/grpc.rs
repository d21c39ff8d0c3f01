//! The gRPC edge: reads requests, calls the pipeline and the stores, renders answers.

use common::{
    caller::{Caller, Identity},
    db::Db,
    server,
};
use proto::nova::v1::{
    flavor_service_server::{self, FlavorServiceServer},
    instance_service_server::{self, InstanceServiceServer},
};
use tonic::{
    Request, Response, Status,
    service::{Routes, interceptor::InterceptedService},
};

use crate::{
    drift::Detector, error::Error, flavors::Flavors, instances::Instances, operations::Operations,
    pipeline::Pipeline,
};

mod drift;
mod flavor;
mod history;
mod instance;
mod operation;
mod parse;
mod render;

/// Everything nova-api-svc serves; messages have at most `message` bytes.
#[must_use]
pub fn service(operations: Operations, identity: Identity, message: usize, db: Db) -> server::Service {
    let Pipeline { store, glance, .. } = operations.pipeline.clone();
    let flavors = flavor::Api { flavors: Flavors::new(store.clone()) };
    let instances = instance::Api {
        instances: Instances::new(store.clone(), glance.clone()),
        detector: Detector::new(store, glance),
        operations,
    };
    let flavors = FlavorServiceServer::new(flavors).max_decoding_message_size(message);
    let instances = InstanceServiceServer::new(instances).max_decoding_message_size(message);
    let known = move |request| introduce(identity, request);
    server::Service {
        program: "nova-api-svc",
        is_transfer: |_| false,
        metrics: crate::glance::register_metrics,
        domain: "nova",
        descriptors: proto::nova::DESCRIPTORS,
        names: &[flavor_service_server::SERVICE_NAME, instance_service_server::SERVICE_NAME],
        routes: Routes::new(InterceptedService::new(flavors, known))
            .add_service(InterceptedService::new(instances, known)),
        db,
    }
}

type Answer<T> = Result<Response<T>, Status>;

/// Notes who is calling, and refuses who cannot be known.
fn introduce(identity: Identity, mut request: Request<()>) -> Result<Request<()>, Status> {
    let caller = identity.caller(request.metadata().as_ref()).map_err(Error::from)?;
    request.extensions_mut().insert(caller);
    Ok(request)
}

fn caller<T>(request: &Request<T>) -> Caller {
    request.extensions().get().cloned().expect("every request is introduced")
}
