//! The services as separate programs, started and stopped as an operator would.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tempfile::{NamedTempFile, TempDir};

use crate::{guard::Guard, program, workspace};

/// How long a service may take to start, migrations included.
const START_PATIENCE: Duration = Duration::from_mins(1);

/// How long a failing service may take to exit after it has closed its standard output.
const EXIT_PATIENCE: Duration = Duration::from_secs(1);

/// How often to check whether a service has stopped.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A running service. It is killed when dropped.
pub struct Service {
    process: Process,
    address: SocketAddr,
    /// Its working directory, which has its files unless it is told otherwise.
    _folder: TempDir,
}

impl Service {
    /// Builds the services if necessary, starts `binary` in a folder of its own, and waits until it listens.
    pub fn start<I>(binary: &str, arguments: I) -> anyhow::Result<Self>
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        Self::start_with(binary, arguments, [])
    }

    /// Like [`Service::start`], with environment variables.
    pub fn start_with<I, const N: usize>(
        binary: &str,
        arguments: I,
        environment: [(&str, &str); N],
    ) -> anyhow::Result<Self>
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        workspace::build_services()?;
        let mut command = Command::new(workspace::binary(binary)?);
        command.args(arguments).envs(environment);
        Self::run(binary, &mut command)
    }

    /// Runs a program that prints `binary listening on ADDRESS`, and waits until it does.
    pub fn run(binary: &str, command: &mut Command) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let (mut process, stdout) = Process::spawn(binary, command.current_dir(&folder))?;
        let announced = announced_address(stdout, binary, process.open_log()?);
        if let Ok(address) = announced.recv_timeout(START_PATIENCE) {
            return Ok(Self { process, address, _folder: folder });
        }
        let fate = match process.ended_within(EXIT_PATIENCE)? {
            Some(status) => format!("ended ({status}) before it listened"),
            None => "did not print its address".to_owned(),
        };
        bail!("{binary} {fate}:\n{}", process.log())
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as a gRPC endpoint.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address of its probes and metrics, if it has an admin port.
    pub fn admin(&self) -> anyhow::Result<SocketAddr> {
        let asked = Instant::now();
        while asked.elapsed() < START_PATIENCE {
            let log = self.log();
            let address = log.lines().find_map(|line| line.split_once(" probes and metrics on "));
            if let Some((_, address)) = address {
                return Ok(address.parse()?);
            }
            thread::sleep(POLL_INTERVAL);
        }
        bail!("it does not print the address of its probes:\n{}", self.log())
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Its current memory, in bytes.
    pub fn memory(&self) -> anyhow::Result<u64> {
        self.status("VmRSS:")
    }

    /// Its peak memory since it was started, or since [`Service::forget_peak`], in bytes.
    pub fn peak(&self) -> anyhow::Result<u64> {
        self.status("VmHWM:")
    }

    /// Resets its peak memory.
    pub fn forget_peak(&self) -> anyhow::Result<()> {
        Ok(fs::write(format!("/proc/{}/clear_refs", self.pid()), "5")?)
    }

    /// This field of `/proc/PID/status`, in bytes.
    fn status(&self, name: &str) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes =
            line.and_then(|line| line.split_whitespace().next()).context("a process has memory")?;
        Ok(kibibytes.parse::<u64>()? * 1024)
    }

    /// Its output so far: standard output and standard error.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Sends it a signal, such as `STOP` or `CONT`.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        self.process.signal(name)
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Stops it as an orchestrator would, and waits for `patience` at most.
    pub fn terminate(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        self.process.signal("TERM")?;
        let Some(status) = self.process.ended_within(patience)? else {
            bail!("the service still runs {patience:?} after SIGTERM:\n{}", self.log());
        };
        Ok(status)
    }
}

/// A child process, which is killed when dropped, and its output.
struct Process {
    child: Child,
    guard: Guard,
    log: NamedTempFile,
}

impl Process {
    fn spawn(binary: &str, command: &mut Command) -> anyhow::Result<(Self, ChildStdout)> {
        let log = NamedTempFile::new()?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(append_to(&log)?)
            .spawn()
            .with_context(|| format!("cannot run {binary}"))?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        let guard = Guard::new(r#"kill -KILL "$1""#, [child.id().to_string()])?;
        Ok((Self { child, guard, log }, stdout))
    }

    fn signal(&self, name: &str) -> anyhow::Result<()> {
        let id = self.child.id().to_string();
        // The shell's builtin `kill`: minimal images have no such program.
        program::run(Command::new("sh").args(["-c", r#"kill -s "$1" "$2""#, "kill", name, &id]))?;
        Ok(())
    }

    fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.guard.disarm();
        Ok(())
    }

    fn ended_within(&mut self, patience: Duration) -> anyhow::Result<Option<ExitStatus>> {
        let asked = Instant::now();
        while asked.elapsed() < patience {
            if let Some(status) = self.child.try_wait()? {
                // Its id may be reused.
                self.guard.disarm();
                return Ok(Some(status));
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(None)
    }

    fn log(&self) -> String {
        fs::read(self.log.path()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    fn open_log(&self) -> anyhow::Result<File> {
        append_to(&self.log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Killing fails only if the process is gone.
        let _ = self.kill();
        if thread::panicking() {
            report(&self.log());
        }
    }
}

#[expect(clippy::print_stderr, reason = "the test runner shows it if the test fails")]
fn report(log: &str) {
    eprintln!("{log}");
}

fn append_to(log: &NamedTempFile) -> anyhow::Result<File> {
    Ok(OpenOptions::new().append(true).open(log.path())?)
}

/// Copies `stdout` to `log` until it ends, and passes on the announced address.
fn announced_address(stdout: ChildStdout, binary: &str, mut log: File) -> mpsc::Receiver<SocketAddr> {
    let (sender, receiver) = mpsc::channel();
    let announcement = format!("{binary} listening on ");
    thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            // Keep reading in any case: the service would block on a full pipe.
            let _ = writeln!(log, "{line}");
            if let Some(address) = line.strip_prefix(&announcement).and_then(|address| address.parse().ok()) {
                let _ = sender.send(address);
            }
        }
    });
    receiver
}
