//! The filter of a list: it is read or refused, and what was read can be written so that it is read again.
#![no_main]

use std::fmt::Write as _;

use chassis::filter::{Condition, Operator, parse};
use glance_svc::list::ImageFilter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|filter: &str| {
    // Refused or not: which conditions images have is its own business.
    let _ = ImageFilter::parse(filter);
    let Ok(conditions) = parse(filter) else { return };
    let written = write(&conditions);
    match parse(&written) {
        Ok(read) => assert_eq!(read, conditions),
        // Quotes and escapes make a filter longer.
        Err(problem) => assert!(problem.contains("bytes"), "{written}: {problem}"),
    }
});

/// The filter that has these conditions, every name and value in quotes.
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
