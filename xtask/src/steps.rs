//! The steps of a command, one after the other.

use std::{
    io::{Write as _, stdout},
    slice,
    time::Instant,
};

use anyhow::Context as _;
use clap::ValueEnum;

/// Runs all steps, or only this one, until one fails.
pub(crate) fn run<S: ValueEnum + Copy>(
    only: Option<S>,
    title: impl Fn(S) -> &'static str,
    run_step: impl Fn(S) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let steps = only.as_ref().map_or(S::value_variants(), slice::from_ref);
    for (index, step) in steps.iter().enumerate() {
        let heading = format!("[{}/{}] {}", index + 1, steps.len(), title(*step));
        writeln!(stdout(), "\n{heading}")?;
        let started = Instant::now();
        run_step(*step).with_context(|| format!("{heading}: failed"))?;
        writeln!(stdout(), "{heading}: done in {:.1} s", started.elapsed().as_secs_f64())?;
    }
    Ok(())
}
