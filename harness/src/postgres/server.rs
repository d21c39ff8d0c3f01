//! A PostgreSQL server: its programs and its data.

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use crate::{
    guard::Guard,
    program,
    user::{self, Nobody},
};

/// Where Debian keeps the server programs, a directory per major version.
const DEBIAN_VERSIONS: &str = "/usr/lib/postgresql";

/// No Unix socket, since its path may be too long.
const SETTINGS: &str = "-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=300";

/// The server programs, bound to one data directory.
pub(super) struct Server {
    programs: PathBuf,
    account: Option<Nobody>,
    directory: TempDir,
    pub(super) durability: &'static str,
}

impl Server {
    pub(super) fn in_new_directory(durability: &'static str) -> anyhow::Result<Self> {
        Self::in_new_directory_of(&env::temp_dir(), durability)
    }

    pub(super) fn in_new_directory_of(folder: &Path, durability: &'static str) -> anyhow::Result<Self> {
        let programs = server_programs()?;
        let directory = tempfile::Builder::new().prefix("imprint-postgres-").tempdir_in(folder)?;
        let account = user::is_root()?.then(Nobody::look_up).transpose()?;
        if let Some(nobody) = account {
            nobody.give(directory.path())?;
        }
        Ok(Self { programs, account, directory, durability })
    }

    pub(super) fn initialize(&self) -> anyhow::Result<()> {
        let mut initdb = self.command("initdb");
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]);
        program::run(initdb.args(["--no-sync", "--no-instructions"]))?;
        Ok(())
    }

    /// Writes a file that only its owner may read, as PostgreSQL requires of its key.
    pub(super) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let file = self.data().join(name);
        fs::write(&file, "")?;
        fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        fs::write(&file, text)?;
        self.account.map_or(Ok(()), |nobody| nobody.give(&file))
    }

    pub(super) fn start(&self, port: u16) -> anyhow::Result<()> {
        let mut pg_ctl = self.command("pg_ctl");
        let settings = format!("-p {port} {SETTINGS} {}", self.durability);
        pg_ctl.arg("-l").arg(self.log()).args(["-w", "-o", &settings, "start"]);
        program::run(&mut pg_ctl).with_context(|| {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            format!("PostgreSQL does not start, its log says:\n{log}")
        })?;
        Ok(())
    }

    pub(super) fn stop(&self, mode: &str) -> anyhow::Result<()> {
        program::run(self.command("pg_ctl").args(["-w", "-m", mode, "stop"]))?;
        Ok(())
    }

    pub(super) fn reload(&self) -> anyhow::Result<()> {
        program::run(self.command("pg_ctl").arg("reload"))?;
        Ok(())
    }

    pub(super) fn guard(&self) -> anyhow::Result<Guard> {
        let mut stop = self.command("pg_ctl");
        stop.args(["-w", "-m", "immediate", "stop"]);
        let directory = self.directory.path().as_os_str();
        let arguments = [directory, stop.get_program()].into_iter().chain(stop.get_args());
        Guard::new(r#"directory="$1"; shift; cd "$directory" && "$@"; rm -rf "$directory""#, arguments)
    }

    pub(super) fn found_port_taken(&self) -> bool {
        fs::read_to_string(self.log()).is_ok_and(|log| log.contains("Address already in use"))
    }

    pub(super) fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command =
            self.account.map_or_else(|| Command::new(&program), |nobody| nobody.command(&program));
        // The other account may not be allowed to enter the current directory.
        command.current_dir(self.directory.path());
        // Messages in the log are compared, and other locales may be missing.
        command.env("LC_ALL", "C.UTF-8").arg("-D").arg(self.data());
        command
    }

    pub(super) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

/// The directory of `initdb` and `pg_ctl`: from the search path, or else Debian's newest version.
pub(super) fn server_programs() -> anyhow::Result<PathBuf> {
    if let Some(directory) = program::find("pg_ctl").as_deref().and_then(Path::parent)
        && has_server(directory)
    {
        return Ok(directory.to_owned());
    }
    let versions = fs::read_dir(DEBIAN_VERSIONS).into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|version| {
            Some((version.file_name().to_str()?.parse::<u32>().ok()?, version.path().join("bin")))
        })
        .filter(|(_, directory)| has_server(directory))
        .max();
    match newest {
        Some((_, directory)) => Ok(directory),
        None => {
            bail!("PostgreSQL's server programs are missing: install them with `apt-get install postgresql`")
        }
    }
}

fn has_server(directory: &Path) -> bool {
    ["initdb", "pg_ctl"].iter().all(|program| directory.join(program).is_file())
}
