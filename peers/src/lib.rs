//! Clients of our own services, for other services to call them: which replica is called, when a call is retried, and
//! what a peer's status means for our own caller.

mod calls;
pub mod glance;
mod refusal;
mod replica;
mod replicas;

pub use calls::Calls;
pub use refusal::retry_after;
pub use replicas::{Failure, Kind, Replicas};
