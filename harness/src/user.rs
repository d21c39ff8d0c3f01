//! The user that a program runs as: PostgreSQL refuses to run as root.

use std::{os::unix::fs::chown, path::Path, process::Command};

use anyhow::Context as _;

use crate::program;

/// Whether this process runs as root.
pub(crate) fn is_root() -> anyhow::Result<bool> {
    Ok(id("-u", None)? == 0)
}

/// The unprivileged account as which root runs a program.
#[derive(Clone, Copy)]
pub(crate) struct Nobody {
    user: u32,
    group: u32,
}

impl Nobody {
    pub(crate) fn look_up() -> anyhow::Result<Self> {
        Ok(Self { user: id("-u", Some("nobody"))?, group: id("-g", Some("nobody"))? })
    }

    /// Hands `directory` over to this account.
    pub(crate) fn give(self, directory: &Path) -> anyhow::Result<()> {
        chown(directory, Some(self.user), Some(self.group))
            .with_context(|| format!("cannot give {} to nobody", directory.display()))
    }

    /// A command that runs `program` as this account.
    pub(crate) fn command(self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={}", self.user)).arg(format!("--regid={}", self.group));
        command.arg("--clear-groups").arg(program);
        command
    }
}

fn id(what: &str, user: Option<&str>) -> anyhow::Result<u32> {
    let printed = program::run(Command::new("id").arg(what).args(user))?;
    printed.trim().parse().with_context(|| format!("`id {what}` printed {printed:?}"))
}
