//! Whose drift is listed.

use chassis::{
    caller::Caller,
    page::{Direction, Page},
    records::RecordFilter,
    scope::{NotPermitted, Noun, Scope},
};
use common::{id::Id, text, violations::Violations};

use super::{DriftOrder, Record};

/// Whose drift is listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriftFilter {
    /// The image that the resources were made from.
    pub image_id: Option<Id>,
    /// The property that differs.
    pub property: Option<String>,
    /// What the resources remember as its value.
    pub value: Option<String>,
    /// The project that the resources belong to.
    pub project_id: Option<String>,
}

impl DriftFilter {
    /// Reads it from a request, as its fields are.
    pub fn read(
        image_id: &str,
        property: &str,
        value: Option<&String>,
        project_id: &str,
        problems: &mut Violations,
    ) -> Self {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let filter = Self {
            image_id: given(image_id).and_then(|id| problems.take("image_id", id.parse())),
            property: given(property),
            value: value.cloned(),
            project_id: given(project_id),
        };
        problems.append(filter.violations());
        filter
    }

    /// Everything that is wrong with it.
    fn violations(&self) -> Violations {
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

    /// The resources, called `noun`, that are listed for `caller`.
    pub fn scope(&self, noun: Noun, all_projects: bool, caller: &Caller) -> Result<Scope, NotPermitted> {
        Scope::list(caller, noun, all_projects, self.project_id.is_some())
    }

    /// The page of the list within `scope` that a request names. `problems` are those found so far.
    pub fn page(
        &self,
        scope: &Scope,
        (page_size, page_token): (i32, &str),
        problems: Violations,
    ) -> Result<Page<DriftOrder>, Violations> {
        let image_id = self.image_id.map(|id| id.to_string()).unwrap_or_default();
        let value = format!("{:?}", self.value);
        let [property, project_id] =
            [&self.property, &self.project_id].map(|text| text.as_deref().unwrap_or_default());
        let list = ["drift", &scope.binding(), &image_id, property, &value, project_id];
        let order = if self.project(scope).is_some() { "create_time" } else { "record_id, create_time" };
        let default = (DriftOrder::Id, Direction::Ascending);
        Page::parse(problems, page_size, page_token, order, &list, default)
    }

    /// The only project whose resources are listed; `None` for those of all.
    #[must_use]
    pub fn project<'a>(&'a self, scope: &'a Scope) -> Option<&'a str> {
        self.project_id.as_deref().or_else(|| scope.project())
    }

    /// The records that are compared, whose entries have a prefix in front of the names of properties.
    #[must_use]
    pub fn records(&self, prefix: &str) -> RecordFilter {
        let mut filter = RecordFilter::default();
        if let Some(image_id) = self.image_id {
            filter.add_image(image_id);
        }
        let entry = self.property.as_ref().map(|name| format!("{prefix}{name}")).zip(self.value.clone());
        filter.entries.extend(entry);
        filter
    }

    /// Whether a record is one of them.
    #[must_use]
    pub fn holds(&self, record: &impl Record) -> bool {
        let is_from = |id| record.image().is_some_and(|(image_id, _)| image_id == id);
        let has = |(name, value): (&String, &String)| record.property(name) == Some(value);
        self.image_id.is_none_or(is_from) && self.property.as_ref().zip(self.value.as_ref()).is_none_or(has)
    }

    /// Whether differences of that property are listed.
    #[must_use]
    pub fn is_about(&self, property: &str) -> bool {
        self.property.as_ref().is_none_or(|wanted| wanted == property)
    }
}
