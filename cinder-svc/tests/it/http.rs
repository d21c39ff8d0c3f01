//! OpenStack's Block Storage API v3 as its clients see it, over HTTP/1.1.

mod frame;
mod types;
mod volumes;
