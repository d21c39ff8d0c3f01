//! From requests about drift, and to their answers.

use chassis::{caller::Caller, page::Page, scope::Scope};
use common::violations::Violations;
use peers::glance::drift::{DriftFilter, DriftOrder};
use proto::cinder::v1 as pb;

use super::{history::difference, render};
use crate::{error::Error, volume::access::VOLUMES, volumes::drift::Drift};

/// What is to be listed for `caller`, and which page.
pub(super) fn list(
    message: &pb::ListDriftRequest,
    caller: &Caller,
) -> Result<(DriftFilter, Scope, Page<DriftOrder>), Error> {
    let pb::ListDriftRequest { image_id, property, value, project_id, .. } = message;
    let mut problems = Violations::default();
    let filter = DriftFilter::read(image_id, property, value.as_ref(), project_id, &mut problems);
    let scope = filter.scope(VOLUMES, message.all_projects, caller)?;
    let page = filter.page(&scope, (message.page_size, &message.page_token), problems)?;
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
