//! The bodies of requests on volumes, and of their answers.

use std::collections::BTreeMap;

use chassis::http::versions::Link;
use common::violations::Violations;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(in crate::http) use super::view::VolumeView;
use crate::{
    http::{
        list::pages,
        values::{Flag, Whole},
    },
    volume::NewVolume,
};

#[derive(Serialize, ToSchema)]
#[schema(as = OneVolume)]
pub(in crate::http) struct One {
    pub(super) volume: VolumeView,
}

pages! {
    /// A page of volumes.
    Volumes { volumes: VolumeView, volumes_links }
    /// A page of the names of volumes.
    NamedVolumes { volumes: Named, volumes_links }
}

/// A resource in a list without details.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Named {
    pub(in crate::http) id: String,
    pub(in crate::http) name: String,
    pub(in crate::http) links: Vec<Link>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = CreateVolume)]
pub(in crate::http) struct Create {
    pub(super) volume: New,
}

/// A volume to be created from an image, a snapshot or another volume, or a blank one. Other members are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewVolume)]
pub(in crate::http) struct New {
    /// GiB; as the source needs it unless given.
    size: Option<Whole>,
    #[serde(alias = "display_name")]
    name: Option<String>,
    #[serde(alias = "display_description")]
    description: Option<String>,
    #[serde(rename = "imageRef", alias = "image_id")]
    image: Option<String>,
    snapshot_id: Option<String>,
    source_volid: Option<String>,
    /// Name or id of a volume type.
    volume_type: Option<String>,
    availability_zone: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
    /// Not offered.
    backup_id: Option<String>,
    /// Not offered.
    group_id: Option<String>,
    /// Not offered.
    consistencygroup_id: Option<String>,
    /// Volume types decide.
    multiattach: Option<Flag>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = UpdateVolume)]
pub(in crate::http) struct Update {
    pub(super) volume: Change,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = VolumeUpdate)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Change {
    #[serde(alias = "display_name")]
    pub(super) name: Option<String>,
    #[serde(alias = "display_description")]
    pub(super) description: Option<String>,
    /// All of it.
    pub(super) metadata: Option<BTreeMap<String, String>>,
}

impl New {
    /// What is asked for that there is not.
    pub(super) fn violations(&self) -> Violations {
        let mut violations = Violations::default();
        let not_offered = [
            ("volume.backup_id", &self.backup_id),
            ("volume.group_id", &self.group_id),
            ("volume.consistencygroup_id", &self.consistencygroup_id),
        ];
        for (field, given) in not_offered {
            if given.is_some() {
                violations.add(field, "is not offered");
            }
        }
        if self.multiattach == Some(Flag(true)) {
            let problem =
                "is decided by the volume type: name one whose extra spec multiattach is `<is> True`";
            violations.add("volume.multiattach", problem);
        }
        violations
    }

    pub(super) fn plain(self) -> NewVolume {
        NewVolume {
            name: self.name.unwrap_or_default(),
            description: self.description.unwrap_or_default(),
            size_gib: self.size.map(|Whole(size)| size),
            image_id: self.image,
            snapshot_id: self.snapshot_id,
            source_volume_id: self.source_volid,
            volume_type: self.volume_type.unwrap_or_default(),
            availability_zone: self.availability_zone.unwrap_or_default(),
            metadata: self.metadata.unwrap_or_default(),
            ..NewVolume::default()
        }
    }
}
