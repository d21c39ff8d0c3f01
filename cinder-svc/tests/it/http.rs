//! OpenStack's Block Storage API v3 as its clients see it, over HTTP/1.1.

mod attach;
mod attachments;
mod frame;
mod snapshots;
mod transfers;
mod types;
mod volumes;
