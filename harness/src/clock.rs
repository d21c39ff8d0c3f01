//! A program's clock, which can be wrong.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{program, workspace};

/// How far a program's clock is ahead of the machine's, in seconds; behind it if negative.
pub const AHEAD: &str = "IMPRINT_CLOCK_AHEAD_S";

/// A library that moves the time of day of programs that are started with it. Monotonic clocks are not affected.
pub struct Clock {
    folder: TempDir,
}

impl Clock {
    /// Builds the library with the C compiler that Rust links with.
    pub fn build() -> anyhow::Result<Self> {
        let clock = Self { folder: tempfile::tempdir()? };
        let source = workspace::root().join("harness/c/clock.c");
        program::run(
            Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(clock.library()).arg(source),
        )?;
        Ok(clock)
    }

    /// The environment of a program whose clock is this many seconds ahead.
    #[must_use]
    pub fn environment(&self, seconds: i64) -> [(&'static str, String); 2] {
        [("LD_PRELOAD", self.library().display().to_string()), (AHEAD, seconds.to_string())]
    }

    fn library(&self) -> PathBuf {
        Path::join(self.folder.path(), "clock.so")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_a_clock_forward_and_back() {
        let clock = Clock::build().unwrap();
        let now = |seconds| {
            let mut date = Command::new("date");
            let said = program::run(date.arg("+%s").envs(clock.environment(seconds))).unwrap();
            said.trim().parse::<i64>().unwrap()
        };
        let (behind, ahead) = (now(-1000), now(1000));
        assert!((2000..2060).contains(&(ahead - behind)), "{behind} {ahead}");
    }
}
