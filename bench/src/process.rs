//! CPU time and memory of processes, as reported by the kernel.

use std::{collections::BTreeMap, fs, path::Path, process};

use anyhow::Context as _;

/// Microseconds per clock tick: the kernel reports CPU time in hundredths of a second, whatever its own tick is.
const TICK_US: f64 = 10_000.0;

/// Processes to watch, by their names in the report.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch(Vec<Process>);

#[derive(Debug, Clone)]
struct Process {
    name: &'static str,
    id: u32,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A process alone.
    Single,
    /// With its children, including those that have ended.
    Family,
    /// Only the children that have ended.
    Ended,
}

impl Watch {
    /// This process, which sends the requests.
    pub(crate) fn client() -> Self {
        Self(Vec::new()).and("client", process::id())
    }

    /// Programs that this process runs to completion.
    pub(crate) fn children(name: &'static str) -> Self {
        Self(vec![Process { name, id: process::id(), kind: Kind::Ended }])
    }

    /// Also this process.
    #[must_use]
    pub(crate) fn and(mut self, name: &'static str, id: u32) -> Self {
        self.0.push(Process { name, id, kind: Kind::Single });
        self
    }

    /// Also this process with all its children.
    #[must_use]
    pub(crate) fn and_family(mut self, name: &'static str, id: u32) -> Self {
        self.0.push(Process { name, id, kind: Kind::Family });
        self
    }

    /// CPU time used so far, in microseconds.
    pub(crate) fn cpu(&self) -> anyhow::Result<BTreeMap<&'static str, f64>> {
        self.0.iter().map(|process| Ok((process.name, process.cpu()?))).collect()
    }

    /// Resets the peaks of memory.
    pub(crate) fn reset_peaks(&self) {
        for process in self.0.iter().filter(|process| process.kind == Kind::Single) {
            // Without support from the kernel, the peak since the start remains, which is larger.
            let _ = fs::write(format!("/proc/{}/clear_refs", process.id), "5");
        }
    }

    /// Peak resident memory of each process since the last reset, in MiB.
    pub(crate) fn peaks(&self) -> anyhow::Result<BTreeMap<&'static str, f64>> {
        let single = self.0.iter().filter(|process| process.kind == Kind::Single);
        single.map(|process| Ok((process.name, peak_mib(process.id)?))).collect()
    }
}

impl Process {
    fn cpu(&self) -> anyhow::Result<f64> {
        let times = Times::of(&Path::new("/proc").join(self.id.to_string()))?;
        Ok(TICK_US
            * match self.kind {
                Kind::Single => times.own,
                Kind::Ended => times.ended,
                Kind::Family => times.own + times.ended + living_children(self.id)?,
            })
    }
}

/// CPU times of a process, in ticks.
struct Times {
    parent: u32,
    own: f64,
    ended: f64,
}

impl Times {
    fn of(folder: &Path) -> anyhow::Result<Self> {
        let stat = fs::read_to_string(folder.join("stat"))?;
        // The program's name, in parentheses, may contain anything.
        let (_, rest) = stat.rsplit_once(')').context("a process has a name")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |index: usize| -> anyhow::Result<f64> {
            Ok(fields.get(index).context("a process has its times")?.parse()?)
        };
        Ok(Self {
            parent: fields.get(1).context("a process has a parent")?.parse()?,
            own: number(11)? + number(12)?,
            ended: number(13)? + number(14)?,
        })
    }
}

/// CPU time of the running children, in ticks.
fn living_children(parent: u32) -> anyhow::Result<f64> {
    let folders = fs::read_dir("/proc")?.flatten().map(|entry| entry.path());
    // Those that end in the meantime are counted with their parent from then on.
    let times = folders.filter_map(|folder| Times::of(&folder).ok());
    Ok(times.filter(|times| times.parent == parent).map(|times| times.own).sum())
}

/// Peak resident memory, in MiB.
pub(crate) fn peak_mib(id: u32) -> anyhow::Result<f64> {
    memory_mib(id, "VmHWM:")
}

/// Current resident memory, in MiB.
pub(crate) fn resident_mib(id: u32) -> anyhow::Result<f64> {
    memory_mib(id, "VmRSS:")
}

fn memory_mib(id: u32, field: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("a process has memory")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let watch = Watch::client();
        assert!(watch.peaks().unwrap()["client"] > 0.0);
        assert!(watch.cpu().unwrap()["client"] >= 0.0);
        assert!(resident_mib(process::id()).unwrap() > 0.0);
    }
}
