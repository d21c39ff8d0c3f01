//! What the services are compared with: programs that do the least there is to do for the same work.

pub(crate) mod data;
pub(crate) mod pgbench;
pub(crate) mod row_per_key;
pub(crate) mod server;
