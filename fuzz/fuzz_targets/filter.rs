//! Filters of lists: each is parsed or refused, and a parsed one, written out, is parsed to the same filter.
#![no_main]

use std::fmt::Write as _;

use chassis::filter::{Condition, Operator, parse};
use glance_svc::list::ImageFilter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|filter: &str| {
    // Accepted or refused: which conditions there are is up to images.
    let _ = ImageFilter::parse(filter);
    let Ok(conditions) = parse(filter) else { return };
    let written = write(&conditions);
    match parse(&written) {
        Ok(read) => assert_eq!(read, conditions),
        // Quotes and escapes make the filter longer, possibly too long.
        Err(problem) => assert!(problem.contains("bytes"), "{written}: {problem}"),
    }
});

/// The filter with these conditions, every name and value in quotes.
fn write(conditions: &[Condition]) -> String {
    let mut filter = String::new();
    for condition in conditions {
        let Condition { field, key, operator, value } = condition;
        let and = if filter.is_empty() { "" } else { " AND " };
        let key = key.as_ref().map(|key| format!(".{}", quoted(key))).unwrap_or_default();
        let operator = if *operator == Operator::Equals { "=" } else { ":" };
        let _ = write!(filter, "{and}{field}{key}{operator}{}", quoted(value));
    }
    filter
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', r#"\""#))
}
