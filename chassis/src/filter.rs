//! The part of AIP-160 that our lists understand: conditions joined by AND.
//!
//! `name = "web" AND properties.os_distro = ubuntu AND tags:prod`

use std::{
    collections::{BTreeMap, btree_map::Entry},
    iter::Peekable,
    str::CharIndices,
};

use common::text::clip;

/// Longest filter, in bytes.
const MAX_BYTES: usize = 8192;

/// Maximum number of conditions in a filter.
const MAX_CONDITIONS: usize = 32;

/// How a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `=`: the field has exactly this value.
    Equals,
    /// `:`: the repeated field contains the value.
    Has,
}

/// One condition of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Name of the field, such as `status`.
    pub field: String,
    /// For a map field, its key: everything after the first dot.
    pub key: Option<String>,
    /// How to compare.
    pub operator: Operator,
    /// The value to compare with.
    pub value: String,
}

/// Parses a filter; an empty one has no conditions. The error says what is wrong with it.
pub fn parse(filter: &str) -> Result<Vec<Condition>, String> {
    if filter.len() > MAX_BYTES {
        return Err(format!("has {} bytes, at most {MAX_BYTES} are allowed", filter.len()));
    }
    if filter.contains('\0') {
        return Err("must not contain NUL".to_owned());
    }
    let mut words = words(filter)?.into_iter().peekable();
    let mut conditions = Vec::new();
    while words.peek().is_some() {
        if !conditions.is_empty() {
            join(words.next())?;
        }
        conditions.push(condition(&mut words)?);
    }
    if conditions.len() > MAX_CONDITIONS {
        return Err(format!("has {} conditions, at most {MAX_CONDITIONS} are allowed", conditions.len()));
    }
    Ok(conditions)
}

/// Parses a filter into the type of a list, to which `add` adds one condition after the other. An error ends with what is
/// `allowed`.
pub fn read<T: Default>(
    filter: &str,
    allowed: &str,
    add: impl Fn(&mut T, Condition) -> Result<(), String>,
) -> Result<T, String> {
    let mut list = T::default();
    parse(filter)
        .and_then(|conditions| conditions.into_iter().try_for_each(|condition| add(&mut list, condition)))
        .map_err(|problem| format!("{problem}; allowed: {allowed}"))?;
    Ok(list)
}

/// Adds the condition that `key` of a map field has `value`; a key cannot have two values.
pub fn add_entry(entries: &mut BTreeMap<String, String>, key: String, value: String) -> Result<(), String> {
    match entries.entry(key) {
        Entry::Occupied(entry) if *entry.get() != value => {
            Err(format!("{:?} cannot have two values", clip(entry.key(), 60)))
        }
        Entry::Occupied(_) => Ok(()),
        Entry::Vacant(entry) => {
            entry.insert(value);
            Ok(())
        }
    }
}

/// The problem with a condition that lists of this kind do not have.
#[must_use]
pub fn unknown(field: &str) -> String {
    format!("there is no such condition on {:?}", clip(field, 60))
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Bare(String),
    Quoted(String),
    Equals,
    Colon,
    Dot,
}

fn join(word: Option<Word>) -> Result<(), String> {
    match word {
        Some(Word::Bare(and)) if and == "AND" => Ok(()),
        other => Err(format!(
            "{} stands where AND must be; OR, NOT and parentheses are not supported",
            shown(other)
        )),
    }
}

fn condition(words: &mut Peekable<impl Iterator<Item = Word>>) -> Result<Condition, String> {
    let field = match words.next() {
        Some(Word::Bare(field)) => field,
        other => return Err(format!("{} stands where a field must be", shown(other))),
    };
    // `properties.hw_numa_cpus.0`: names of properties contain dots.
    let mut segments = Vec::new();
    while words.next_if_eq(&Word::Dot).is_some() {
        match words.next() {
            Some(Word::Bare(segment) | Word::Quoted(segment)) => segments.push(segment),
            other => return Err(format!("{} stands where a name must follow the dot", shown(other))),
        }
    }
    let operator = match words.next() {
        Some(Word::Equals) => Operator::Equals,
        Some(Word::Colon) => Operator::Has,
        other => return Err(format!("{} stands where `=` or `:` must follow {field:?}", shown(other))),
    };
    let value = value(words, &field)?;
    Ok(Condition { field, key: (!segments.is_empty()).then(|| segments.join(".")), operator, value })
}

