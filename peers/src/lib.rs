//! Clients of our own services, as other services call them: which replica is asked, when a call is made again, and what
//! a peer's status means for the one who has called us.

mod calls;
pub mod glance;
mod refusal;
mod replica;
mod replicas;

pub use calls::Calls;
pub use refusal::retry_after;
pub use replicas::{Failure, Kind, Replicas};
