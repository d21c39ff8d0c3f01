//! The conditions of a list on columns, as SQL.

use chassis::db::Micros;
use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use common::id::Id;
use sqlx::{Database, Encode, QueryBuilder, Type};

use crate::list::{Comparison, Condition, ImageFilter};

/// Adds the conditions of the filter on columns of `images`.
pub(super) fn push<DB: Database>(query: &mut QueryBuilder<DB>, filter: &ImageFilter)
where
    for<'q> String: Encode<'q, DB> + Type<DB>,
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> DateTime<Utc>: Encode<'q, DB> + Type<DB>,
    for<'q> Micros: Encode<'q, DB> + Type<DB>,
    for<'q> Id: Encode<'q, DB> + Type<DB>,
{
    for condition in &filter.conditions {
        push_condition(query, condition);
    }
}

/// Adds one of them.
pub(super) fn push_condition<DB: Database>(query: &mut QueryBuilder<DB>, condition: &Condition)
where
    for<'q> String: Encode<'q, DB> + Type<DB>,
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> DateTime<Utc>: Encode<'q, DB> + Type<DB>,
    for<'q> Micros: Encode<'q, DB> + Type<DB>,
    for<'q> Id: Encode<'q, DB> + Type<DB>,
{
    query.push(" AND ");
    match condition {
        Condition::Text(column, values) => push_one_of(query, column.sql(), values),
        Condition::Id(ids) => push_one_of(query, "id", ids),
        Condition::Protected(true) => {
            query.push("protected");
        }
        Condition::Protected(false) => {
            query.push("NOT protected");
        }
        Condition::Number(column, comparison, number) => {
            query.push(column.sql()).push(comparison.sql()).push_bind(*number);
        }
        Condition::Time(column, comparison, time) if time.nanosecond() > 0 => {
            query.push(column.sql()).push(comparison.sql()).push_bind(*time);
        }
        Condition::Time(column, comparison, time) => push_second(query, column.sql(), *comparison, *time),
    }
}

/// Compares with a whole second, as times are shown: a time within it is equal to it.
fn push_second<DB: Database>(
    query: &mut QueryBuilder<DB>,
    column: &'static str,
    comparison: Comparison,
    second: DateTime<Utc>,
) where
    for<'q> DateTime<Utc>: Encode<'q, DB> + Type<DB>,
    for<'q> Micros: Encode<'q, DB> + Type<DB>,
{
    let next = second + TimeDelta::seconds(1);
    let (first, joint, last) = match comparison {
        Comparison::Equal => (Some((" >= ", second)), " AND ", Some((" < ", next))),
        Comparison::NotEqual => (Some((" < ", second)), " OR ", Some((" >= ", next))),
        Comparison::Less => (Some((" < ", second)), "", None),
        Comparison::LessOrEqual => (None, "", Some((" < ", next))),
        Comparison::Greater => (None, "", Some((" >= ", next))),
        Comparison::GreaterOrEqual => (Some((" >= ", second)), "", None),
    };
    query.push("(");
    if let Some((operator, time)) = first {
        query.push(column).push(operator).push_bind(time);
    }
    query.push(joint);
    if let Some((operator, time)) = last {
        query.push(column).push(operator).push_bind(time);
    }
    query.push(")");
}

fn push_one_of<DB: Database, T>(query: &mut QueryBuilder<DB>, column: &'static str, values: &[T])
where
    for<'q> T: Encode<'q, DB> + Type<DB> + Clone,
{
    match values {
        [] => {
            query.push("FALSE");
        }
        [value] => {
            query.push(column).push(" = ").push_bind(value.clone());
        }
        values => {
            query.push(column).push(" IN (");
            let mut separated = query.separated(", ");
            for value in values {
                separated.push_bind(value.clone());
            }
            query.push(")");
        }
    }
}
