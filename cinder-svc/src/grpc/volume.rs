//! `cinder.v1.VolumeService`.

use chassis::{
    edge::Room,
    grpc::{CallContext, GrpcResult, PAGE, WITH_IMAGE, answer_in},
    page::{Key, Page},
    scope::Scope,
};
use common::{id::Id, violations::Violations};
use prost::Message as _;
use proto::{
    cinder::{
        EncodedVolumes,
        v1::{self as pb, VolumeView, volume_service_server::VolumeService},
    },
    encoded_page,
};
use tonic::{Request, Response, Streaming};

use super::{data, drift, history, open, parse, render};
use crate::{
    error::Error,
    list::{DEFAULT_ORDER, HISTORY_ORDER, VolumeFilter},
    volume::access::VOLUMES,
    volumes::{
        VolumeApi,
        operations::{Action, ActionRequest, ActionResult},
    },
};

/// How many copies of what a request writes are in memory: volume, rows, what the driver sends, and the answer.
const COPIES: usize = 6;

/// The service.
pub(super) struct Api {
    pub(super) volumes: VolumeApi,
}

#[tonic::async_trait]
impl VolumeService for Api {
    type ReadVolumeDataStream = data::Download;

    async fn create_volume(&self, request: Request<pb::CreateVolumeRequest>) -> GrpcResult<pb::Volume> {
        let extensions = request.extensions().clone();
        let ((caller, deadline), message) = open(request)?;
        let request = parse::new_volume(message).check(Violations::default()).map_err(Error::from)?;
        let room = Room::of(&extensions, COPIES * request.size()).await;
        let volume = self.volumes.create_volume(request, &caller, deadline).await?;
        Ok(answer_in(room, render::volume(volume, VolumeView::Full, &caller)))
    }

    async fn get_volume(&self, request: Request<pb::GetVolumeRequest>) -> GrpcResult<pb::Volume> {
        let ((caller, _), message) = open(request)?;
        let mut problems = Violations::default();
        let id = problems.take("id", message.id.parse::<Id>());
        if message.revision < 0 {
            problems.add("revision", "must be a revision, from 1; or 0 for the volume as it is now");
        }
        problems.check().map_err(Error::from)?;
        let id = id.expect("a malformed id is a violation");
        let volume = match message.revision {
            0 => self.volumes.get_volume(id, &caller).await?,
            revision => self.volumes.get_volume_at(id, revision, &caller).await?,
        };
        Ok(Response::new(render::volume(volume, VolumeView::Full, &caller)))
    }

    async fn list_volumes(&self, request: Request<pb::ListVolumesRequest>) -> GrpcResult<EncodedVolumes> {
        let room = Room::of(request.extensions(), PAGE).await;
        let ((caller, _), message) = open(request)?;
        let view = message.view();
        let pb::ListVolumesRequest { page_size, page_token, filter, order_by, all_projects, .. } = message;
        let mut problems = Violations::default();
        let volumes = problems.take("filter", VolumeFilter::parse(&filter)).unwrap_or_default();
        let scope = volumes.scope(all_projects, &caller)?;
        let list = ["volumes", &scope.binding(), &filter];
        let page = Page::parse(problems, page_size, &page_token, &order_by, &list, DEFAULT_ORDER)
            .map_err(Error::from)?;
        let listed = self.volumes.list_volumes(&volumes, &page, &scope).await?;
        let (volumes, next_page_token) = page.finish(
            listed,
            |volume, by| by.key(volume),
            |volume| render::volume(volume, view, &caller).encode_to_vec(),
            Vec::len,
        );
        let rest = pb::ListVolumesResponse { volumes: Vec::new(), next_page_token };
        Ok(answer_in(room, EncodedVolumes::new(encoded_page(&volumes, &rest))))
    }

    async fn update_volume(&self, request: Request<pb::UpdateVolumeRequest>) -> GrpcResult<pb::Volume> {
        let (context, message) = open(request)?;
        let mut problems = Violations::default();
        let volume = message.volume.unwrap_or_default();
        let update = parse::update(&volume, message.update_mask.as_ref(), &mut problems);
        let target = (volume.id, message.request_id, volume.etag);
        self.answer(context, Action::Update(update), ("volume.id", target), problems).await
    }

