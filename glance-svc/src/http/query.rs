//! The query of a list: filters, order, and which page.

use chassis::{
    http::query::{self, MARKER, Query, Sort},
    page::{DEFAULT_SIZE, Direction, MAX_SIZE, Order},
};
use common::{id::Id, text::clip, violations::Violations};

use crate::{
    image::{Visibility, member::MemberStatus},
    list::{Condition, ImageFilter, ImageOrder, Membership, VisibilityFilter},
};

mod condition;
mod parameters;
mod values;

use condition::{condition, replaces, values};

/// Most conditions of a list.
const MAX_CONDITIONS: usize = 64;

/// Most values of them all, with those of `in:`: a statement of SQLite can hold 32,766.
const MAX_VALUES: usize = 10_000;

/// Glance's names of the eight sort keys.
const SORT_KEYS: [(&str, ImageOrder); 8] = [
    ("name", ImageOrder::Name),
    ("status", ImageOrder::Status),
    ("container_format", ImageOrder::ContainerFormat),
    ("disk_format", ImageOrder::DiskFormat),
    ("size", ImageOrder::Size),
    ("id", ImageOrder::Id),
    ("created_at", ImageOrder::CreateTime),
    ("updated_at", ImageOrder::UpdateTime),
];

/// What a list request asks for.
#[derive(Debug, Clone)]
pub struct ListImages {
    /// Which images.
    pub filter: ImageFilter,
    /// In which order; always ends with a unique key.
    pub order: Order<ImageOrder>,
    /// Most images of the page, 0 to 1000.
    pub limit: usize,
    /// The last image of the page before, unread.
    pub marker: Option<String>,
    query: Query,
}

impl ListImages {
    /// The path of the first page of this list, or of the one behind `marker`.
    #[must_use]
    pub fn link(&self, marker: Option<Id>) -> String {
        self.query.page("/v2/images", marker.as_ref().map(|id| id as _))
    }
}

/// Reads a query, all of whose problems are told at once.
pub fn parse(query: &str) -> Result<ListImages, Violations> {
    let mut reader = Reader::default();
    let query = Query::parse(query, &mut reader.violations);
    for (name, value) in query.iter() {
        reader.read(name, value);
    }
    reader.finish(query)
}

#[derive(Default)]
struct Reader {
    violations: Violations,
    filter: ImageFilter,
    /// With the names of their filters.
    conditions: Vec<(String, Condition)>,
    limit: Option<usize>,
    marker: Option<String>,
    sort: Sort,
}

impl Reader {
    fn read(&mut self, name: &str, value: &str) {
        if self.sort.take(name, value) {
            return;
        }
        let read = match name {
            "limit" => query::limit(value, MAX_SIZE).map(|limit| self.limit = Some(limit)),
            MARKER => {
                self.marker = Some(value.to_owned());
                Ok(())
            }
            "tag" => {
                self.filter.tags.push(value.trim().to_owned());
                Ok(())
            }
            "visibility" => visibility(value).map(|visibility| self.filter.visibility = visibility),
            "member_status" => membership(value).map(|status| self.filter.member_status = status),
            "os_hidden" => flag(value).map(|hidden| self.filter.os_hidden = hidden),
            // Glance: what was deleted is listed to nobody, whatever this says.
            "deleted" => Ok(()),
            "changes-since" => Err("is no longer a filter; use updated_at=gt:TIME".to_owned()),
            _ => self.condition(name, value),
        };
        self.violations.take(&clip(name, 60), read);
    }

    fn condition(&mut self, name: &str, value: &str) -> Result<(), String> {
        match condition(name, value)? {
            Some(condition) => {
                self.conditions.retain(|(known, other)| known != name || !replaces(&condition, other));
                self.conditions.push((name.to_owned(), condition));
            }
            None => drop(self.filter.properties.insert(name.to_owned(), value.to_owned())),
        }
        Ok(())
    }

    fn finish(mut self, query: Query) -> Result<ListImages, Violations> {
        self.filter.conditions =
            std::mem::take(&mut self.conditions).into_iter().map(|(_, condition)| condition).collect();
        let order = self.order();
        let order = self.violations.take("sort", order);
        let conditions = self.filter.conditions.len() + self.filter.tags.len() + self.filter.properties.len();
        if conditions > MAX_CONDITIONS {
            let problem = format!("has {conditions} conditions, at most {MAX_CONDITIONS} are allowed");
            self.violations.add("query", problem);
        }
        let values: usize = self.filter.conditions.iter().map(values).sum();
        if values > MAX_VALUES {
            let problem = format!("has conditions with {values} values, at most {MAX_VALUES} are allowed");
            self.violations.add("query", problem);
        }
        self.violations.check()?;
        Ok(ListImages {
            filter: self.filter,
            order: order.expect("a bad order is a violation"),
            limit: self.limit.unwrap_or(DEFAULT_SIZE),
            marker: self.marker,
            query,
        })
    }

    /// The sort keys of a query, and behind them those that end every order.
    fn order(&self) -> Result<Order<ImageOrder>, String> {
        let mut keys = self.sort.keys(&SORT_KEYS, ImageOrder::CreateTime)?;
        // Glance: one direction counts for all, of several none counts for what is not named.
        let last = match keys.as_slice() {
            [(_, only)] => *only,
            _ => self.sort.only_direction().unwrap_or(Direction::Descending),
        };
        keys.extend([(ImageOrder::CreateTime, last), (ImageOrder::Id, last)]);
        Ok(Order::new(keys))
    }
}

fn visibility(value: &str) -> Result<VisibilityFilter, String> {
    if value == "all" {
        return Ok(VisibilityFilter::All);
    }
    let known = Visibility::ALL.iter().find(|known| known.as_str() == value);
    known
        .map(|visibility| VisibilityFilter::Only(*visibility))
        .ok_or_else(|| "must be public, private, shared, community or all".to_owned())
}

fn membership(value: &str) -> Result<Membership, String> {
    if value == "all" {
        return Ok(Membership::All);
    }
    let known = MemberStatus::ALL.iter().find(|known| known.as_str() == value);
    known
        .map(|status| Membership::Only(*status))
        .ok_or_else(|| "must be pending, accepted, rejected or all".to_owned())
}

fn flag(value: &str) -> Result<bool, String> {
    value.to_lowercase().parse().map_err(|_| "must be true or false".to_owned())
}

#[cfg(test)]
mod tests;
