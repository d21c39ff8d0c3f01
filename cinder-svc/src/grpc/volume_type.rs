//! `cinder.v1.VolumeTypeService`.

use std::collections::BTreeMap;

use chassis::{grpc::GrpcResult, page::Page};
use common::{clock::timestamp, id::Id, image::update::PropertyUpdate, text::clip, violations::Violations};
use prost::Message as _;
use proto::cinder::v1::{self as pb, volume_type_service_server::VolumeTypeService};
use tonic::{Request, Response};

use super::caller;
use crate::{
    error::Error,
    list::{VOLUME_TYPE_ORDER, VolumeTypeOrder},
    volume::{
        VolumeType,
        volume_type::{NewVolumeType, ProjectsUpdate, VolumeTypeUpdate},
    },
    volumes::VolumeApi,
};

/// The service.
pub(super) struct Api {
    pub(super) volumes: VolumeApi,
}

#[tonic::async_trait]
impl VolumeTypeService for Api {
    async fn create_volume_type(
        &self,
        request: Request<pb::CreateVolumeTypeRequest>,
    ) -> GrpcResult<pb::VolumeType> {
        let caller = caller(&request)?;
        let message = request.into_inner().volume_type.unwrap_or_default();
        let new = NewVolumeType {
            name: message.name,
            description: message.description,
            is_public: message.is_public,
            project_ids: message.project_ids.into_iter().collect(),
            extra_specs: message.extra_specs,
        };
        Ok(Response::new(self.volumes.create_volume_type(new, &caller).await?.into()))
    }

    async fn get_volume_type(
        &self,
        request: Request<pb::GetVolumeTypeRequest>,
    ) -> GrpcResult<pb::VolumeType> {
        let caller = caller(&request)?;
        Ok(Response::new(self.volumes.get_volume_type(&request.into_inner().id, &caller).await?.into()))
    }

    async fn list_volume_types(
        &self,
        request: Request<pb::ListVolumeTypesRequest>,
    ) -> GrpcResult<pb::ListVolumeTypesResponse> {
        let caller = caller(&request)?;
        let pb::ListVolumeTypesRequest { page_size, page_token } = request.into_inner();
        let seen_by = if caller.is_admin { "" } else { caller.project().unwrap_or_default() };
        let list = ["volume types", seen_by];
        let page = Page::parse(Violations::default(), page_size, &page_token, "", &list, VOLUME_TYPE_ORDER)
            .map_err(Error::from)?;
        let listed = self.volumes.list_volume_types(&page, None, &caller).await?;
        let key = |volume_type: &VolumeType, order: VolumeTypeOrder| order.key(volume_type);
        let (volume_types, next_page_token) =
            page.finish(listed, key, pb::VolumeType::from, pb::VolumeType::encoded_len);
        Ok(Response::new(pb::ListVolumeTypesResponse { volume_types, next_page_token }))
    }

    async fn update_volume_type(
        &self,
        request: Request<pb::UpdateVolumeTypeRequest>,
    ) -> GrpcResult<pb::VolumeType> {
        let caller = caller(&request)?;
        let pb::UpdateVolumeTypeRequest { volume_type, update_mask } = request.into_inner();
        let message = volume_type.unwrap_or_default();
        let etag = message.etag.clone();
        let mut violations = Violations::default();
        let id = violations.take("volume_type.id", message.id.parse::<Id>());
        let paths = update_mask.map(|mask| mask.paths).unwrap_or_default();
        let update = update(message, &paths, &mut violations);
        violations.check().map_err(Error::from)?;
        let id = id.expect("a malformed id is a violation");
        Ok(Response::new(self.volumes.update_volume_type(id, &update, &etag, &caller).await?.into()))
    }

    async fn delete_volume_type(&self, request: Request<pb::DeleteVolumeTypeRequest>) -> GrpcResult<()> {
        let caller = caller(&request)?;
        let pb::DeleteVolumeTypeRequest { id, etag } = request.into_inner();
        let id = id.parse::<Id>().map_err(|problem| Violations::one("id", problem.to_string()));
        self.volumes.delete_volume_type(id.map_err(Error::from)?, &etag, &caller).await?;
        Ok(Response::new(()))
    }
}

/// The fields that can be changed.
const FIELDS: [&str; 5] = ["name", "description", "is_public", "project_ids", "extra_specs"];

/// How the fields of `paths` are to be changed or, without any, those that are set in the message (AIP-134).
fn update(message: pb::VolumeType, paths: &[String], violations: &mut Violations) -> VolumeTypeUpdate {
    for path in paths.iter().filter(|path| *path != "*" && !FIELDS.contains(&path.as_str())) {
        let (path, known) = (clip(path, 60), FIELDS.join(", "));
        violations.add(
            "update_mask",
            format!("{path:?} cannot be changed; allowed: {known}, or * for all of them"),
        );
    }
    let is_named = |field: &str, is_set: bool| match paths {
        [] => is_set,
        paths => paths.iter().any(|path| path == field || path == "*"),
    };
    let has_projects = is_named("project_ids", !message.project_ids.is_empty());
    let has_specs = is_named("extra_specs", !message.extra_specs.is_empty());
    let add = if has_projects { message.project_ids } else { Vec::new() };
    let set = if has_specs { message.extra_specs } else { BTreeMap::new() };
    VolumeTypeUpdate {
        name: is_named("name", !message.name.is_empty()).then_some(message.name),
        description: is_named("description", !message.description.is_empty()).then_some(message.description),
        is_public: is_named("is_public", message.is_public).then_some(message.is_public),
        projects: ProjectsUpdate {
            add: add.into_iter().collect(),
            purge: has_projects,
            ..ProjectsUpdate::default()
        },
        extra_specs: PropertyUpdate { set, purge: has_specs, ..PropertyUpdate::default() },
    }
}

impl From<VolumeType> for pb::VolumeType {
    fn from(volume_type: VolumeType) -> Self {
        Self {
            id: volume_type.id.to_string(),
            etag: volume_type.etag(),
            name: volume_type.name,
            description: volume_type.description,
            is_public: volume_type.is_public,
            project_ids: volume_type.project_ids.into_iter().collect(),
            extra_specs: volume_type.extra_specs,
            create_time: Some(timestamp(volume_type.create_time)),
            update_time: Some(timestamp(volume_type.update_time)),
        }
    }
}