    async fn delete_volume(&self, request: Request<pb::DeleteVolumeRequest>) -> GrpcResult<()> {
        let (context, message) = open(request)?;
        let pb::DeleteVolumeRequest { id, cascade, force, request_id, etag } = message;
        let action = Action::Delete { cascade, force };
        self.run(&context, action, ("id", (id, request_id, etag)), Violations::default()).await?;
        Ok(Response::new(()))
    }

    async fn extend_volume(&self, request: Request<pb::ExtendVolumeRequest>) -> GrpcResult<pb::Volume> {
        let (context, message) = open(request)?;
        let pb::ExtendVolumeRequest { id, size_gib, request_id, etag } = message;
        let action = Action::Extend { size_gib: size_gib.into() };
        self.answer(context, action, ("id", (id, request_id, etag)), Violations::default()).await
    }

    async fn retype_volume(&self, request: Request<pb::RetypeVolumeRequest>) -> GrpcResult<pb::Volume> {
        let (context, message) = open(request)?;
        let pb::RetypeVolumeRequest { id, volume_type, request_id, etag } = message;
        let action = Action::Retype { volume_type };
        self.answer(context, action, ("id", (id, request_id, etag)), Violations::default()).await
    }

    async fn reimage_volume(&self, request: Request<pb::ReimageVolumeRequest>) -> GrpcResult<pb::Volume> {
        let room = Room::of(request.extensions(), WITH_IMAGE).await;
        let (context, message) = open(request)?;
        let mut problems = Violations::default();
        let action = Action::Reimage {
            image_id: Id::read("image_id", &message.image_id, &mut problems),
            image_revision: message.image_revision,
            image_properties: message.image_properties,
            reimage_reserved: message.reimage_reserved,
        };
        let target = (message.id, message.request_id, message.etag);
        let answered = self.answer(context, action, ("id", target), problems).await?;
        Ok(answer_in(room, answered.into_inner()))
    }

    async fn revert_volume(&self, request: Request<pb::RevertVolumeRequest>) -> GrpcResult<pb::Volume> {
        let room = Room::of(request.extensions(), WITH_IMAGE).await;
        let (context, message) = open(request)?;
        let pb::RevertVolumeRequest { id, snapshot_id, request_id, etag } = message;
        let mut problems = Violations::default();
        let snapshot_id = Id::read("snapshot_id", &snapshot_id, &mut problems);
        let action = Action::Revert { snapshot_id };
        let answered = self.answer(context, action, ("id", (id, request_id, etag)), problems).await?;
        Ok(answer_in(room, answered.into_inner()))
    }

    async fn update_volume_image_properties(
        &self,
        request: Request<pb::UpdateVolumeImagePropertiesRequest>,
    ) -> GrpcResult<pb::Volume> {
        let (context, message) = open(request)?;
        let pb::UpdateVolumeImagePropertiesRequest { id, set, remove, purge, etag, request_id } = message;
        let action = Action::UpdateImageProperties { set, remove, purge };
        self.answer(context, action, ("id", (id, request_id, etag)), Violations::default()).await
    }

    async fn upload_volume_to_image(
        &self,
        request: Request<pb::UploadVolumeToImageRequest>,
    ) -> GrpcResult<pb::UploadVolumeToImageResponse> {
        let room = Room::of(request.extensions(), WITH_IMAGE).await;
        let (context, message) = open(request)?;
        let mut problems = Violations::default();
        let action = Action::UploadToImage(parse::upload(&message, &mut problems));
        let pb::UploadVolumeToImageRequest { id, request_id, etag, .. } = message;
        let result = self.run(&context, action, ("id", (id, request_id, etag)), problems).await?;
        Ok(answer_in(room, render::uploaded(result, &context.0)?))
    }

    async fn report_volume_state(
        &self,
        request: Request<pb::ReportVolumeStateRequest>,
    ) -> GrpcResult<pb::Volume> {
        let (context, message) = open(request)?;
        let mut problems = Violations::default();
        let action = Action::ReportState(parse::report(&message, &mut problems));
        let pb::ReportVolumeStateRequest { id, request_id, etag, .. } = message;
        self.answer(context, action, ("id", (id, request_id, etag)), problems).await
    }

