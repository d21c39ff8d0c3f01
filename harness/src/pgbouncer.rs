//! Debian's pgbouncer, between a service and PostgreSQL.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use crate::{
    debian,
    postgres::free_port,
    program,
    service::Service,
    user::{self, Nobody},
};

/// Where Debian installs it, which may not be in the search path.
const DEBIAN: &str = "/usr/sbin/pgbouncer";

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A pooler; it is stopped when dropped.
pub struct Pooler {
    process: Service,
    _folder: TempDir,
    port: u16,
}

/// Installs it if it is missing.
pub fn install() -> anyhow::Result<()> {
    if binary().is_ok() { Ok(()) } else { debian::install("pgbouncer") }
}

fn binary() -> anyhow::Result<PathBuf> {
    let found =
        program::find("pgbouncer").or_else(|| Some(DEBIAN.into()).filter(|path: &PathBuf| path.is_file()));
    found.context("pgbouncer is missing: install it with `apt-get install pgbouncer`")
}

impl Pooler {
    /// Starts one in front of the server at `url`, whose user needs no password; `mode` is `session` or `transaction`.
    pub fn start(url: &str, mode: &str) -> anyhow::Result<Self> {
        let (user, address) = url.rsplit_once('@').context("the URL names a user")?;
        let (_, user) = user.rsplit_once('/').context("the URL has a scheme")?;
        let (server, _) = address.split_once('/').context("the URL names a database")?;
        let (host, server_port) = server.split_once(':').unwrap_or((server, "5432"));
        let (folder, port) = (TempDir::new()?, free_port()?);
        let file = folder.path().join("pgbouncer.ini");
        fs::write(
            &file,
            format!(
                "[databases]\n* = host={host} port={server_port} user={user}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n\
                 ignore_startup_parameters = extra_float_digits\n"
            ),
        )?;
        let process = Service::run("pgbouncer", &mut command(&folder, &file, port)?)?;
        let pooler = Self { process, _folder: folder, port };
        pooler.wait()?;
        Ok(pooler)
    }

    fn wait(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if begun.elapsed() > PATIENCE {
                bail!("pgbouncer does not listen:\n{}", self.process.log());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// The URL of the database at `url`, through this pooler.
    pub fn url(&self, url: &str) -> anyhow::Result<String> {
        let (user, address) = url.rsplit_once('@').context("the URL names a user")?;
        let (_, database) = address.split_once('/').context("the URL names a database")?;
        Ok(format!("{user}@127.0.0.1:{}/{database}", self.port))
    }
}

/// A wrapper that announces its address as our services do; pgbouncer refuses to run as root.
fn command(folder: &TempDir, file: &Path, port: u16) -> anyhow::Result<Command> {
    let program = binary()?;
    let pgbouncer = if user::is_root()? {
        let nobody = Nobody::look_up()?;
        nobody.give(folder.path())?;
        nobody.command(&program)
    } else {
        Command::new(&program)
    };
    let mut command = Command::new("sh");
    let script = format!(r#"echo "pgbouncer listening on 127.0.0.1:{port}"; exec "$0" "$@""#);
    command.args(["-c", &script]).arg(pgbouncer.get_program()).args(pgbouncer.get_args()).arg(file);
    Ok(command)
}