fn value(words: &mut Peekable<impl Iterator<Item = Word>>, field: &str) -> Result<String, String> {
    let mut value = match words.next() {
        Some(Word::Quoted(value)) => return Ok(value),
        Some(Word::Bare(value)) => value,
        other => return Err(format!("{} stands where the value of {field:?} must be", shown(other))),
    };
    // A bare value may be a number such as 1.5.
    while words.next_if_eq(&Word::Dot).is_some() {
        value.push('.');
        if let Some(Word::Bare(more)) = words.next_if(|word| matches!(word, Word::Bare(_))) {
            value.push_str(&more);
        }
    }
    Ok(value)
}

fn shown(word: Option<Word>) -> String {
    match word {
        None => "the end".to_owned(),
        Some(Word::Bare(text)) => format!("`{}`", clip(&text, 60)),
        Some(Word::Quoted(text)) => format!("{:?}", clip(&text, 60)),
        Some(Word::Equals) => "`=`".to_owned(),
        Some(Word::Colon) => "`:`".to_owned(),
        Some(Word::Dot) => "`.`".to_owned(),
    }
}

fn words(filter: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut characters = filter.char_indices().peekable();
    while let Some((start, character)) = characters.next() {
        match character {
            blank if blank.is_whitespace() => {}
            '=' => words.push(Word::Equals),
            ':' => words.push(Word::Colon),
            '.' => words.push(Word::Dot),
            quote @ ('"' | '\'') => words.push(Word::Quoted(quoted(&mut characters, quote)?)),
            letter if is_bare(letter) => {
                while characters.next_if(|(_, next)| is_bare(*next)).is_some() {}
                let end = characters.peek().map_or(filter.len(), |(end, _)| *end);
                words.push(Word::Bare(filter[start..end].to_owned()));
            }
            other => return Err(format!("{other:?} must stand in quotes")),
        }
    }
    Ok(words)
}

fn quoted(characters: &mut Peekable<CharIndices<'_>>, quote: char) -> Result<String, String> {
    let mut text = String::new();
    while let Some((_, character)) = characters.next() {
        match character {
            end if end == quote => return Ok(text),
            '\\' => match characters.next() {
                Some((_, escaped)) => text.push(escaped),
                None => break,
            },
            other => text.push(other),
        }
    }
    Err(format!("a quote {quote} is not closed"))
}

fn is_bare(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(field: &str, key: Option<&str>, operator: Operator, value: &str) -> Condition {
        Condition { field: field.into(), key: key.map(Into::into), operator, value: value.into() }
    }

    #[test]
    fn reads_conditions_joined_by_and() {
        let filter = r#"status = ACTIVE AND properties.os_distro="ubuntu" AND tags:prod"#;
        assert_eq!(
            parse(filter).unwrap(),
            [
                condition("status", None, Operator::Equals, "ACTIVE"),
                condition("properties", Some("os_distro"), Operator::Equals, "ubuntu"),
                condition("tags", None, Operator::Has, "prod"),
            ]
        );
        assert_eq!(parse("  ").unwrap(), []);
    }

    #[test]
    fn reads_names_and_values_of_any_characters() {
        let filter = r#"properties."trait:HW_CPU \"x\"" = 'it\'s = AND' AND properties.hw_numa_cpus.0 = 1.5"#;
        assert_eq!(
            parse(filter).unwrap(),
            [
                condition("properties", Some(r#"trait:HW_CPU "x""#), Operator::Equals, "it's = AND"),
                condition("properties", Some("hw_numa_cpus.0"), Operator::Equals, "1.5"),
            ]
        );
        assert_eq!(parse(r#"name = """#).unwrap(), [condition("name", None, Operator::Equals, "")]);
    }

    #[test]
    fn says_what_is_wrong() {
        for (filter, part) in [
            ("name", "`=` or `:` must follow"),
            ("name =", "the end stands where the value"),
            ("name = a OR name = b", "`OR` stands where AND"),
            ("name = a AND", "the end stands where a field"),
            ("(name = a)", "'(' must stand in quotes"),
            ("name != a", "'!' must stand in quotes"),
            ("name = \"a", "not closed"),
            ("name = \"a\\", "not closed"),
            ("= a", "`=` stands where a field"),
            ("properties. = a", "must follow the dot"),
            ("name = \"a\0\"", "NUL"),
        ] {
            let problem = parse(filter).unwrap_err();
            assert!(problem.contains(part), "{filter}: {problem}");
        }
        assert!(parse(&"a=1 AND ".repeat(40)).is_err());
        assert!(parse(&"x".repeat(9000)).unwrap_err().contains("at most 8192"));
    }
}
