//! Conditions on records.

use std::collections::BTreeMap;

use common::id::Id;

use crate::{db::QueryBuilder, page::Key};

/// Conditions on records, which a record must meet all of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordFilter {
    /// Conditions on columns of `records`: their SQL up to the value, and the value.
    pub columns: Vec<(&'static str, Key)>,
    /// Entries that the record must have, with exactly these values.
    pub entries: BTreeMap<String, String>,
}

/// How the index of `record_entries` holds values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// As a whole.
    Whole,
    /// Their first 255 characters.
    Beginning,
}

/// The longest value that [`Values::Beginning`] holds as a whole, in characters.
const BEGINNING: usize = 255;

/// The condition on the image that a record was made from.
const IMAGE: &str = "image_id = ";

impl RecordFilter {
    /// Adds the condition that they were made from that image.
    pub fn add_image(&mut self, id: Id) {
        self.columns.push((IMAGE, Key::Id(id)));
    }

    /// Whether it names an image, which has few records.
    #[must_use]
    pub fn names_an_image(&self) -> bool {
        self.columns.iter().any(|(condition, _)| *condition == IMAGE)
    }

    /// Whether it has no condition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty() && self.entries.is_empty()
    }

    /// Adds the statement that finds the ids of the records that match.
    pub fn push_ids(&self, query: &mut QueryBuilder, values: Values) {
        query.push("SELECT id FROM records WHERE TRUE");
        self.push_conditions(query, values, None);
    }

    /// Adds the conditions to a statement on `records` whose ids are not below `first`.
    pub(super) fn push_conditions(&self, query: &mut QueryBuilder, values: Values, first: Option<Id>) {
        for (condition, value) in &self.columns {
            value.push_bind(query.push(" AND ").push(condition));
        }
        for (key, value) in &self.entries {
            query.push(" AND id IN (SELECT e.record_id FROM record_entries e WHERE e.key = ").push_bind(key);
            values.push_condition(query, value);
            if let Some(first) = first {
                query.push(" AND e.record_id >= ").push_bind(first);
            }
            query.push(")");
        }
    }
}

impl Values {
    /// Adds the condition that an entry `e` has that value.
    fn push_condition(self, query: &mut QueryBuilder, value: &str) {
        if self == Self::Beginning {
            let beginning: String = value.chars().take(BEGINNING).collect();
            query.push(" AND substr(e.value, 1, 255) = ").push_bind(&beginning);
            // The index cannot tell values that begin alike.
            if value.chars().count() < BEGINNING {
                return;
            }
        }
        query.push(" AND e.value = ").push_bind(value);
    }
}