    async fn read_volume_data(
        &self,
        request: Request<pb::ReadVolumeDataRequest>,
    ) -> GrpcResult<Self::ReadVolumeDataStream> {
        let ((caller, _), message) = open(request)?;
        data::read(&self.volumes, &caller, &message).await
    }

    async fn write_volume_data(
        &self,
        request: Request<Streaming<pb::WriteVolumeDataRequest>>,
    ) -> GrpcResult<pb::Volume> {
        let ((caller, _), messages) = open(request)?;
        let volume = data::write(&self.volumes, &caller, messages).await?;
        Ok(Response::new(render::volume(volume, VolumeView::Full, &caller)))
    }

    async fn get_volume_history(
        &self,
        request: Request<pb::GetVolumeHistoryRequest>,
    ) -> GrpcResult<pb::GetVolumeHistoryResponse> {
        let room = Room::of(request.extensions(), PAGE).await;
        let ((caller, _), message) = open(request)?;
        let pb::GetVolumeHistoryRequest { id, page_size, page_token } = message;
        let scope = Scope::read(&caller, VOLUMES).map_err(Error::from)?;
        let mut problems = Violations::default();
        let parsed = problems.take("id", id.parse::<Id>());
        let list = ["history", &scope.binding(), &id];
        let page =
            Page::parse(problems, page_size, &page_token, "", &list, HISTORY_ORDER).map_err(Error::from)?;
        let id = parsed.expect("a malformed id is a violation");
        let read = self.volumes.volume_history(id, &page, &scope).await?;
        let (entries, next_page_token) = page.finish(
            read,
            |entry, _| Key::Integer(entry.revision),
            |entry| history::entry(id, entry),
            pb::VolumeHistoryEntry::encoded_len,
        );
        Ok(answer_in(room, pb::GetVolumeHistoryResponse { entries, next_page_token }))
    }

    async fn compare_volume(
        &self,
        request: Request<pb::CompareVolumeRequest>,
    ) -> GrpcResult<pb::CompareVolumeResponse> {
        let room = Room::of(request.extensions(), WITH_IMAGE).await;
        let ((caller, deadline), message) = open(request)?;
        let id = Id::from_field("id", &message.id).map_err(Error::from)?;
        let comparison = self.volumes.compare_volume(id, &caller, deadline).await?;
        Ok(answer_in(room, history::comparison(id, comparison)))
    }

    async fn list_drift(&self, request: Request<pb::ListDriftRequest>) -> GrpcResult<pb::ListDriftResponse> {
        let room = Room::of(request.extensions(), PAGE).await;
        let ((caller, deadline), message) = open(request)?;
        let (filter, scope, page) = drift::list(&message, &caller)?;
        let (drifts, next) = self.volumes.list_drift(&filter, &page, &scope, (&caller, deadline)).await?;
        let message = pb::ListDriftResponse {
            drifts: drifts.iter().map(drift::drift).collect(),
            next_page_token: next.map(|keys| page.token(keys)).unwrap_or_default(),
        };
        Ok(answer_in(room, message))
    }
}

impl Api {
    /// Does something with the volume of that id, on the conditions of request id and etag. `problems` are those of the
    /// action's fields.
    async fn run(
        &self,
        (caller, deadline): &CallContext,
        action: Action,
        (field, (id, request_id, etag)): (&str, (String, String, String)),
        problems: Violations,
    ) -> Result<ActionResult, Error> {
        let mut violations = Violations::default();
        let volume_id = Id::read(field, &id, &mut violations);
        violations.append(problems);
        let request = ActionRequest { volume_id, action, request_id, etag, caller, deadline: *deadline };
        self.volumes.run_action(&request, violations).await
    }

    /// The same, answered with the volume.
    async fn answer(
        &self,
        context: CallContext,
        action: Action,
        target: (&str, (String, String, String)),
        problems: Violations,
    ) -> GrpcResult<pb::Volume> {
        let result = self.run(&context, action, target, problems).await?;
        let volume = result.volume.ok_or(Error::VolumeNotFound(result.volume_id))?;
        Ok(Response::new(render::volume(volume, VolumeView::Full, &context.0)))
    }
}
