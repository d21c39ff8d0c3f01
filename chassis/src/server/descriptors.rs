//! Connections use file descriptors: a service must not run out of those before it says that there are too many
//! connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Options;

/// Files that are open besides connections and transfers: the database's, the listeners', the log's, those of peers.
const RESERVE: u64 = 128;

impl Options {
    /// Makes the system allow as many open files as needed; if those are too few for all connections, allows fewer of
    /// these, and says so.
    pub(super) fn fit_open_files(&mut self) {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        if current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
            tracing::warn!("the limit of open files cannot be raised");
        }
        let Some(files) = getrlimit(Resource::Nofile).current else { return };
        let fit = connections(self.max_connections, self.limits.transfers, files);
        if fit < self.max_connections {
            tracing::warn!(
                files,
                wanted = self.max_connections,
                connections = fit,
                "fewer connections than --max-connections: the limit of open files (ulimit -n) is too low"
            );
            self.max_connections = fit;
        }
    }
}

/// How many of these connections are possible with this many open files.
fn connections(wanted: u32, transfers: u32, files: u64) -> u32 {
    // Data that come or go are a file, or a connection to the bucket, as well.
    let left = files.saturating_sub(RESERVE + u64::from(transfers)).max(files / 4).max(1);
    wanted.min(u32::try_from(left).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_everything_else() {
        assert_eq!(connections(1024, 128, 1_048_576), 1024);
        assert_eq!(connections(1024, 128, 1280), 1024);
        assert_eq!(connections(1024, 128, 1024), 768);
        assert_eq!(connections(1024, 128, 256), 64);
        assert_eq!(connections(50, 128, 256), 50);
    }
}
