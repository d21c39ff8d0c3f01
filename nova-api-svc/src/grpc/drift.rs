//! From requests about drift, and to their answers.

use chassis::{caller::Caller, page::Page};
use common::{
    id::{Id, NIL},
    violations::Violations,
};
use peers::glance::drift::{DriftFilter, DriftOrder};
use proto::nova::v1::{self as pb, property_difference};

use super::render;
use crate::{
    compute::{Comparison, RootVolume, drift::Drift},
    error::Error,
    instance::{
        INSTANCES, Scope,
        difference::{Difference, Kind},
    },
};

/// What is to be listed for `caller`, and which page.
pub(super) fn list(
    message: &pb::ListDriftRequest,
    caller: &Caller,
) -> Result<(DriftFilter, Scope, Page<DriftOrder>), Error> {
    let pb::ListDriftRequest { image_id, property, value, project_id, .. } = message;
    let mut problems = Violations::default();
    let filter = DriftFilter::read(image_id, property, value.as_ref(), project_id, &mut problems);
    let scope = filter.scope(INSTANCES, message.all_projects, caller)?;
    let page = filter.page(&scope, (message.page_size, &message.page_token), problems)?;
    Ok((filter, scope, page))
}

/// An instance that drifted.
pub(super) fn drift(drift: &Drift) -> pb::Drift {
    let (instance, drifted) = (&drift.resource, &drift.drifted);
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

/// An instance compared with its image.
pub(super) fn comparison(id: Id, comparison: Comparison) -> pb::CompareInstanceResponse {
    let all = |differences: &[Difference]| differences.iter().map(difference).collect();
    pb::CompareInstanceResponse {
        instance_id: id.to_string(),
        image_id: render::image_id(comparison.image_id),
        image_revision: comparison.image_revision,
        current_revision: comparison.current.as_ref().map_or(0, |(revision, _)| *revision),
        current: comparison.current.map(|(_, differences)| all(&differences)).unwrap_or_default(),
        has_revision: comparison.at_revision.is_some(),
        at_revision: comparison.at_revision.map(|differences| all(&differences)).unwrap_or_default(),
        root_volume: comparison.root_volume.map(|(id, volume)| root_volume(id, volume.as_ref())),
    }
}

fn root_volume(id: Id, volume: Option<&RootVolume>) -> pb::RootVolumeComparison {
    let (image_id, image_revision) = volume.map_or((Id::from(NIL), 0), |volume| volume.image);
    pb::RootVolumeComparison {
        volume_id: id.to_string(),
        volume_revision: volume.map_or(0, |volume| volume.revision),
        image_id: render::image_id(image_id),
        image_revision,
        differences: volume.into_iter().flat_map(|volume| &volume.differences).map(difference).collect(),
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
