//! A service that keeps running after the command that started it has ended.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use harness::workspace;

/// How long a service may take to start, or to stop.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often to check in the meantime.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A service with its database, log and process id in one folder.
pub(super) struct Daemon {
    name: &'static str,
    folder: PathBuf,
}

impl Daemon {
    /// The service `name`, with its files in `folder`.
    pub(super) fn new(folder: &Path, name: &'static str) -> Self {
        Self { name, folder: folder.to_owned() }
    }

    /// Starts it on an empty database, at `address` or, if that is taken, at another one, and returns the address.
    pub(super) fn start(&self, address: &str, arguments: &[&str]) -> anyhow::Result<String> {
        for ending in ["sqlite", "sqlite-wal", "sqlite-shm"] {
            let _ = fs::remove_file(self.file(ending));
        }
        match self.try_start(address, arguments) {
            Err(error) if format!("{error:#}").contains("cannot listen on") => {
                self.try_start("127.0.0.1:0", arguments)
            }
            started => started,
        }
    }

    /// Stops it if it is running; returns whether it was.
    pub(super) fn stop(&self) -> anyhow::Result<bool> {
        let Some(id) = self.running()? else { return Ok(false) };
        Command::new("sh").args(["-c", r#"kill -s TERM "$1""#, "kill", &id]).status()?;
        let asked = Instant::now();
        while self.running()?.is_some() {
            if asked.elapsed() > PATIENCE {
                bail!("{} (process {id}) does not stop", self.name);
            }
            thread::sleep(POLL_INTERVAL);
        }
        fs::remove_file(self.file("pid"))?;
        Ok(true)
    }

    fn try_start(&self, address: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let log = File::create(self.file("log"))?;
        let mut child = Command::new(workspace::binary(self.name)?)
            .args([
                "--listen",
                address,
                "--database-url",
                &format!("sqlite:{}", self.file("sqlite").display()),
            ])
            .args(arguments)
            // A process group of its own, so that a later Ctrl-C in the terminal does not stop it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {}", self.name))?;
        fs::write(self.file("pid"), child.id().to_string())?;
        self.announced_address(&mut child)
    }

    /// The address that it prints once it listens.
    fn announced_address(&self, child: &mut Child) -> anyhow::Result<String> {
        let announcement = format!("{} listening on ", self.name);
        let started = Instant::now();
        loop {
            let ended = child.try_wait()?.is_some();
            let log = fs::read_to_string(self.file("log"))?;
            if let Some(address) = log.lines().find_map(|line| line.strip_prefix(&announcement)) {
                return Ok(address.to_owned());
            }
            if ended || started.elapsed() > PATIENCE {
                bail!("{} does not start; its log:\n{log}", self.name);
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Its process id, if that process is still this service.
    fn running(&self) -> anyhow::Result<Option<String>> {
        let Ok(id) = fs::read_to_string(self.file("pid")) else { return Ok(None) };
        let ps =
            Command::new("sh").args(["-c", r#"tr '\0' ' ' < "/proc/$1/cmdline""#, "ps", &id]).output()?;
        let runs = String::from_utf8_lossy(&ps.stdout).contains(self.name);
        Ok(runs.then_some(id))
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", self.name))
    }
}
