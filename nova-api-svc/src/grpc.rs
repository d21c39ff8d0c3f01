//! The gRPC edge: reads requests, calls the pipeline and the stores, renders answers.

use common::{actor::Actor, db::Db, edge::MAX_MESSAGE, server};
use proto::nova::v1::{
    flavor_service_server::{self, FlavorServiceServer},
    instance_service_server::{self, InstanceServiceServer},
};
use tonic::{Request, Response, Status, service::Routes};

use crate::{error::Error, flavors::Flavors, instances::Instances, pipeline::Pipeline};

mod flavor;
mod instance;
mod parse;
mod render;

/// Everything nova-api-svc serves.
#[must_use]
pub fn service(pipeline: Pipeline, db: Db) -> server::Service {
    let flavors = flavor::Api { flavors: Flavors::new(pipeline.store.clone()) };
    let instances = instance::Api { instances: Instances::new(pipeline.store.clone()), pipeline };
    let flavors = FlavorServiceServer::new(flavors).max_decoding_message_size(MAX_MESSAGE);
    let instances = InstanceServiceServer::new(instances).max_decoding_message_size(MAX_MESSAGE);
    server::Service {
        domain: "nova",
        descriptors: proto::nova::DESCRIPTORS,
        names: &[flavor_service_server::SERVICE_NAME, instance_service_server::SERVICE_NAME],
        routes: Routes::new(flavors).add_service(instances),
        db,
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn actor<T>(request: &Request<T>) -> Result<Actor, Error> {
    Ok(Actor::from_metadata(request.metadata())?)
}
