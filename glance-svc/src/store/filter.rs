//! The conditions of a list, as SQL.

use chrono::{DateTime, TimeDelta, Utc};
use common::id::Id;
use sqlx::{Database, Encode, QueryBuilder, Type};

use crate::list::{Comparison, Condition, ImageFilter, Listed, Scope};

/// Adds what the caller's lists show.
pub(super) fn push_scope<DB: Database>(query: &mut QueryBuilder<DB>, scope: &Scope, filter: &ImageFilter)
where
    for<'q> String: Encode<'q, DB> + Type<DB>,
{
    if filter.visibility == Listed::Default {
        query.push(" AND (visibility <> 'community'");
        if !scope.project.is_empty() {
            query.push(" OR owner = ").push_bind(scope.project.clone());
        }
        query.push(")");
    }
    if scope.is_admin {
        return;
    }
    query.push(" AND (visibility IN ('public', 'community')");
    if !scope.project.is_empty() {
        query.push(" OR owner = ").push_bind(scope.project.clone());
        query.push(
            " OR visibility = 'shared' AND id IN (SELECT image_id FROM image_members WHERE member_id = ",
        );
        query.push_bind(scope.project.clone());
        if let Some(status) = filter.member_status.status() {
            query.push(" AND status = ").push_bind(status.as_str().to_owned());
        }
        query.push(")");
    }
    query.push(")");
}

/// Adds the conditions of the filter.
pub(super) fn push<DB: Database>(query: &mut QueryBuilder<DB>, filter: &ImageFilter)
where
    for<'q> String: Encode<'q, DB> + Type<DB>,
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> DateTime<Utc>: Encode<'q, DB> + Type<DB>,
    for<'q> Id: Encode<'q, DB> + Type<DB>,
{
    if let Listed::Only(visibility) = filter.visibility {
        query.push(" AND visibility = ").push_bind(visibility.as_str().to_owned());
    }
    query.push(if filter.os_hidden { " AND os_hidden" } else { " AND NOT os_hidden" });
    for condition in &filter.conditions {
        push_condition(query, condition);
    }
    for tag in &filter.tags {
        query
            .push(" AND id IN (SELECT image_id FROM image_tags WHERE tag = ")
            .push_bind(tag.clone())
            .push(")");
    }
    for (name, value) in &filter.properties {
        query.push(" AND id IN (SELECT image_id FROM image_properties WHERE name = ").push_bind(name.clone());
        query.push(" AND substr(value, 1, 255) = substr(").push_bind(value.clone()).push(", 1, 255)");
        query.push(" AND value = ").push_bind(value.clone()).push(")");
    }
}

fn push_condition<DB: Database>(query: &mut QueryBuilder<DB>, condition: &Condition)
where
    for<'q> String: Encode<'q, DB> + Type<DB>,
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> DateTime<Utc>: Encode<'q, DB> + Type<DB>,
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
