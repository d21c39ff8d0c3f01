//! Throwaway PostgreSQL clusters.

use std::{
    fs,
    hash::{BuildHasher as _, RandomState},
    net::TcpListener,
    ops::Range,
    path::PathBuf,
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::{debian, disk::Disk, guard::Guard, program};

use self::server::{Server, server_programs};

mod server;

/// Below the kernel's ephemeral ports, so that no outgoing connection can take the port of a cluster that is stopped for a
/// while.
const PORTS: Range<u16> = 20_000..32_000;

/// How many times to retry if another process takes the port before PostgreSQL starts.
const PORT_ATTEMPTS: usize = 5;

/// Without fsync, since the data is thrown away.
const FAST: &str = "-c fsync=off";

/// As in production: with fsync, and with memory and checkpoints as on a tuned server.
const DURABLE: &str = "-c fsync=on -c synchronous_commit=on -c full_page_writes=on -c shared_buffers=1GB \
                       -c max_wal_size=8GB -c checkpoint_timeout=15min";

/// The same for a small disk, which a write-ahead log of that size would fill.
const SMALL: &str = "-c fsync=on -c synchronous_commit=on -c full_page_writes=on -c shared_buffers=128MB \
                     -c max_wal_size=64MB -c min_wal_size=32MB";

/// Installs the server programs if they are missing.
pub fn install() -> anyhow::Result<()> {
    if server_programs().is_ok() { Ok(()) } else { debian::install("postgresql") }
}

/// The path of a program of PostgreSQL, such as `pgbench`: next to the server programs, or in the search path.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let server = fs::canonicalize(server_programs()?.join("pg_ctl"))?;
    let beside = server.parent().map(|folder| folder.join(name)).filter(|program| program.is_file());
    let program = beside.or_else(|| program::find(name));
    program.with_context(|| {
        format!("PostgreSQL's {name} is missing: install it with `apt-get install postgresql`")
    })
}

/// A private PostgreSQL server, with its data in a temporary directory.
pub struct Cluster {
    // Dropped in this order: the server must stop before its data goes.
    _guard: Guard,
    server: Server,
    port: u16,
}

impl Cluster {
    /// Creates a cluster and starts it on a free port of 127.0.0.1. Commits do not wait for the disk.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(FAST)
    }

    /// Like [`Cluster::start`], but every commit is on disk before it is acknowledged.
    pub fn start_durable() -> anyhow::Result<Self> {
        Self::start_with(DURABLE)
    }

    /// Like [`Cluster::start_durable`], with its data on this disk.
    pub fn start_on(disk: &Disk) -> anyhow::Result<Self> {
        Self::initialize(Server::in_new_directory_of(disk.folder(), SMALL)?)
    }

    fn start_with(durability: &'static str) -> anyhow::Result<Self> {
        Self::initialize(Server::in_new_directory(durability)?)
    }

    fn initialize(server: Server) -> anyhow::Result<Self> {
        let mut cluster = Self { _guard: server.guard()?, server, port: 0 };
        cluster.server.initialize()?;
        cluster.start_on_free_port()?;
        Ok(cluster)
    }

    /// Starts a streaming standby with synchronous replication: from then on, each commit waits until it is on both disks.
    pub fn standby(&self) -> anyhow::Result<Self> {
        let server = Server::in_new_directory(self.server.durability)?;
        let mut standby = Self { _guard: server.guard()?, server, port: 0 };
        // An absolute path replaces the base when joined.
        let mut copy = standby.server.command(&program("pg_basebackup")?.to_string_lossy());
        copy.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres"]);
        program::run(copy.args(["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast"]))?;
        standby.start_on_free_port()?;
        self.server.write("postgresql.auto.conf", "synchronous_standby_names = '*'\n")?;
        self.server.reload()?;
        Ok(standby)
    }

    /// Makes a standby the primary, which is writable afterwards.
    pub fn promote(&self) -> anyhow::Result<()> {
        program::run(self.server.command("pg_ctl").args(["-w", "promote"]))?;
        Ok(())
    }

    /// The port that it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The URL of one of its databases; `postgres` exists from the start.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The id of the server's first process, the parent of all others.
    pub fn process_id(&self) -> anyhow::Result<u32> {
        let file = fs::read_to_string(self.folder().join("postmaster.pid"))?;
        file.lines().next().and_then(|line| line.trim().parse().ok()).context("its first line is the id")
    }

    /// The folder of its data.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.server.data()
    }

    /// Stops the server in good order, cutting its connections.
    pub fn stop(&self) -> anyhow::Result<()> {
        self.server.stop("fast")
    }

    /// Ends the server as a crash would: nothing is written back, and the next start recovers from the log.
    pub fn kill(&self) -> anyhow::Result<()> {
        self.server.stop("immediate")
    }

    /// Ends the server's first process as the kernel does when memory runs out; the others notice, and end.
    pub fn kill_hard(&self) -> anyhow::Result<()> {
        let id = self.process_id()?.to_string();
        program::run(Command::new("sh").args(["-c", r#"kill -s KILL "$1""#, "kill", &id]))?;
        Ok(())
    }

    /// Whether its first process is there.
    #[must_use]
    pub fn is_running(&self) -> bool {
        program::run(self.server.command("pg_ctl").arg("status")).is_ok()
    }

    /// Restarts a stopped or killed server with the same port and data.
    pub fn start_again(&self) -> anyhow::Result<()> {
        self.server.start(self.port)
    }

    /// Restarts it with this certificate and key, in PEM; from now on, it refuses connections without TLS.
    pub fn require_tls(&self, certificate: &str, key: &str) -> anyhow::Result<()> {
        self.stop()?;
        self.server.write("server.crt", certificate)?;
        self.server.write("server.key", key)?;
        self.server.write("pg_hba.conf", "hostssl all all 127.0.0.1/32 trust\n")?;
        self.server.write("postgresql.auto.conf", "ssl = on\n")?;
        self.start_again()
    }

    fn start_on_free_port(&mut self) -> anyhow::Result<()> {
        for _ in 1..PORT_ATTEMPTS {
            self.port = free_port()?;
            match self.start_again() {
                Err(_) if self.server.found_port_taken() => {}
                outcome => return outcome,
            }
        }
        self.port = free_port()?;
        self.start_again()
    }
}

/// A port on which nobody is listening.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    for _ in 0..PORTS.len() {
        // The seeds of the standard library's hash maps are random enough.
        let random = RandomState::new().hash_one(()) % u64::try_from(PORTS.len())?;
        let port = PORTS.start + u16::try_from(random)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port of 127.0.0.1 in {PORTS:?} is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_taken_port_from_other_failures() {
        let server = Server::in_new_directory(FAST).unwrap();
        let _guard = server.guard().unwrap();
        assert!(server.start(free_port().unwrap()).is_err(), "it has no data yet");
        assert!(!server.found_port_taken());

        server.initialize().unwrap();
        let rival = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(server.start(rival.local_addr().unwrap().port()).is_err(), "the port is taken");
        assert!(server.found_port_taken());
    }
}
