//! Pages of lists: size, order and opaque tokens (AIP-158, AIP-132), read by keyset.
//!
//! A token holds the sort keys of the last item of its page, so that every page costs the same, and a fingerprint of
//! its list, so that it cannot be used with another filter or order.

use chrono::{DateTime, Datelike as _, Utc};
use serde::{Deserialize, Serialize};

use crate::db::{Micros, QueryBuilder};
use common::{id::Id, violations::Violations};

mod order;
mod read;
mod token;

pub use order::{Direction, Order};
pub use read::{Placed, Read};

use token::{Token, fingerprint, parse_token};

/// Number of items on a page if no size was given.
pub const DEFAULT_SIZE: usize = 25;

/// Maximum number of items on a page.
pub const MAX_SIZE: usize = 1000;

/// Maximum size of the items of a page, in bytes: clients refuse answers above 4 MiB.
pub const MAX_BYTES: usize = 3 * 1024 * 1024;

/// A value of a sort key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Key {
    /// Text, compared bytewise.
    Text(String),
    /// A number.
    Integer(i64),
    /// A time.
    Time(DateTime<Utc>),
    /// A time that is stored as [`Micros`].
    Micros(DateTime<Utc>),
    /// An id.
    Id(Id),
}

/// Something that a list can be sorted by.
pub trait SortKey: Copy + PartialEq + 'static {
    /// Every sort key, by its name in `order_by`, which is that of a column.
    const ALL: &'static [(&'static str, Self)];

    /// The unique key, which ends every order.
    const ID: Self;

    /// The column of that name.
    fn column(self) -> &'static str {
        let known = Self::ALL.iter().find(|(_, key)| *key == self);
        known.map(|(name, _)| *name).expect("every sort key has a name")
    }

    /// The SQL expression; never NULL.
    fn sql(self) -> &'static str {
        self.column()
    }

    /// An example of its values, to recognise a foreign token.
    fn kind(self) -> Key;
}

/// Which page to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<K> {
    /// Maximum number of items.
    pub size: usize,
    /// The order of the list.
    pub order: Order<K>,
    after: Option<Vec<Key>>,
    fingerprint: String,
}

impl Key {
    /// Whether a database can compare with it: a forged token may hold values that none can.
    fn is_storable(&self) -> bool {
        match self {
            Self::Text(text) => !text.contains('\0'),
            Self::Time(time) | Self::Micros(time) => (1..=9999).contains(&time.year()),
            Self::Integer(_) | Self::Id(_) => true,
        }
    }

    /// Adds the value to a statement.
    pub fn push_bind(&self, query: &mut QueryBuilder) {
        match self {
            Self::Text(text) => query.push_bind(text),
            Self::Integer(number) => query.push_bind(*number),
            Self::Time(time) => query.push_bind(*time),
            Self::Micros(time) => query.push_bind(Micros(*time)),
            Self::Id(id) => query.push_bind(*id),
        };
    }
}

impl<K: SortKey> Page<K> {
    /// Reads `page_size`, `page_token` and `order_by` of a request. `problems` are those found so far, `list`
    /// identifies the list and everything that selects its items, `default` is its order.
    pub fn parse(
        problems: Violations,
        page_size: i32,
        page_token: &str,
        order_by: &str,
        list: &[&str],
        default: (K, Direction),
    ) -> Result<Self, Violations> {
        let mut violations = problems;
        let size = violations.take("page_size", parse_size(page_size)).unwrap_or(DEFAULT_SIZE);
        let order = violations
            .take("order_by", Order::parse(order_by, default))
            .unwrap_or_else(|| Order::new(vec![default]));
        let fingerprint = fingerprint(list, order_by);
        let after = violations.take("page_token", parse_token(page_token, &fingerprint, &order)).flatten();
        violations.check()?;
        Ok(Self { size, order, after, fingerprint })
    }

    /// The page of at most `size` items after the one whose sort keys `key` reads; without one, the first page.
    pub fn behind(size: usize, order: Order<K>, key: Option<impl Fn(K) -> Key>) -> Self {
        let after = key.map(|key| order.keys().iter().map(|(name, _)| key(*name)).collect());
        Self { size: size.min(MAX_SIZE), order, after, fingerprint: String::new() }
    }

    /// Adds the condition that an item comes after the previous page, which all do on the first page.
    pub fn push_after(&self, query: &mut QueryBuilder) {
        let Some(after) = &self.after else {
            query.push("TRUE");
            return;
        };
        query.push("(");
        for range in 0..self.ranges() {
            query.push(if range == 0 { "" } else { " OR " });
            self.push_range(query, range);
        }
        query.push(")");
        if self.ranges() > 1 {
            // The same bound on the first key alone, which an index can start from.
            let (key, direction) = self.order.keys()[0];
            query.push(" AND ").push(key.sql()).push(match direction {
                Direction::Ascending => " >= ",
                Direction::Descending => " <= ",
            });
            after[0].push_bind(query);
        }
    }

