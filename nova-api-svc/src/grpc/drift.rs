//! What is asked about drift, and how it is told.

use chassis::page::{Direction, Page};
use common::{id::Id, system_metadata::IMAGE_PREFIX, text, violations::Violations};
use proto::nova::v1::{self as pb, property_difference};

use super::render;
use crate::{
    drift::{Drift, DriftFilter},
    instance::{
        Scope,
        difference::{Difference, Kind},
    },
    instances::Comparison,
    list::DriftOrder,
    store::RecordFilter,
};

/// A filter and a page of drift within `scope`.
pub(super) fn request(
    message: &pb::ListDriftRequest,
    scope: &Scope,
) -> Result<(DriftFilter, Page<DriftOrder>), Violations> {
    let mut violations = Violations::default();
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let image_id = given(&message.image_id).and_then(|id| violations.take("image_id", id.parse::<Id>()));
    violations.take("property", text::optional_name(&message.property));
    violations.take("project_id", text::optional_name(&message.project_id));
    if message.value.as_ref().is_some_and(|value| value.contains('\0')) {
        violations.add("value", "must not contain NUL");
    }
    if message.value.is_some() && message.property.is_empty() {
        violations.add("property", "must be given with value");
    }
    let key = format!("{IMAGE_PREFIX}{}", message.property);
    let filter = DriftFilter {
        wanted: RecordFilter { image_id, entry: message.value.clone().map(|value| (key, value)) },
        property: given(&message.property),
        project_id: given(&message.project_id).or_else(|| scope.project().map(str::to_owned)),
    };
    let order = if filter.project_id.is_some() { "create_time" } else { "record_id, create_time" };
    let value = format!("{:?}", message.value);
    let list = ["drift", &scope.binding(), &message.image_id, &message.property, &value, &message.project_id];
    let default = (DriftOrder::Id, Direction::Ascending);
    let page = Page::parse(violations, message.page_size, &message.page_token, order, &list, default)?;
    Ok((filter, page))
}

/// An instance that drifted.
pub(super) fn drift(drift: &Drift) -> pb::Drift {
    let (instance, drifted) = (&drift.instance, &drift.drifted);
    pb::Drift {
        instance_id: instance.id.to_string(),
        name: instance.name.clone(),
        project_id: instance.project_id.clone(),
        state: render::state(instance.state).into(),
        image_id: drifted.image_id.to_string(),
        image_revision: drifted.image_revision,
        current_revision: drifted.current_revision,
        differences: drifted.differences.iter().map(difference).collect(),
    }
}

/// An instance beside its image.
pub(super) fn comparison(id: Id, comparison: Comparison) -> pb::CompareInstanceResponse {
    let all = |differences: &[Difference]| differences.iter().map(difference).collect();
    pb::CompareInstanceResponse {
        instance_id: id.to_string(),
        image_id: comparison.image_id.to_string(),
        image_revision: comparison.image_revision,
        current_revision: comparison.current.as_ref().map_or(0, |(revision, _)| *revision),
        current: comparison.current.map(|(_, differences)| all(&differences)).unwrap_or_default(),
        has_revision: comparison.at_revision.is_some(),
        at_revision: comparison.at_revision.map(|differences| all(&differences)).unwrap_or_default(),
    }
}

fn difference(difference: &Difference) -> pb::PropertyDifference {
    let kind = match difference.kind {
        Kind::Added => property_difference::Kind::Added,
        Kind::Removed => property_difference::Kind::Removed,
        Kind::Changed => property_difference::Kind::Changed,
        Kind::Truncated => property_difference::Kind::Truncated,
    };
    pb::PropertyDifference {
        property: difference.property.clone(),
        kind: kind.into(),
        instance_value: difference.instance_value.clone(),
        image_value: difference.image_value.clone(),
    }
}
