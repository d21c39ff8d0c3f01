//! A statement that is written piece by piece.

use std::fmt::Write as _;

use super::{
    ByDialect, Dialect,
    value::{Arguments, Value},
};

/// A statement that is written piece by piece. Its text consists of literals, so that no value can become SQL; values
/// are bound.
#[derive(Debug)]
pub struct QueryBuilder {
    dialect: Dialect,
    text: String,
    arguments: Arguments,
}

/// Pieces of a statement with a separator in between.
#[derive(Debug)]
pub struct Separated<'b> {
    query: &'b mut QueryBuilder,
    separator: &'static str,
    is_first: bool,
}

impl QueryBuilder {
    /// A statement that begins with `sql`.
    #[must_use]
    pub fn new(dialect: Dialect, sql: &'static str) -> Self {
        Self { dialect, text: sql.to_owned(), arguments: Arguments::new(dialect) }
    }

    /// Adds text.
    pub fn push(&mut self, sql: &'static str) -> &mut Self {
        self.text.push_str(sql);
        self
    }

    /// Adds a number to the text, which is not bound: the database is to plan the statement for it.
    pub fn push_number(&mut self, number: usize) -> &mut Self {
        write!(self.text, "{number}").expect("a string can be written to");
        self
    }

    /// Adds text that differs between the databases.
    pub fn push_by_dialect(&mut self, texts: ByDialect) -> &mut Self {
        self.push(texts.text(self.dialect))
    }

    /// Adds a value.
    pub fn push_bind<'v>(&mut self, value: impl Value<'v>) -> &mut Self {
        self.arguments.add(value);
        self.arguments.write_placeholder(&mut self.text).expect("a string can be written to");
        self
    }

    /// Adds pieces with `separator` in between.
    pub const fn separated(&mut self, separator: &'static str) -> Separated<'_> {
        Separated { query: self, separator, is_first: true }
    }

    /// Adds values as a list: `(1, 2)`. There must be one, at least.
    pub fn push_list<'v, T: Value<'v>>(&mut self, values: impl IntoIterator<Item = T>) -> &mut Self {
        self.push("(");
        let mut list = self.separated(", ");
        for value in values {
            list.push_bind(value);
        }
        self.push(")")
    }

    /// Adds `VALUES (1, 'a'), (2, 'b')`: `push` binds the values of each row.
    pub fn push_values<T>(
        &mut self,
        rows: impl IntoIterator<Item = T>,
        mut push: impl FnMut(&mut Separated<'_>, T),
    ) -> &mut Self {
        self.push("VALUES ");
        for (index, row) in rows.into_iter().enumerate() {
            self.push(if index == 0 { "(" } else { ", (" });
            push(&mut self.separated(", "), row);
            self.push(")");
        }
        self
    }

    /// What was written so far.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.text
    }

    pub(super) fn into_parts(self) -> (String, Arguments) {
        (self.text, self.arguments)
    }
}

impl Separated<'_> {
    /// Adds a value.
    pub fn push_bind<'v>(&mut self, value: impl Value<'v>) -> &mut Self {
        if !std::mem::replace(&mut self.is_first, false) {
            self.query.push(self.separator);
        }
        self.query.push_bind(value);
        self
    }
}
