//! What drift is listed.

use chassis::caller::Caller;
use common::{id::Id, system_metadata::IMAGE_PREFIX, text, violations::Violations};

use peers::glance::drift;

use crate::{
    error::Error,
    instance::{INSTANCES, Scope},
    store::RecordFilter,
};

/// Whose drift is listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriftFilter {
    /// The image that instances were made from.
    pub image_id: Option<Id>,
    /// The property that differs, without the prefix.
    pub property: Option<String>,
    /// The instance's value of that property.
    pub value: Option<String>,
    /// The project that instances belong to.
    pub project_id: Option<String>,
}

impl DriftFilter {
    /// Everything that is wrong with it.
    #[must_use]
    pub fn violations(&self) -> Violations {
        let mut violations = Violations::default();
        for (field, name) in [("property", &self.property), ("project_id", &self.project_id)] {
            violations.take(field, text::optional_name(name.as_deref().unwrap_or_default()));
        }
        if self.value.as_ref().is_some_and(|value| value.contains('\0')) {
            violations.add("value", "must not contain NUL");
        }
        if self.value.is_some() && self.property.is_none() {
            violations.add("property", "must be given with value");
        }
        violations
    }

    /// The instances that are listed for `caller`.
    pub fn scope(&self, all_projects: bool, caller: &Caller) -> Result<Scope, Error> {
        Ok(Scope::list(caller, INSTANCES, all_projects, self.project_id.is_some())?)
    }

    /// The order of the list within `scope`.
    #[must_use]
    pub fn order(&self, scope: &Scope) -> &'static str {
        drift::order(self.project(scope))
    }

    /// The only project whose instances are listed; `None` for those of all.
    pub(super) fn project<'a>(&'a self, scope: &'a Scope) -> Option<&'a str> {
        self.project_id.as_deref().or_else(|| scope.project())
    }

    /// The records that are compared.
    pub(super) fn records(&self) -> RecordFilter {
        let key = |property| format!("{IMAGE_PREFIX}{property}");
        let entry = self.property.as_ref().map(key).zip(self.value.clone());
        RecordFilter { image_id: self.image_id, entry }
    }
}
