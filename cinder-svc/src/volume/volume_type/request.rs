//! Requests to add and to change volume types.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use common::{
    id::Id,
    image::update::PropertyUpdate,
    text::{self, NAME_LIMIT},
    violations::Violations,
};

use super::{VolumeType, spec_field};
use crate::volume::request::description;

/// Maximum number of projects that a volume type is for.
const PROJECT_LIMIT: usize = 1000;

/// Maximum number of extra specs.
const SPEC_LIMIT: usize = 128;

/// A volume type to be added, as it was requested.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is the field of VolumeType with that name")]
pub struct NewVolumeType {
    pub name: String,
    pub description: String,
    pub is_public: bool,
    pub project_ids: BTreeSet<String>,
    pub extra_specs: BTreeMap<String, String>,
}

/// How a volume type is to be changed; `None` for what stays.
#[derive(Debug, Clone, Default)]
pub struct VolumeTypeUpdate {
    /// Its name; blanks around it are removed.
    pub name: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Whether every project may use it.
    pub is_public: Option<bool>,
    /// The projects that may use it if it is not public.
    pub projects: ProjectsUpdate,
    /// What is required of whoever keeps the data.
    pub extra_specs: PropertyUpdate,
}

/// How the projects of a volume type are to be changed.
#[derive(Debug, Clone, Default)]
pub struct ProjectsUpdate {
    /// Projects that may use it from now on.
    pub add: BTreeSet<String>,
    /// Projects that may no longer use it; a missing one is not an error.
    pub remove: BTreeSet<String>,
    /// Whether all that are not in `add` may no longer use it.
    pub purge: bool,
}

impl NewVolumeType {
    /// The volume type, or everything that is wrong with it.
    pub fn check(self, id: Id, now: DateTime<Utc>) -> Result<VolumeType, Violations> {
        let blank = VolumeType {
            id,
            name: String::new(),
            description: String::new(),
            is_public: self.is_public,
            project_ids: BTreeSet::new(),
            extra_specs: BTreeMap::new(),
            revision: 1,
            create_time: now,
            update_time: now,
        };
        let update = VolumeTypeUpdate {
            name: Some(self.name),
            description: Some(self.description),
            is_public: None,
            projects: ProjectsUpdate { add: self.project_ids, ..ProjectsUpdate::default() },
            extra_specs: PropertyUpdate { set: self.extra_specs, ..PropertyUpdate::default() },
        };
        update.apply(&blank)
    }
}

impl VolumeTypeUpdate {
    /// The volume type once it is changed, or everything that is wrong with that.
    pub fn apply(&self, volume_type: &VolumeType) -> Result<VolumeType, Violations> {
        let mut changed = volume_type.clone();
        changed.name = self.name.as_ref().map_or(changed.name, |name| name.trim().to_owned());
        changed.description = self.description.clone().unwrap_or(changed.description);
        changed.is_public = self.is_public.unwrap_or(changed.is_public);
        self.projects.apply(&mut changed.project_ids);
        self.extra_specs.apply(&mut changed.extra_specs);
        let mut violations = changed.violations();
        if changed.is_public && !self.projects.add.is_empty() {
            violations.add("project_ids", "mean something only for a volume type that is not public");
        }
        violations.check()?;
        Ok(changed)
    }
}

impl ProjectsUpdate {
    fn apply(&self, project_ids: &mut BTreeSet<String>) {
        if self.purge {
            project_ids.clear();
        }
        project_ids.retain(|project| !self.remove.contains(project));
        project_ids.extend(self.add.iter().cloned());
    }
}

impl VolumeType {
    /// Everything that is wrong with it.
    fn violations(&self) -> Violations {
        let mut violations = Violations::default();
        violations.take("name", text::name(&self.name));
        violations.take("description", description(&self.description));
        if self.project_ids.len() > PROJECT_LIMIT {
            violations.add("project_ids", too_many(self.project_ids.len(), PROJECT_LIMIT));
        }
        for project in &self.project_ids {
            violations.take("project_ids", text::name(project));
        }
        if self.extra_specs.len() > SPEC_LIMIT {
            violations.add("extra_specs", too_many(self.extra_specs.len(), SPEC_LIMIT));
        }
        for (name, value) in &self.extra_specs {
            violations.take(&spec_field(name), check_spec(name, value));
        }
        violations.append(self.spec_violations());
        violations
    }
}

