//! The bodies of requests on volume types, and of their answers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    http::{
        list::pages,
        render::{NOTHING, some},
        values::Flag,
    },
    volume::{
        VolumeType,
        volume_type::{NewVolumeType, VolumeTypeUpdate},
    },
};

/// A volume type.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VolumeType)]
pub(in crate::http) struct TypeView {
    id: String,
    name: String,
    is_public: bool,
    description: Option<String>,
    extra_specs: BTreeMap<String, String>,
    /// There are none; not in the answer to a create.
    #[serde(skip_serializing_if = "Option::is_none")]
    qos_specs_id: Option<Value>,
    #[serde(rename = "os-volume-type-access:is_public")]
    is_public_too: bool,
}

impl From<VolumeType> for TypeView {
    fn from(volume_type: VolumeType) -> Self {
        Self {
            id: volume_type.id.to_string(),
            name: volume_type.name,
            is_public: volume_type.is_public,
            description: some(volume_type.description),
            extra_specs: volume_type.extra_specs,
            qos_specs_id: NOTHING,
            is_public_too: volume_type.is_public,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = OneVolumeType)]
pub(in crate::http) struct One {
    pub(super) volume_type: TypeView,
}

pages! {
    /// A page of volume types.
    VolumeTypes { volume_types: TypeView, volume_type_links }
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewVolumeType)]
pub(in crate::http) struct Create {
    pub(super) volume_type: NewType,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewType {
    name: String,
    description: Option<String>,
    #[serde(rename = "os-volume-type-access:is_public")]
    is_public: Option<Flag>,
    extra_specs: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = VolumeTypeUpdate)]
pub(in crate::http) struct Update {
    pub(super) volume_type: TypeUpdate,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct TypeUpdate {
    name: Option<String>,
    description: Option<String>,
    is_public: Option<Flag>,
}

impl TypeView {
    /// The volume type as the answer to its create shows it.
    pub(super) fn created(volume_type: VolumeType) -> Self {
        Self { qos_specs_id: None, ..volume_type.into() }
    }
}

impl NewType {
    pub(super) fn plain(self) -> NewVolumeType {
        NewVolumeType {
            name: self.name,
            description: self.description.unwrap_or_default(),
            is_public: self.is_public.is_none_or(|Flag(is_public)| is_public),
            project_ids: BTreeSet::new(),
            extra_specs: self.extra_specs.unwrap_or_default(),
        }
    }
}

impl TypeUpdate {
    pub(super) fn plain(self) -> VolumeTypeUpdate {
        VolumeTypeUpdate {
            name: self.name,
            description: self.description,
            is_public: self.is_public.map(|Flag(is_public)| is_public),
            ..VolumeTypeUpdate::default()
        }
    }
}
