//! Data in a folder that a database knows of: nothing is there that is not in the database first, and nothing is
//! forgotten there that is not removed first.

use std::{io, time::Duration};

use chrono::TimeDelta;
use common::id::Id;

use crate::db;

mod folder;
mod lease;
mod marker;
mod place;

pub use folder::Folder;
pub use lease::{Lease, Leases};
pub use place::{Place, register_metrics};

/// Why data cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder is missing, or another one is in its place.
    #[error("the data folder is missing, or another one is in its place")]
    Away {
        /// The id that its marker should have, if it is known.
        expected: Option<Id>,
    },
    /// The folder cannot be read or written.
    #[error(transparent)]
    Folder(#[from] io::Error),
    /// The database failed or is unavailable.
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// How often to look for data that nobody needs any more.
pub const SWEEP: Duration = Duration::from_secs(2);

/// How long to leave data alone after this many failed removals: 4 s at first, then twice as long each time, up to
/// 17 min.
#[must_use]
pub fn pause_after(attempts: i64) -> TimeDelta {
    TimeDelta::seconds(1 << (attempts.clamp(0, 8) + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let seconds = |attempts| pause_after(attempts).num_seconds();
        assert_eq!([seconds(0), seconds(1), seconds(8), seconds(i64::MAX)], [4, 8, 1024, 1024]);
    }
}
