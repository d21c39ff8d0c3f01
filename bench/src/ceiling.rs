//! The ceilings that services are compared with: programs that do the bare minimum for the same work.

pub(crate) mod data;
pub(crate) mod pgbench;
pub(crate) mod row_per_key;
pub(crate) mod server;
pub(crate) mod volume_row_per_key;
