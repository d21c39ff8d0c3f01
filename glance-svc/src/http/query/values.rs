//! Values of a filter that can be one of several.

use crate::list::Comparison;

/// `VALUE`, `eq:VALUE`, or `in:VALUE,"VALUE, WITH COMMA"`.
pub(super) fn one_of(value: &str) -> Result<Vec<String>, String> {
    match value.split_once(':') {
        Some(("eq", value)) => Ok(vec![value.to_owned()]),
        Some(("in", values)) => split_values(values),
        Some((operator, _)) if Comparison::ALL.iter().any(|(known, _)| *known == operator) => {
            Err(format!("{operator:?} does not compare texts; in and eq do (a value with a colon: eq:VALUE)"))
        }
        // Names do have colons, and clients ask for images by their names as they are.
        _ => Ok(vec![value.to_owned()]),
    }
}

/// Splits a list at its commas, but for those in double quotes; a backslash keeps a quote from being one.
fn split_values(list: &str) -> Result<Vec<String>, String> {
    let mut values = vec![String::new()];
    let mut characters = list.chars().peekable();
    let mut is_quoted = false;
    let mut was_quoted = false;
    while let Some(character) = characters.next() {
        let value = values.last_mut().expect("there is a first value");
        match character {
            '\\' if characters.peek() == Some(&'"') => value.extend(characters.next()),
            '"' if is_quoted => (is_quoted, was_quoted) = (false, true),
            '"' if value.is_empty() && !was_quoted => is_quoted = true,
            ',' if !is_quoted => {
                was_quoted = false;
                values.push(String::new());
            }
            '"' => return Err("has a quotation mark in the middle of a value".to_owned()),
            _ if was_quoted => return Err("needs a comma behind a closing quotation mark".to_owned()),
            other => value.push(other),
        }
    }
    if is_quoted { Err("has a quotation mark that is not closed".to_owned()) } else { Ok(values) }
}
