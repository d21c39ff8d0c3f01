//! Cleans up after this process however it ends: signals run no destructors, and statics are never dropped.

use std::{
    ffi::OsStr,
    io::Write as _,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;

/// Runs a shell script when dropped, or when this process has ended.
pub(crate) struct Guard {
    shell: Child,
}

impl Guard {
    /// Arms the guard with `script`, which sees `arguments` as `$1` and so on.
    pub(crate) fn new<I>(script: &str, arguments: I) -> anyhow::Result<Self>
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        let shell = Command::new("sh")
            // Reading fails once the last holder of the pipe's other end, this process, has ended.
            .args(["-c", &format!("read -r _ && exit; {script}"), "guard"])
            .args(arguments)
            // Ctrl-C in the terminal reaches the whole process group, and the guard must outlive it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run `sh`")?;
        Ok(Self { shell })
    }

    /// Drops the script without running it: there is nothing left to clean up.
    pub(crate) fn disarm(&mut self) {
        if let Some(mut stdin) = self.shell.stdin.take() {
            // If the shell has ended already, it runs no script either.
            let _ = stdin.write_all(b"\n");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOUCH: &str = r#"touch "$1""#;

    #[test]
    fn runs_its_script_when_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cleaned up");
        drop(Guard::new(TOUCH, [&file]).unwrap());
        assert!(file.exists());
    }

    #[test]
    fn runs_nothing_once_disarmed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cleaned up");
        let mut guard = Guard::new(TOUCH, [&file]).unwrap();
        guard.disarm();
        drop(guard);
        assert!(!file.exists());
    }
}
