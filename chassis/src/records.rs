//! Records: values that are written once and shared by all resources that have the same. The id of a record is made of its
//! content ([`common::content`]), which never changes.
//!
//! The tables are `records (id, …)`, and `record_entries (record_id, key, value)` to find records by what they contain.

use std::collections::BTreeMap;

use common::id::Id;
use serde::Serialize;

use crate::db::{self, ByDialect, Many, Transaction, json};

mod filter;
mod known;
mod list;
mod walk;

pub use filter::{RecordFilter, Values};
pub use known::KnownRows;
pub use list::List;
pub use walk::{After, Of, resources_after};

/// Where resources are that have records.
#[derive(Debug)]
pub struct Resources {
    /// Their table, which has the columns `id`, `record_id`, `project_id` and `create_time`.
    pub table: &'static str,
    /// The statement that reads them, up to its conditions.
    pub rows: &'static str,
    /// How values are indexed.
    pub values: Values,
}

/// Which of the records `$1` exist.
const KNOWN: ByDialect = ByDialect {
    sqlite: "SELECT id FROM records WHERE id IN (SELECT value FROM json_each($1))",
    postgres: "SELECT id FROM records WHERE id = ANY($1)",
};

/// A row of `records`.
pub trait Row: Serialize {
    /// A row of `record_entries`.
    type Entry: Serialize;

    /// Writes the records of the JSON array `$1` that do not exist yet; returns their ids.
    const INSERT: ByDialect;

    /// Writes the entries of the JSON array `$1`.
    const INSERT_ENTRIES: ByDialect;

    /// The entries of the record.
    fn entries(&self) -> impl Iterator<Item = Self::Entry>;
}

/// Writes those of the records that do not exist yet, with their entries.
pub async fn write_records<'a, R, T: Row>(
    tx: &mut Transaction,
    records: BTreeMap<Id, &'a R>,
    row: impl Fn(&'a R) -> T,
) -> Result<(), db::Error> {
    let ids = records.keys().copied().collect();
    let known: Vec<Id> = tx.query_scalar(KNOWN).bind(Many(ids)).fetch_all().await?;
    let mut rows: BTreeMap<_, _> = records.into_iter().map(|(id, record)| (id, row(record))).collect();
    for known in known {
        rows.remove(&known);
    }
    if rows.is_empty() {
        return Ok(());
    }
    // Another replica may write the same records: the first one writes the entries, too.
    let new: Vec<_> = rows.values().collect();
    let written: Vec<Id> = tx.query_scalar(T::INSERT).bind(json(&new)).fetch_all().await?;
    let entries: Vec<_> = written.iter().filter_map(|id| rows.get(id)).flat_map(Row::entries).collect();
    tx.query(T::INSERT_ENTRIES).bind(json(&entries)).execute().await?;
    Ok(())
}
