//! The conditions of a list on columns, as SQL.

use chassis::db::{QueryBuilder, Value};
use chrono::{DateTime, TimeDelta, Timelike as _, Utc};

use crate::list::{Comparison, Condition, ImageFilter};

/// Adds the conditions of the filter on columns of `images`.
pub(super) fn push(query: &mut QueryBuilder, filter: &ImageFilter) {
    for condition in &filter.conditions {
        push_condition(query, condition);
    }
}

/// Adds one of them.
pub(super) fn push_condition(query: &mut QueryBuilder, condition: &Condition) {
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
fn push_second(
    query: &mut QueryBuilder,
    column: &'static str,
    comparison: Comparison,
    second: DateTime<Utc>,
) {
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

fn push_one_of<T>(query: &mut QueryBuilder, column: &'static str, values: &[T])
where
    for<'a> &'a T: Value<'a>,
{
    match values {
        [] => {
            query.push("FALSE");
        }
        [value] => {
            query.push(column).push(" = ").push_bind(value);
        }
        values => {
            query.push(column).push(" IN ").push_list(values);
        }
    }
}
