//! The order of a list, as its query asks for it.

use common::text::clip;

use crate::page::Direction;

/// The sort keys of a query: `sort=name:asc,size`, or `sort_key=name&sort_dir=asc`, where a key may be repeated and has
/// the direction in the same place, or all have the only one. Without a direction, a key is descending.
#[derive(Debug, Clone, Default)]
pub struct Sort {
    joined: Option<String>,
    keys: Vec<String>,
    directions: Vec<String>,
}

impl Sort {
    /// Takes a parameter of a query, if it is one of these three; returns whether it is.
    pub fn take(&mut self, name: &str, value: &str) -> bool {
        match name {
            "sort" => self.joined = Some(value.to_owned()),
            "sort_key" => self.keys.push(value.trim().to_owned()),
            "sort_dir" => self.directions.push(value.trim().to_owned()),
            _ => return false,
        }
        true
    }

    /// The keys among the `known` ones that the query asks for; `default` if it asks for none.
    pub fn keys<K: Copy>(
        &self,
        known: &[(&'static str, K)],
        default: K,
    ) -> Result<Vec<(K, Direction)>, String> {
        match &self.joined {
            Some(_) if !(self.keys.is_empty() && self.directions.is_empty()) => {
                Err("cannot be combined with sort_key and sort_dir".to_owned())
            }
            Some(joined) => joined.split(',').map(|part| parse_part(part, known)).collect(),
            None => self.paired(known, default),
        }
    }

    /// The `sort_dir` of a query that has just one.
    #[must_use]
    pub fn only_direction(&self) -> Option<Direction> {
        match self.directions.as_slice() {
            [only] => parse_direction(only).ok(),
            _ => None,
        }
    }

    fn paired<K: Copy>(
        &self,
        known: &[(&'static str, K)],
        default: K,
    ) -> Result<Vec<(K, Direction)>, String> {
        let directions = self.directions.iter().map(|name| parse_direction(name));
        let directions = directions.collect::<Result<Vec<_>, _>>()?;
        let keys = self.keys.iter().map(|name| parse_key(name, known)).collect::<Result<Vec<_>, _>>()?;
        let keys = if keys.is_empty() { vec![default] } else { keys };
        match directions.as_slice() {
            [] => Ok(keys.into_iter().map(|key| (key, Direction::Descending)).collect()),
            [one] => Ok(keys.into_iter().map(|key| (key, *one)).collect()),
            several if several.len() == keys.len() => Ok(keys.into_iter().zip(directions).collect()),
            _ => Err("needs no sort_dir, one, or one for each sort_key".to_owned()),
        }
    }
}

/// `name:asc`, or `name`.
fn parse_part<K: Copy>(part: &str, known: &[(&'static str, K)]) -> Result<(K, Direction), String> {
    let (key, direction) = part.split_once(':').unwrap_or((part, "desc"));
    Ok((parse_key(key.trim(), known)?, parse_direction(direction.trim())?))
}

fn parse_key<K: Copy>(name: &str, known: &[(&'static str, K)]) -> Result<K, String> {
    let key = known.iter().find(|(known, _)| *known == name).map(|(_, key)| *key);
    key.ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        format!("{:?} is no sort key; those are {}", clip(name, 60), names.join(", "))
    })
}

fn parse_direction(name: &str) -> Result<Direction, String> {
    match name {
        "asc" => Ok(Direction::Ascending),
        "desc" => Ok(Direction::Descending),
        _ => Err(format!("{:?} is no direction; those are asc and desc", clip(name, 60))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Ascending as Up, Descending as Down};

    const KNOWN: [(&str, char); 2] = [("name", 'n'), ("size", 's')];

    fn keys(query: &[(&str, &str)]) -> Result<Vec<(char, Direction)>, String> {
        let mut sort = Sort::default();
        for (name, value) in query {
            assert!(sort.take(name, value), "{name}");
        }
        sort.keys(&KNOWN, 'd')
    }

    #[test]
    fn reads_both_forms() {
        for (query, expected) in [
            (&[][..], vec![('d', Down)]),
            (&[("sort_dir", "asc")], vec![('d', Up)]),
            (&[("sort", "name:asc, size")], vec![('n', Up), ('s', Down)]),
            (&[("sort_key", "name"), ("sort_key", "size")], vec![('n', Down), ('s', Down)]),
            (&[("sort_key", "name"), ("sort_key", "size"), ("sort_dir", "asc")], vec![('n', Up), ('s', Up)]),
            (
                &[("sort_key", "name"), ("sort_dir", "asc"), ("sort_key", "size"), ("sort_dir", "desc")],
                vec![('n', Up), ('s', Down)],
            ),
        ] {
            assert_eq!(keys(query), Ok(expected), "{query:?}");
        }
        assert!(!Sort::default().take("limit", "1"));
    }

    #[test]
    fn refuses_what_is_no_order() {
        for query in [
            &[("sort", "nope")][..],
            &[("sort", "name:up")],
            &[("sort_dir", "up")],
            &[("sort", "name"), ("sort_dir", "asc")],
            &[("sort_key", "name"), ("sort_dir", "asc"), ("sort_dir", "asc")],
        ] {
            assert!(keys(query).is_err(), "{query:?}");
        }
    }
}
