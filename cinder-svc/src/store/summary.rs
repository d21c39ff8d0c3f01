//! How many volumes there are, and of what size.

use std::collections::{BTreeMap, BTreeSet};

use chassis::{db, scope::Scope};

use super::Store;

/// Maximum number of entries of metadata that a summary names.
const ENTRIES: i64 = 1000;

/// All volumes that somebody sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How many there are.
    pub count: i64,
    /// Their sizes together, GiB.
    pub size_gib: i64,
    /// Their metadata: each key with all its values; at most 1000 values in all, the first ones.
    pub metadata: BTreeMap<String, BTreeSet<String>>,
}

impl Store {
    /// The summary of the volumes within `scope`.
    pub async fn summary(&self, scope: &Scope) -> Result<Summary, db::Error> {
        let mut reader = self.db.reader().await?;
        let mut query = self
            .db
            .builder("SELECT COUNT(*), CAST(COALESCE(SUM(size_gib), 0) AS BIGINT) FROM volumes WHERE TRUE");
        scope.push(&mut query);
        let (count, size_gib): (i64, i64) = reader.query_as(query).fetch_one().await?;
        let mut query = self.db.builder(
            "SELECT DISTINCT key, value FROM volume_metadata WHERE volume_id IN (SELECT id FROM volumes WHERE TRUE",
        );
        scope.push(&mut query);
        query.push(") ORDER BY key, value LIMIT ").push_bind(ENTRIES);
        let entries: Vec<(String, String)> = reader.query_as(query).fetch_all().await?;
        let mut metadata = BTreeMap::<_, BTreeSet<_>>::new();
        for (key, value) in entries {
            metadata.entry(key).or_default().insert(value);
        }
        Ok(Summary { count, size_gib, metadata })
    }
}
