//! Conditions of a query on base attributes.

use chassis::http::query::{integer, time};
use chrono::{DateTime, Utc};
use common::text::clip;

use super::{flag, values::one_of};
use crate::list::{Comparison, Condition, NumberColumn, TextColumn, TimeColumn};

/// Columns that can be one of several values.
pub(super) const WITH_OPERATOR: [(&str, TextColumn); 4] = [
    ("name", TextColumn::Name),
    ("status", TextColumn::Status),
    ("container_format", TextColumn::ContainerFormat),
    ("disk_format", TextColumn::DiskFormat),
];

/// The condition on a base attribute; none if the name is a property's.
pub(super) fn condition(name: &str, value: &str) -> Result<Option<Condition>, String> {
    if name == "protected" {
        return Ok(Some(Condition::Protected(flag(value)?)));
    }
    if name == "id" {
        let ids = one_of(value)?;
        // What is no id is no image's.
        return Ok(Some(Condition::Id(ids.iter().filter_map(|id| id.parse().ok()).collect())));
    }
    if let Some((_, column)) = WITH_OPERATOR.iter().find(|(known, _)| *known == name) {
        return Ok(Some(Condition::Text(*column, one_of(value)?)));
    }
    if let Some((_, column)) = TextColumn::ALL.iter().find(|(known, _)| *known == name) {
        return Ok(Some(Condition::Text(*column, vec![value.to_owned()])));
    }
    let time = match name {
        "created_at" => Some(TimeColumn::CreateTime),
        "updated_at" => Some(TimeColumn::UpdateTime),
        _ => None,
    };
    if let Some(column) = time {
        let (comparison, time) = compared_time(value)?;
        return Ok(Some(Condition::Time(column, comparison, time)));
    }
    number_condition(name, value)
}

/// Whether a condition counts in place of one before it of the same filter: the last counts (Glance), but two
/// comparisons of a time are a range.
pub(super) fn replaces(condition: &Condition, before: &Condition) -> bool {
    match (condition, before) {
        (Condition::Time(_, comparison, _), Condition::Time(_, other, _)) => comparison == other,
        _ => true,
    }
}

/// How many values a condition compares with.
pub(super) fn values(condition: &Condition) -> usize {
    match condition {
        Condition::Text(_, values) => values.len(),
        Condition::Id(ids) => ids.len(),
        Condition::Protected(_) | Condition::Number(..) | Condition::Time(..) => 1,
    }
}

/// `min_ram=512`, and the ranges `size_min` and `size_max`.
fn number_condition(name: &str, value: &str) -> Result<Option<Condition>, String> {
    let ranges = [("_min", Comparison::GreaterOrEqual), ("_max", Comparison::LessOrEqual)];
    let range = ranges.iter().find_map(|(end, comparison)| Some((name.strip_suffix(end)?, *comparison)));
    let (attribute, comparison) = range.unwrap_or((name, Comparison::Equal));
    let column = NumberColumn::ALL.iter().find(|(known, _)| *known == attribute);
    let Some((_, column)) = column else { return Ok(None) };
    Ok(Some(Condition::Number(*column, comparison, integer(value)?)))
}

/// `TIME`, or `gt:TIME` and so on.
fn compared_time(value: &str) -> Result<(Comparison, DateTime<Utc>), String> {
    if let Some(time) = time(value) {
        return Ok((Comparison::Equal, time));
    }
    let (operator, text) = value.split_once(':').unwrap_or(("eq", value));
    let comparison = Comparison::ALL.iter().find(|(known, _)| *known == operator);
    match (comparison, time(text)) {
        (Some((_, comparison)), Some(time)) => Ok((*comparison, time)),
        (None, _) => {
            let known = Comparison::ALL.map(|(known, _)| known).join(", ");
            Err(format!("{:?} is no operator; those are {known}", clip(operator, 60)))
        }
        (_, None) => Err("must be a time in ISO 8601, such as 2026-11-22T16:56:41Z".to_owned()),
    }
}
