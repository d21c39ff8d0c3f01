//! A small disk that can be filled.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader, ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

use crate::{guard::Guard, program, user};

/// The error if there can be no disk.
const NEEDED: &str =
    "a small file system cannot be mounted: root needs CAP_SYS_ADMIN, anybody else user namespaces";

/// Mounts in a namespace of its own, which lasts as long as the program that waits in it.
const MOUNT_AND_WAIT: &str = r#"mount -t tmpfs -o "$1" imprint "$2" && echo mounted && exec cat"#;

/// A file system in memory, of a bounded size; unmounted when dropped.
pub struct Disk {
    // Dropped in this order: the mount must go before its folder.
    _mounted: Mounted,
    _place: TempDir,
    folder: PathBuf,
    bytes: u64,
}

enum Mounted {
    Here { _guard: Guard },
    Elsewhere { namespace: Child },
}

impl Disk {
    /// An empty disk of this many bytes, writable for everybody: a tmpfs, mounted in a namespace of its own unless this process
    /// is root.
    pub fn start(bytes: u64) -> anyhow::Result<Self> {
        let place = tempfile::Builder::new().prefix("imprint-disk-").tempdir()?;
        let options = format!("size={bytes},mode=1777");
        if user::is_root()? {
            let mut mount = Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", &options, "imprint"]).arg(place.path());
            let guard = Guard::new(r#"umount -l "$1""#, [place.path()])?;
            program::run(&mut mount).context(NEEDED)?;
            let folder = place.path().to_owned();
            return Ok(Self { _mounted: Mounted::Here { _guard: guard }, _place: place, folder, bytes });
        }
        let mut namespace = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", MOUNT_AND_WAIT, "disk", &options])
            .arg(place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context(NEEDED)?;
        let mut said = String::new();
        BufReader::new(namespace.stdout.take().context("it is piped")?).read_line(&mut said)?;
        let inside = place.path().strip_prefix("/").unwrap_or(place.path());
        let folder = Path::new(&format!("/proc/{}/root", namespace.id())).join(inside);
        let disk = Self { _mounted: Mounted::Elsewhere { namespace }, _place: place, folder, bytes };
        ensure!(said == "mounted\n", NEEDED);
        Ok(disk)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Fills it.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut balloon = OpenOptions::new().create(true).append(true).open(self.balloon())?;
        for size in [1 << 20, 4096, 1] {
            let piece = vec![0; size];
            loop {
                match balloon.write(&piece) {
                    Ok(_) if balloon.metadata()?.len() > self.bytes => bail!("the disk has no end"),
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Frees what [`Disk::fill`] took.
    pub fn make_room(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.balloon())?)
    }

    fn balloon(&self) -> PathBuf {
        self.folder.join("balloon")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Self::Elsewhere { namespace } = self {
            // The program ends at the end of its input, and the namespace with it.
            drop(namespace.stdin.take());
            let _ = namespace.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_room_again_after_it_was_full() {
        let disk = Disk::start(1 << 20).unwrap();
        for _ in 0..2 {
            disk.fill().unwrap();
            let refused = fs::write(disk.folder().join("file"), [0; 4096]).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::StorageFull);
            disk.make_room().unwrap();
            fs::write(disk.folder().join("file"), [0; 4096]).unwrap();
            fs::remove_file(disk.folder().join("file")).unwrap();
        }
        let folder = disk.folder().to_owned();
        drop(disk);
        assert!(!folder.exists());
    }
}
