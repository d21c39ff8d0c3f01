//! Progress, on standard error.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{bench::Case, figures::Finding, report::table};

/// A bar with a step per row, or lines if there is no terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar for this many rows.
    pub(crate) fn new(rows: usize) -> Self {
        let bar = ProgressBar::new(u64::try_from(rows).unwrap_or_default());
        let style = "{spinner} {pos}/{len} rows {bar:20} {elapsed_precise} {wide_msg}";
        bar.set_style(ProgressStyle::with_template(style).expect("the template is fine"));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar }
    }

    /// Shows what is being done.
    pub(crate) fn step(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// Shows which measurement is being made.
    pub(crate) fn say(&self, case: &Case, pair: usize, pairs: usize, whose: &str) {
        self.step(&format!("{} · {} · pair {pair}/{pairs}: {whose}", case.row, case.name));
    }

    /// Shows a finding.
    pub(crate) fn found(&self, finding: &Finding) {
        self.line(&table::line(finding));
    }

    /// Completes a row.
    pub(crate) fn row_done(&self) {
        self.bar.inc(1);
    }

    /// Prints a line that stays.
    pub(crate) fn line(&self, line: &str) {
        if stderr().is_terminal() {
            self.bar.println(line);
        } else {
            // Standard error may be closed.
            let _ = writeln!(stderr(), "{line}");
        }
    }

    /// Completes the bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
