//! What the services share: image properties ⇄ system metadata (the heart of the system), and the plumbing
//! of a service.

pub mod background;
pub mod caller;
pub mod clock;
pub mod db;
pub mod deadline;
pub mod edge;
pub mod filter;
pub mod flavor;
pub mod group;
pub mod http;
pub mod id;
pub mod identity;
pub mod image;
pub mod metrics;
pub mod page;
pub mod peer;
pub mod server;
pub mod status;
pub mod system_metadata;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod tls;
pub mod violations;
