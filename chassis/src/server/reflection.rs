//! What a service says of its own methods: to clients that ask, and to the edge.

use tonic::service::Routes;
use tonic_reflection::{
    pb::{v1, v1alpha},
    server::{Builder, Error},
};

use crate::edge::Methods;

/// The methods of a service, of health, and of reflection in both versions.
pub(super) fn methods(descriptors: &[u8]) -> Result<Methods, Error> {
    let health = tonic_health::pb::FILE_DESCRIPTOR_SET;
    let all = [descriptors, health, v1::FILE_DESCRIPTOR_SET, v1alpha::FILE_DESCRIPTOR_SET];
    Ok(Methods::of(&all)?)
}

/// Adds reflection in both versions: grpcurl asks for v1alpha, newer clients for v1.
pub(super) fn with_reflection(routes: Routes, descriptors: &'static [u8]) -> Result<Routes, Error> {
    let builder = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // So that clients can show the details of an error.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?))
}