    /// How many ranges of an index in the order of the list hold the items after the previous page: one for each time
    /// that the direction changes from key to key, plus one.
    #[must_use]
    pub fn ranges(&self) -> usize {
        if self.after.is_some() { self.runs().count() } else { 1 }
    }

    /// Adds the condition that an item is in one of the [`Page::ranges`]; on the first page, all items are.
    pub fn push_range(&self, query: &mut QueryBuilder, range: usize) {
        let (Some(after), Some(run)) = (&self.after, self.runs().nth(range)) else {
            query.push("TRUE");
            return;
        };
        // a = 1 AND b = 2 AND (c, d) > (3, 4): a range of an index, exactly.
        let start = self.runs().take(range).map(<[_]>::len).sum::<usize>();
        query.push("(");
        for ((key, _), value) in self.order.keys().iter().zip(after).take(start) {
            query.push(key.sql()).push(" = ");
            value.push_bind(query);
            query.push(" AND ");
        }
        query.push("(");
        for (index, (key, _)) in run.iter().enumerate() {
            query.push(if index == 0 { "" } else { ", " }).push(key.sql());
        }
        query.push(match run[0].1 {
            Direction::Ascending => ") > (",
            Direction::Descending => ") < (",
        });
        for (index, value) in after[start..start + run.len()].iter().enumerate() {
            query.push(if index == 0 { "" } else { ", " });
            value.push_bind(query);
        }
        query.push("))");
    }

    /// The keys, split where the direction changes.
    fn runs(&self) -> impl Iterator<Item = &[(K, Direction)]> {
        self.order.keys().chunk_by(|(_, one), (_, next)| one == next)
    }

    /// Adds the order.
    pub fn push_order(&self, query: &mut QueryBuilder) {
        query.push(" ORDER BY ");
        for (index, (key, direction)) in self.order.keys().iter().enumerate() {
            query.push(if index == 0 { "" } else { ", " }).push(key.sql()).push(match direction {
                Direction::Ascending => " ASC",
                Direction::Descending => " DESC",
            });
        }
    }

    /// Adds the order and the limit: one more than the page, to see whether there is a next page.
    pub fn push_end(&self, query: &mut QueryBuilder) {
        self.push_order(query);
        query.push(" LIMIT ").push_bind(i64::try_from(self.size + 1).unwrap_or(i64::MAX));
    }

    /// Adds the table `sized` on a table `page` whose `bytes` says how large each item is: its `key` as `page_key`;
    /// its `place` in the order of the list; `fits`, whether an answer holds it, as it always does the first; and
    /// `is_looked_at`, whether it fits or is the first that does not. A database knows these before it reads what is
    /// large, and whoever reads that puts it in its place ([`Placed`]): the database would copy all of it to sort it.
    pub fn push_sized(&self, query: &mut QueryBuilder, key: &'static str) {
        query
            .push("sized AS (SELECT page_key, place, total <= ")
            .push_number(MAX_BYTES)
            .push(" OR place = 1 AS fits, ");
        query
            .push("total - bytes <= ")
            .push_number(MAX_BYTES)
            .push(" OR place <= 2 AS is_looked_at FROM (SELECT ");
        query.push(key).push(" AS page_key, bytes, ROW_NUMBER() OVER listed AS place, ");
        query.push("SUM(bytes) OVER listed AS total FROM page WINDOW listed AS (");
        self.push_order(query);
        query.push(" ROWS UNBOUNDED PRECEDING)) measured)");
    }

    /// The sort keys of the last item of the previous page, if there was one.
    #[must_use]
    pub fn after(&self) -> Option<&[Key]> {
        self.after.as_deref()
    }

    /// The token of the page after an item with these sort keys.
    #[must_use]
    pub fn token(&self, after: Vec<Key>) -> String {
        Token { list: self.fingerprint.clone(), after }.encode()
    }
}

fn parse_size(page_size: i32) -> Result<usize, String> {
    match usize::try_from(page_size) {
        Ok(0) => Ok(DEFAULT_SIZE),
        // AIP-158: a size above the maximum means the maximum.
        Ok(size) => Ok(size.min(MAX_SIZE)),
        Err(_) => Err(format!("must not be negative: 1 to {MAX_SIZE}, or 0 for {DEFAULT_SIZE}")),
    }
}

#[cfg(test)]
mod tests;
