//! Running programs to completion, and finding them.

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, ensure};

/// Runs `command` to completion, and returns its standard output.
pub fn run(command: &mut Command) -> anyhow::Result<String> {
    let line = CommandLine(command).to_string();
    let Output { status, stdout, stderr } =
        command.output().with_context(|| format!("cannot run `{line}`"))?;
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    let stderr = String::from_utf8_lossy(&stderr);
    ensure!(status.success(), "`{line}` failed ({status})\n{stdout}{stderr}");
    Ok(stdout)
}

/// Runs `command` to completion, with this process's standard output and error.
pub fn show(command: &mut Command) -> anyhow::Result<()> {
    let line = CommandLine(command).to_string();
    let status = command.status().with_context(|| format!("cannot run `{line}`"))?;
    ensure!(status.success(), "`{line}` failed ({status})");
    Ok(())
}

/// The first file called `program` in the search path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = environment("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// An environment variable, unless it is unset or empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness runs inside test binaries, which parse no arguments"
)]
pub(crate) fn environment(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// A command as one would type it, with just the name of its program.
struct CommandLine<'a>(&'a Command);

impl fmt::Display for CommandLine<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = Path::new(self.0.get_program());
        write!(formatter, "{}", program.file_name().unwrap_or(program.as_os_str()).display())?;
        self.0.get_args().map(OsStr::display).try_for_each(|argument| write!(formatter, " {argument}"))
    }
}
