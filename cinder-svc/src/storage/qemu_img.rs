//! qemu-img as a process, within limits: what it reads is somebody's upload.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use serde::Deserialize;
use tokio::{process::Command, time::timeout};

use super::{Error, GIB, Unusable, foreign::Foreign};

/// KiB of address space (Cinder, `QEMU_IMG_LIMITS`: 1 GiB).
const ADDRESS_SPACE: u64 = 1024 * 1024;

/// Seconds of processor time that it may take to read a header, and to convert, more for each GiB of the volume.
const HEADER_SECONDS: u64 = 30;
const CONVERSION_SECONDS: u64 = 60;
const SECONDS_PER_GIB: u64 = 30;

/// How many times as long it may take, waiting included.
const PATIENCE: u64 = 10;

/// Limits, then runs what follows. Sizes of files are in blocks of 512 bytes.
const LIMITED: &str =
    r#"ulimit -c 0 && ulimit -v "$1" && ulimit -t "$2" && ulimit -f "$3" && shift 3 && exec "$@""#;

/// The program qemu-img.
#[derive(Debug, Clone)]
pub struct QemuImg(PathBuf);

/// How much a run may use.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Seconds of processor time.
    seconds: u64,
    /// Bytes of a file that it writes.
    file: u64,
}

/// What it says about an image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    virtual_size: u64,
    backing_filename: Option<String>,
}

impl QemuImg {
    /// The program at `path`; an error if it cannot be run.
    pub fn find(path: &Path) -> io::Result<Self> {
        let found = std::process::Command::new(path).arg("--version").stdin(Stdio::null()).output()?;
        if found.stdout.starts_with(b"qemu-img version") {
            return Ok(Self(path.to_owned()));
        }
        Err(io::Error::other(format!("{} is not qemu-img", path.display())))
    }

    /// Writes the disk of an image, which is complete in itself, to a new file of at most `size` bytes. If the future is
    /// dropped, the process is killed.
    pub(super) async fn convert(
        &self,
        format: Foreign,
        image: &Path,
        to: &Path,
        size: u64,
    ) -> Result<(), Error> {
        let driver = format.driver();
        let limits = Limits { seconds: HEADER_SECONDS, file: 0 };
        let said = self.run(limits, &["info", "--output=json", "-f", driver], &[image]).await?;
        let said: Info = serde_json::from_slice(&said).map_err(|_| damaged())?;
        if said.backing_filename.is_some() {
            return Err(Unusable::BackingFile.into());
        }
        if said.virtual_size > size {
            return Err(Unusable::TooLarge { needed: said.virtual_size, size }.into());
        }
        let limits =
            Limits { seconds: CONVERSION_SECONDS + SECONDS_PER_GIB * size.div_ceil(GIB), file: size };
        self.run(limits, &["convert", "-q", "-f", driver, "-O", "raw"], &[image, to]).await.map(drop)
    }

    /// What it prints.
    async fn run(&self, limits: Limits, options: &[&str], files: &[&Path]) -> Result<Vec<u8>, Error> {
        let (seconds, blocks) = (limits.seconds, limits.file.div_ceil(512));
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", LIMITED, "sh"])
            .args([ADDRESS_SPACE, seconds, blocks].map(|limit| limit.to_string()));
        command.arg(&self.0).args(options).args(files).env_clear().env("LC_ALL", "C");
        command.stdin(Stdio::null()).kill_on_drop(true);
        match timeout(Duration::from_secs(PATIENCE * seconds), command.output()).await {
            Ok(output) => printed(output?),
            Err(_) => Err(damaged()),
        }
    }
}

/// What it printed, if it succeeded.
fn printed(output: Output) -> Result<Vec<u8>, Error> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    tracing::warn!(status = %output.status, said = %common::text::clip(&said, 500), "qemu-img has failed");
    if said.contains("No space left on device") { Err(Error::Full) } else { Err(damaged()) }
}

fn damaged() -> Error {
    Unusable::Damaged("qemu-img cannot convert it within its limits of memory and time").into()
}