fn too_many(count: usize, limit: usize) -> String {
    format!("has {count} items, at most {limit} are allowed")
}

/// The problem with an extra spec (Cinder, `extra_specs` of its schemas).
fn check_spec(name: &str, value: &str) -> Result<(), String> {
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || "-_:.".contains(character);
    if !(1..=NAME_LIMIT).contains(&name.len()) || !name.chars().all(is_allowed) {
        return Err(format!("its name must be 1 to {NAME_LIMIT} letters, digits, -, _, : and ."));
    }
    let length = value.chars().count();
    if length > NAME_LIMIT {
        return Err(format!("the value has {length} characters, at most {NAME_LIMIT} are allowed"));
    }
    if value.contains('\0') { Err("the value must not contain NUL".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(specs: &[(&str, &str)]) -> NewVolumeType {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        NewVolumeType {
            name: " ssd ".to_owned(),
            extra_specs: specs.iter().map(pair).collect(),
            ..NewVolumeType::default()
        }
    }

    fn checked(new: NewVolumeType) -> Result<VolumeType, Vec<String>> {
        let checked = new.check(Id::random(), DateTime::UNIX_EPOCH);
        checked.map_err(|violations| {
            violations.listed().iter().map(|violation| violation.field.clone()).collect()
        })
    }

    #[test]
    fn a_volume_type_is_as_requested_without_blanks_around_its_name() {
        let made =
            checked(new(&[("provisioning:max_vol_size", "100"), ("multiattach", "<is> True")])).unwrap();
        assert_eq!((made.name.as_str(), made.sizes(), made.multiattach()), ("ssd", (None, Some(100)), true));
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let wrong = NewVolumeType {
            name: " ".to_owned(),
            description: "x".repeat(256),
            is_public: true,
            project_ids: ["demo".to_owned()].into(),
            ..new(&[
                ("a b", ""),
                ("multiattach", "true"),
                ("provisioning:min_vol_size", "0"),
                ("provisioning:max_vol_size", "all"),
            ])
        };
        assert_eq!(
            checked(wrong).unwrap_err(),
            [
                "name",
                "description",
                "extra_specs[\"a b\"]",
                "extra_specs[\"multiattach\"]",
                "extra_specs[\"provisioning:min_vol_size\"]",
                "extra_specs[\"provisioning:max_vol_size\"]",
                "project_ids"
            ]
        );
    }

    #[test]
    fn the_smallest_size_is_not_above_the_largest() {
        let sizes = [("provisioning:min_vol_size", "2"), ("provisioning:max_vol_size", "1")];
        assert_eq!(checked(new(&sizes)).unwrap_err(), ["extra_specs[\"provisioning:min_vol_size\"]"]);
    }

    #[test]
    fn an_update_changes_only_what_it_names() {
        let before = checked(new(&[("a", "1"), ("b", "2")])).unwrap();
        let update = VolumeTypeUpdate {
            projects: ProjectsUpdate { add: ["demo".to_owned()].into(), ..ProjectsUpdate::default() },
            extra_specs: PropertyUpdate { remove: ["a".to_owned()].into(), ..PropertyUpdate::default() },
            ..VolumeTypeUpdate::default()
        };
        let after = update.apply(&before).unwrap();
        assert_eq!((after.name.as_str(), after.extra_specs.len(), after.project_ids.len()), ("ssd", 1, 1));
        let purge = ProjectsUpdate { purge: true, ..ProjectsUpdate::default() };
        let update = VolumeTypeUpdate { projects: purge, ..VolumeTypeUpdate::default() };
        assert!(update.apply(&after).unwrap().project_ids.is_empty());
    }
}
