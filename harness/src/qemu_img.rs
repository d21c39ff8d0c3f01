//! qemu-img, QEMU's program for images of disks.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use crate::{debian, program};

/// Installs it if it is missing.
pub fn install() -> anyhow::Result<()> {
    if path().is_ok() { Ok(()) } else { debian::install("qemu-utils") }
}

/// Where it is.
pub fn path() -> anyhow::Result<PathBuf> {
    program::find("qemu-img").context("qemu-img is missing: install it with `apt-get install qemu-utils`")
}

/// Converts a raw disk to a new file in another format, with options such as `subformat=fixed`.
pub fn convert(disk: &Path, format: &str, options: Option<&str>, to: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(path()?);
    command.args(["convert", "-f", "raw", "-O", format]);
    if let Some(options) = options {
        command.args(["-o", options]);
    }
    program::run(command.args([disk, to])).map(drop)
}
