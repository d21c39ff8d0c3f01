//! The queries of lists of volumes.

use chassis::{
    caller::Caller,
    http::{
        microversion::Microversion,
        query::{self, MARKER, Query, Sort},
    },
    page::{Direction, MAX_SIZE, Order},
    scope::sees_all,
};
use common::{
    text::{boolean, clip},
    violations::Violations,
};

use super::{since, values::dictionary};
use crate::{
    list::{VolumeFilter, VolumeOrder},
    volume::TaskState,
};

/// What the query of a list asks for.
#[derive(Debug)]
pub(super) struct ListVolumes {
    /// Which volumes; `None` if none can match.
    pub(super) filter: Option<VolumeFilter>,
    pub(super) limit: usize,
    pub(super) order: Order<VolumeOrder>,
    /// The last volume of the page before.
    pub(super) marker: Option<String>,
    /// Whether those of all projects are asked for, by a caller who sees them.
    pub(super) all_projects: bool,
    pub(super) query: Query,
}

/// The names of sort keys.
const SORT_KEYS: [(&str, VolumeOrder); 7] = [
    ("created_at", VolumeOrder::CreateTime),
    ("updated_at", VolumeOrder::UpdateTime),
    ("name", VolumeOrder::Name),
    ("display_name", VolumeOrder::Name),
    ("status", VolumeOrder::Status),
    ("size", VolumeOrder::SizeGib),
    ("id", VolumeOrder::Id),
];

/// What a status that Cinder has only while something is being done stands for.
const TASKS: [(&str, TaskState); 6] = [
    ("extending", TaskState::Extending),
    ("retyping", TaskState::Retyping),
    ("uploading", TaskState::Uploading),
    ("downloading", TaskState::Reimaging),
    ("reverting", TaskState::Reverting),
    ("maintenance", TaskState::Writing),
];

impl ListVolumes {
    /// Reads a query. Filters that there are not are ignored before 3.31, and refused since, as in Cinder.
    pub(super) fn parse(query: &str, version: Microversion, caller: &Caller) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let query = Query::parse(query, &mut violations);
        let (mut sort, mut filter) = (Sort::default(), Some(VolumeFilter::default()));
        let (mut limit, mut marker, mut all_projects) = (MAX_SIZE, None, false);
        for (name, value) in query.iter() {
            match name {
                "limit" => limit = violations.take(name, query::limit(value, MAX_SIZE)).unwrap_or(limit),
                MARKER => marker = Some(value.to_owned()),
                "offset" => check_offset(value, &mut violations),
                // Clients of everybody send it (bug 1917574).
                "all_tenants" => all_projects = sees_all(caller) && boolean(value).unwrap_or(false),
                "project_id" if !sees_all(caller) => {}
                _ if sort.take(name, value) => {}
                _ => match add(&mut filter, name, value) {
                    Ok(false) if version.is_in(since(31)) => {
                        violations.add(clip(name, 60), "is no filter of this list");
                    }
                    Ok(_) => {}
                    Err(problem) => violations.add(name, problem),
                },
            }
        }
        let by_default = VolumeOrder::CreateTime;
        let keys = violations.take("sort", sort.keys(&SORT_KEYS, by_default));
        violations.check()?;
        let order = Order::new(keys.unwrap_or_else(|| vec![(by_default, Direction::Descending)]));
        Ok(Self { filter, limit, order, marker, all_projects, query })
    }
}

fn check_offset(value: &str, violations: &mut Violations) {
    if query::integer(value) != Ok(0) {
        violations.add("offset", "is not offered; continue with marker");
    }
}

/// Adds a condition; `false` if there is no such filter. `filter` becomes `None` if nothing can match.
fn add(filter: &mut Option<VolumeFilter>, name: &str, value: &str) -> Result<bool, String> {
    let Some(conditions) = filter else { return Ok(true) };
    let entries = |text: &str| dictionary(text).ok_or("must be a dictionary, such as {'key': 'value'}");
    match name {
        "name" | "availability_zone" | "project_id" | "user_id" | "bootable" => {
            conditions.add_field(name, value.to_owned())?;
        }
        "display_name" => conditions.add_field("name", value.to_owned())?,
        "size" => conditions.add_field("size_gib", value.to_owned())?,
        "metadata" => conditions.metadata.extend(entries(value)?),
        "glance_metadata" => conditions.image_properties.extend(entries(value)?),
        "status" => {
            if !add_status(conditions, value) {
                *filter = None;
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Adds a condition on what Cinder calls the status; `false` if no volume ever has it.
fn add_status(conditions: &mut VolumeFilter, value: &str) -> bool {
    if let Some((_, state)) = TASKS.iter().find(|(name, _)| *name == value) {
        conditions.task_state = Some(Some(*state));
        return true;
    }
    let status = value.replace('-', "_");
    let has_task = ["creating", "deleting"].contains(&value);
    conditions.task_state = (!has_task).then_some(None);
    conditions.add_field("status", status).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Microversion = Microversion::new(3, 0);
    const NEW: Microversion = Microversion::new(3, 71);

    fn member() -> Caller {
        let actor = chassis::caller::Actor { user_id: "alice".to_owned(), project_id: "demo".to_owned() };
        Caller { actor, roles: vec!["member".to_owned()], is_admin: false, token: None }
    }

    #[test]
    fn unknown_filters_are_ignored_by_old_versions_and_refused_by_new_ones() {
        let query = "nothing=1&name=a";
        assert!(ListVolumes::parse(query, OLD, &member()).is_ok());
        assert_eq!(ListVolumes::parse(query, NEW, &member()).unwrap_err().fields(), "nothing");
    }

    #[test]
    fn all_projects_are_for_those_who_see_them() {
        let list = ListVolumes::parse("all_tenants=1&project_id=other", NEW, &member()).unwrap();
        assert!(!list.all_projects && list.filter.unwrap().columns.is_empty());
        let admin = Caller { is_admin: true, ..member() };
        assert!(ListVolumes::parse("all_tenants=True", NEW, &admin).unwrap().all_projects);
    }

    #[test]
    fn a_status_is_one_of_a_volume_or_of_its_task() {
        let filter =
            |status: &str| ListVolumes::parse(&format!("status={status}"), NEW, &member()).unwrap().filter;
        assert_eq!(filter("uploading").unwrap().task_state, Some(Some(TaskState::Uploading)));
        let in_use = filter("in-use").unwrap();
        assert_eq!((in_use.task_state, in_use.columns.len()), (Some(None), 1));
        assert_eq!(filter("creating").unwrap().task_state, None);
        assert!(filter("error_extending").is_none());
    }

    #[test]
    fn what_is_wrong_is_told_at_once() {
        let query = "limit=-1&offset=3&sort=nothing&metadata=a&size=x";
        let violations = ListVolumes::parse(query, NEW, &member()).unwrap_err();
        assert_eq!(violations.fields(), "limit, offset, metadata, size, sort");
    }
}
