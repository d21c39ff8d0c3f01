//! The machine on which the figures were measured.

use std::{fmt, fs, path::Path, thread};

use anyhow::Context as _;
use serde::Serialize;

/// The machine.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    cpu: String,
    cores: usize,
    memory_gib: u64,
    kernel: String,
    /// The file system of the databases and data.
    filesystems: Vec<String>,
}

impl Machine {
    /// This machine, and the file system of the folders.
    pub(super) fn look(folders: &[&Path]) -> anyhow::Result<Self> {
        let cpu = field("/proc/cpuinfo", "model name")?;
        let memory: u64 = field("/proc/meminfo", "MemTotal")?.trim_end_matches(" kB").parse()?;
        let mounts = fs::read_to_string("/proc/mounts")?;
        let mut filesystems: Vec<_> = folders.iter().map(|folder| filesystem(&mounts, folder)).collect();
        filesystems.dedup();
        Ok(Self {
            cpu,
            cores: thread::available_parallelism()?.get(),
            memory_gib: memory / (1 << 20),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            filesystems,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, cores, memory_gib, kernel, filesystems } = self;
        let disk = filesystems.join(", ");
        write!(formatter, "{cores} × {cpu}, {memory_gib} GiB, Linux {kernel}, data on {disk}")?;
        if disk.contains("tmpfs") {
            write!(formatter, " (not a disk: nothing here is durable)")?;
        }
        Ok(())
    }
}

fn field(file: &str, name: &str) -> anyhow::Result<String> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned());
    value.with_context(|| format!("{file} says {name}"))
}

/// The type of the file system that contains `folder`.
fn filesystem(mounts: &str, folder: &Path) -> String {
    let mounted = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let nearest = mounted.filter(|(point, _)| folder.starts_with(point)).max_by_key(|(point, _)| point.len());
    nearest.map_or("unknown", |(_, kind)| kind).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_counts() {
        let mounts = "/dev/a / ext4 rw\ntmpfs /tmp tmpfs rw\n/dev/b /tmp/deep xfs rw\n";
        assert_eq!(filesystem(mounts, Path::new("/home/me")), "ext4");
        assert_eq!(filesystem(mounts, Path::new("/tmp/data")), "tmpfs");
        assert_eq!(filesystem(mounts, Path::new("/tmp/deep/data")), "xfs");
    }
}
