//! The gRPC edge: reads requests, calls the use cases, renders answers.

use tonic::service::Routes;

use crate::volumes::VolumeApi;

/// The names of the services.
pub const NAMES: &[&str] = &[];

/// The services of `cinder.v1` on `volumes`, whose messages have `message` bytes at most.
#[must_use]
pub fn routes(volumes: VolumeApi, message: usize) -> Routes {
    let _ = (volumes, message);
    Routes::default()
}
