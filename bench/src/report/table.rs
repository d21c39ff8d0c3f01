//! The findings as tables.

use std::{
    fmt::Write as _,
    io::{IsTerminal as _, stdout},
};

use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};

use crate::figures::{Finding, Goal, Run, median_of};

const HEADINGS: [&str; 9] =
    ["row", "case", "reached", "p50 / p99 / p99.9", "CPU a request", "ceiling", "ratio", "goal", ""];

/// For the terminal.
pub(super) fn terminal(findings: &[Finding]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if !stdout().is_terminal() {
        table.force_no_tty().set_content_arrangement(ContentArrangement::Disabled);
    }
    table.set_header(HEADINGS);
    for finding in findings {
        let color = match finding.met {
            Some(true) => Color::Green,
            Some(false) => Color::Red,
            None => Color::Reset,
        };
        let cells = cells(finding);
        table.add_row(cells.into_iter().enumerate().map(|(index, text)| match index {
            0 | 1 | 4 => Cell::new(text),
            8 => Cell::new(text).fg(color),
            _ => Cell::new(text).set_alignment(CellAlignment::Right),
        }));
    }
    table.to_string()
}

/// For a document.
pub(super) fn markdown(findings: &[Finding], heading: &str) -> String {
    let mut text = format!("{heading}\n\n| {} |\n", HEADINGS.join(" | "));
    text.push_str("|---|---|--:|--:|---|--:|--:|--:|---|\n");
    for finding in findings {
        let _ = writeln!(text, "| {} |", cells(finding).join(" | "));
    }
    text
}

/// A finding in a line.
pub(crate) fn line(finding: &Finding) -> String {
    let [row, case, value, latency, _, ceiling, ratio, goal, met] = cells(finding);
    format!("{row} · {case}: {value}  {latency}  ceiling {ceiling}  ratio {ratio}  goal {goal} {met}")
}

fn cells(finding: &Finding) -> [String; 9] {
    let ceiling = finding.ceiling.as_ref();
    [
        finding.row.to_owned(),
        finding.case.clone(),
        format!("{} {}", number(finding.value), finding.unit),
        latency(&finding.runs),
        cpu(&finding.runs),
        ceiling.map_or_else(String::new, |ceiling| format!("{}: {}", ceiling.name, number(ceiling.value))),
        finding.ratio.map_or_else(String::new, number),
        finding.goal.map_or_else(String::new, goal),
        finding.met.map_or("", |met| if met { "met" } else { "NOT MET" }).to_owned(),
    ]
}

/// A goal, in short.
pub(super) fn goal(goal: Goal) -> String {
    match goal {
        Goal::RatioAtLeast(goal) => format!("≥ {goal} ×"),
        Goal::RatioAtMost(goal) => format!("≤ {goal} ×"),
        Goal::AtLeast(goal) => format!("≥ {}", number(goal)),
        Goal::AtMost(goal) => format!("≤ {}", number(goal)),
    }
}

fn latency(runs: &[Run]) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let [p50, p99, p999] = [
        median_of(runs, |run| run.latency_us.p50),
        median_of(runs, |run| run.latency_us.p99),
        median_of(runs, |run| run.latency_us.p999),
    ]
    .map(|microseconds| number(microseconds / 1e3));
    format!("{p50} / {p99} / {p999} ms")
}

fn cpu(runs: &[Run]) -> String {
    let Some(first) = runs.first() else { return String::new() };
    let of_each = first.cpu_us.keys().map(|name| {
        let microseconds = median_of(runs, |run| run.cpu_us.get(name).copied().unwrap_or_default());
        format!("{name} {} µs", number(microseconds))
    });
    of_each.collect::<Vec<_>>().join(", ")
}

/// A figure with three significant digits and separators of thousands.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "—".to_owned();
    }
    let decimals = match value.abs() {
        0.0 => 0,
        small if small < 1.0 => 3,
        small if small < 10.0 => 2,
        small if small < 100.0 => 1,
        _ => 0,
    };
    let digits = format!("{value:.decimals$}");
    let (whole, fraction) = digits.split_once('.').map_or((digits.as_str(), None), |(w, f)| (w, Some(f)));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        let left = whole.len() - index;
        if index > 0 && left.is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    fraction.map_or_else(|| grouped.clone(), |fraction| format!("{grouped}.{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let shown = [0.0, 0.07134, 1.5, 15.04, 1_234.5, 1_234_567.0, f64::NAN].map(number);
        assert_eq!(shown, ["0", "0.071", "1.50", "15.0", "1,234", "1,234,567", "—"]);
    }
}
