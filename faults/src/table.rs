//! What was observed of each fault, and whether it is what was promised.

use std::io::{Write as _, stderr, stdout};

use clap::ValueEnum as _;
use comfy_table::presets::ASCII_MARKDOWN;

use crate::cases::Case;

/// Prints what is done next.
pub(crate) fn progress(case: Case) {
    // Progress is only for people.
    let _ = writeln!(stderr(), "{} …", name(case));
}

/// What was observed so far.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    case: String,
    seen: String,
    promise: String,
    is_kept: bool,
}

impl Table {
    /// Records what was observed, next to what was promised.
    pub(crate) fn note(&mut self, case: Case, seen: impl Into<String>, promise: &str, is_kept: bool) {
        let row = Row { case: name(case), seen: seen.into(), promise: promise.to_owned(), is_kept };
        let _ = writeln!(stderr(), "  {}: {} ({})", row.seen, row.promise, verdict(row.is_kept));
        self.rows.push(row);
    }

    /// Records that a case could not be completed.
    pub(crate) fn broke(&mut self, case: Case, error: &anyhow::Error) {
        self.note(case, format!("{error:#}"), "the case completes", false);
    }

    /// Whether everything was as promised.
    pub(crate) fn is_kept(&self) -> bool {
        self.rows.iter().all(|row| row.is_kept)
    }

    pub(crate) fn print(&self) {
        let mut table = comfy_table::Table::new();
        table.load_style(ASCII_MARKDOWN).set_header(["fault", "seen", "promised", ""]);
        for Row { case, seen, promise, is_kept } in &self.rows {
            table.add_row([case, seen, promise, verdict(*is_kept)]);
        }
        let _ = writeln!(stdout(), "{table}");
    }
}

const fn verdict(is_kept: bool) -> &'static str {
    if is_kept { "kept" } else { "NOT KEPT" }
}

fn name(case: Case) -> String {
    case.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
