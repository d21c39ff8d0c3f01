//! The query of a list: filters, order, and which page.

use chassis::page::{DEFAULT_SIZE, Direction, MAX_SIZE, Order};
use common::{text::clip, violations::Violations};
use form_urlencoded::{Serializer, parse as pairs_of};

use crate::{
    image::{Visibility, member::MemberStatus},
    list::{Condition, ImageFilter, ImageOrder, Membership, VisibilityFilter},
};

mod condition;
mod time;
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
    /// The query without its marker.
    pairs: Vec<(String, String)>,
}

impl ListImages {
    /// The path of the first page of this list, or of the one behind `marker`.
    #[must_use]
    pub fn link(&self, marker: Option<common::id::Id>) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(&self.pairs);
        if let Some(marker) = marker {
            query.append_pair("marker", &marker.to_string());
        }
        let query = query.finish();
        if query.is_empty() { "/v2/images".to_owned() } else { format!("/v2/images?{query}") }
    }
}

/// Reads a query, all of whose problems are told at once.
pub fn parse(query: &str) -> Result<ListImages, Violations> {
    let mut reader = Reader::default();
    for (name, value) in pairs_of(query.as_bytes()) {
        if value.contains('\0') || name.contains('\0') {
            reader.violations.add(clip(&name, 60).escape_debug().to_string(), "must not contain NUL");
            continue;
        }
        reader.read(&name, &value);
        if name != "marker" {
            reader.pairs.push((name.into_owned(), value.into_owned()));
        }
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    violations: Violations,
    filter: ImageFilter,
    /// With the names of their filters.
    conditions: Vec<(String, Condition)>,
    limit: Option<usize>,
    marker: Option<String>,
    sort: Option<String>,
    sort_keys: Vec<String>,
    sort_directions: Vec<String>,
    pairs: Vec<(String, String)>,
}

impl Reader {
    fn read(&mut self, name: &str, value: &str) {
        let read = match name {
            "limit" => limit(value).map(|limit| self.limit = Some(limit)),
            "marker" => {
                self.marker = Some(value.to_owned());
                Ok(())
            }
            "sort" => {
                self.sort = Some(value.to_owned());
                Ok(())
            }
            "sort_key" => {
                self.sort_keys.push(value.trim().to_owned());
                Ok(())
            }
            "sort_dir" => {
                self.sort_directions.push(value.trim().to_owned());
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

    fn finish(mut self) -> Result<ListImages, Violations> {
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
            pairs: self.pairs,
        })
    }

    /// The sort keys of a query, and behind them those that end every order.
    fn order(&self) -> Result<Order<ImageOrder>, String> {
        let mut keys = if let Some(sort) = &self.sort { self.joined(sort)? } else { self.classic()? };
        // Glance: one direction counts for all, of several none counts for what is not named.
        let last = if let [(_, only)] = keys.as_slice() { *only } else { self.direction_of_the_rest() };
        keys.extend([(ImageOrder::CreateTime, last), (ImageOrder::Id, last)]);
        Ok(Order::new(keys))
    }

    /// `sort=name:asc,size`.
    fn joined(&self, sort: &str) -> Result<Vec<(ImageOrder, Direction)>, String> {
        if !(self.sort_keys.is_empty() && self.sort_directions.is_empty()) {
            return Err("cannot be combined with sort_key and sort_dir".to_owned());
        }
        let keys = sort.split(',').map(|part| {
            let (key, direction) = part.split_once(':').unwrap_or((part, "desc"));
            Ok((sort_key(key.trim())?, sort_direction(direction.trim())?))
        });
        keys.collect()
    }

    /// `sort_key` with no, one, or as many `sort_dir`.
    fn classic(&self) -> Result<Vec<(ImageOrder, Direction)>, String> {
        let directions = self.sort_directions.iter().map(|direction| sort_direction(direction));
        let directions = directions.collect::<Result<Vec<_>, _>>()?;
        let keys = self.sort_keys.iter().map(|key| sort_key(key)).collect::<Result<Vec<_>, _>>()?;
        let keys = if keys.is_empty() { vec![ImageOrder::CreateTime] } else { keys };
        match directions.as_slice() {
            [] => Ok(keys.into_iter().map(|key| (key, Direction::Descending)).collect()),
            [one] => Ok(keys.into_iter().map(|key| (key, *one)).collect()),
            several if several.len() == keys.len() => Ok(keys.into_iter().zip(directions).collect()),
            _ => Err("needs no sort_dir, one, or one for each sort_key".to_owned()),
        }
    }

    fn direction_of_the_rest(&self) -> Direction {
        match self.sort_directions.as_slice() {
            [only] if only == "asc" => Direction::Ascending,
            _ => Direction::Descending,
        }
    }
}

fn limit(value: &str) -> Result<usize, String> {
    match value.trim().parse::<i128>() {
        Ok(limit) if limit >= 0 => Ok(usize::try_from(limit).map_or(MAX_SIZE, |limit| limit.min(MAX_SIZE))),
        Ok(_) => Err("must not be negative".to_owned()),
        Err(_) => Err("must be an integer".to_owned()),
    }
}

fn sort_key(name: &str) -> Result<ImageOrder, String> {
    let known = SORT_KEYS.iter().find(|(known, _)| *known == name).map(|(_, key)| *key);
    known.ok_or_else(|| {
        let known = SORT_KEYS.map(|(known, _)| known).join(", ");
        format!("{:?} is no sort key; those are {known}", clip(name, 60))
    })
}

fn sort_direction(name: &str) -> Result<Direction, String> {
    match name {
        "asc" => Ok(Direction::Ascending),
        "desc" => Ok(Direction::Descending),
        _ => Err(format!("{:?} is no direction; those are asc and desc", clip(name, 60))),
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
