//! Clients of our own services, for other services to call them: which replica is called, when a call is retried, and
//! what a peer's status means for our own caller.

mod args;
mod calls;
pub mod cinder;
mod client;
mod credentials;
pub mod glance;
mod refusal;
mod replica;
mod replicas;
#[cfg(feature = "testing")]
pub mod testing;

pub use args::CannotCall;
pub use calls::Calls;
pub use refusal::retry_after;
pub use replicas::{Failure, Kind, Replicas};
