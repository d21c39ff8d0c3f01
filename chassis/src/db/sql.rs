//! The text of a statement. The two databases understand nearly the same SQL, so that most are written once.

use sqlx::{SqlSafeStr as _, SqlStr};

use super::{QueryBuilder, value::Arguments};

/// Which of the two databases a statement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// A text that differs between the two databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the text for the database of that name")]
pub struct ByDialect {
    pub sqlite: &'static str,
    pub postgres: &'static str,
}

/// A statement, with the values that it has so far.
#[derive(Debug)]
pub enum Sql {
    /// One text for both databases.
    Same(&'static str),
    /// A text for each.
    Differs(ByDialect),
    /// A text that was written for one of them.
    Built(QueryBuilder),
}

impl ByDialect {
    /// The text for this database.
    #[must_use]
    pub const fn text(self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Sqlite => self.sqlite,
            Dialect::Postgres => self.postgres,
        }
    }
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self::Same(text)
    }
}

impl From<ByDialect> for Sql {
    fn from(texts: ByDialect) -> Self {
        Self::Differs(texts)
    }
}

impl From<QueryBuilder> for Sql {
    fn from(query: QueryBuilder) -> Self {
        Self::Built(query)
    }
}

impl Sql {
    /// The text and the values for one of the databases.
    pub(super) fn prepare(self, dialect: Dialect) -> (SqlStr, Arguments) {
        match self {
            Self::Same(text) => (SqlStr::from_static(text), Arguments::new(dialect)),
            Self::Differs(texts) => (SqlStr::from_static(texts.text(dialect)), Arguments::new(dialect)),
            Self::Built(query) => {
                let (text, arguments) = query.into_parts();
                // It consists of literals, numbers and placeholders.
                (sqlx::AssertSqlSafe(text).into_sql_str(), arguments)
            }
        }
    }
}
