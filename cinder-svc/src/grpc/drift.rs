//! From requests about drift, and to their answers.

use chassis::{
    caller::Caller,
    page::{Direction, Page},
    scope::Scope,
};
use common::{id::Id, violations::Violations};
use peers::glance::drift::DriftOrder;
use proto::cinder::v1 as pb;

use super::{history::difference, render};
use crate::{
    error::Error,
    volumes::drift::{Drift, DriftFilter},
};

/// What is to be listed for `caller`, and which page.
pub(super) fn list(
    message: &pb::ListDriftRequest,
    caller: &Caller,
) -> Result<(DriftFilter, Scope, Page<DriftOrder>), Error> {
    let mut problems = Violations::default();
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let image_id = given(&message.image_id).and_then(|id| problems.take("image_id", id.parse::<Id>()));
    let filter = DriftFilter {
        image_id,
        property: given(&message.property),
        value: message.value.clone(),
        project_id: given(&message.project_id),
    };
    let scope = filter.scope(message.all_projects, caller)?;
    problems.append(filter.violations());
    let value = format!("{:?}", message.value);
    let list = ["drift", &scope.binding(), &message.image_id, &message.property, &value, &message.project_id];
    let default = (DriftOrder::Id, Direction::Ascending);
    let order = filter.order(&scope);
    let page = Page::parse(problems, message.page_size, &message.page_token, order, &list, default)?;
    Ok((filter, scope, page))
}

/// A volume that drifted.
pub(super) fn drift(drift: &Drift) -> pb::Drift {
    let (volume, drifted) = (&drift.resource, &drift.drifted);
    pb::Drift {
        volume_id: volume.id.to_string(),
        name: volume.name.clone(),
        project_id: volume.project_id.clone(),
        status: render::status(volume.status).into(),
        image_id: drifted.image_id.to_string(),
        image_revision: drifted.image_revision,
        current_revision: drifted.current_revision,
        differences: drifted.differences.iter().cloned().map(difference).collect(),
    }
}
