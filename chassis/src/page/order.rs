//! The order of a list (AIP-132).

use super::SortKey;
use common::text::clip;

/// Ascending or descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// The order of a list; it always ends with the id, so that no two items are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order<K>(Vec<(K, Direction)>);

impl<K: SortKey> Order<K> {
    /// An order by these keys; if a key is repeated, the first occurrence counts.
    #[must_use]
    pub fn new(keys: Vec<(K, Direction)>) -> Self {
        let mut distinct: Vec<(K, Direction)> = Vec::new();
        for (key, direction) in keys {
            if !distinct.iter().any(|(other, _)| *other == key) {
                distinct.push((key, direction));
            }
        }
        let mut keys = distinct;
        if !keys.iter().any(|(key, _)| *key == K::ID) {
            let direction = keys.last().map_or(Direction::Ascending, |(_, direction)| *direction);
            keys.push((K::ID, direction));
        }
        Self(keys)
    }

    pub(super) fn parse(order_by: &str, default: (K, Direction)) -> Result<Self, String> {
        if order_by.trim().is_empty() {
            return Ok(Self::new(vec![default]));
        }
        let mut keys: Vec<(K, Direction)> = Vec::new();
        for part in order_by.split(',') {
            let (key, direction) = Self::parse_key(part)?;
            if keys.iter().any(|(other, _)| *other == key) {
                return Err(format!("{:?} is there twice", clip(part.trim(), 60)));
            }
            keys.push((key, direction));
        }
        Ok(Self::new(keys))
    }

    /// The sort keys, the unique one last.
    #[must_use]
    pub fn keys(&self) -> &[(K, Direction)] {
        &self.0
    }

    fn parse_key(part: &str) -> Result<(K, Direction), String> {
        let mut words = part.split_whitespace();
        let name = words.next().unwrap_or_default();
        let key = K::ALL.iter().find(|(known, _)| *known == name).map(|(_, key)| *key);
        let direction = match words.next() {
            None | Some("asc") => Some(Direction::Ascending),
            Some("desc") => Some(Direction::Descending),
            Some(_) => None,
        };
        match (key, direction, words.next()) {
            (Some(key), Some(direction), None) => Ok((key, direction)),
            _ => {
                let known: Vec<_> = K::ALL.iter().map(|(name, _)| *name).collect();
                Err(format!(
                    "{:?} is not an order; allowed, each with asc or desc and separated by commas: {}",
                    clip(part.trim(), 60),
                    known.join(", ")
                ))
            }
        }
    }
}
