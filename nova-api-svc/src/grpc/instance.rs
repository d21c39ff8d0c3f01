//! `nova.v1.InstanceService`.

use chassis::{
    edge::Room,
    grpc::{CallContext, GrpcResult, PAGE, WITH_IMAGE, answer_in},
    page::{Key, Page},
};
use common::{id::Id, violations::Violations};
use prost::Message;
use proto::nova::{
    EncodedInstances, EncodedReservation,
    v1::{self as pb, instance_service_server::InstanceService},
};
use tonic::{Request, Response};

use super::{drift, history, open, parse, render, room};
use crate::{
    compute::{
        ComputeApi,
        operations::{Action, ActionRequest, ActionResult},
    },
    error::Error,
    instance::{INSTANCES, Scope},
    list::{DEFAULT_ORDER, HISTORY_ORDER, InstanceFilter},
};

/// How many copies of what a request writes are in memory: instances, rows, what the driver sends, and the answer.
const COPIES: usize = 6;

/// The service.
pub(super) struct Api {
    pub(super) compute: ComputeApi,
}

#[tonic::async_trait]
impl InstanceService for Api {
    /// Nova's `create`.
    async fn create_instance(
        &self,
        request: Request<pb::CreateInstanceRequest>,
    ) -> GrpcResult<EncodedReservation> {
        let extensions = request.extensions().clone();
        let ((caller, deadline), message) = open(request)?;
        let request = parse::instances(message).check().map_err(Error::from)?;
        let room = Room::of(&extensions, COPIES * request.size()).await;
        let reservation = self.compute.create_instances(request, &caller, deadline).await?;
        Ok(answer_in(room, render::reservation(&reservation)))
    }

    async fn get_instance(&self, request: Request<pb::GetInstanceRequest>) -> GrpcResult<pb::Instance> {
        let ((caller, _), message) = open(request)?;
        let id = Id::from_field("id", &message.id).map_err(Error::from)?;
        let instance = self.compute.get_instance(id, &caller).await?;
        Ok(Response::new(render::instance(&instance, pb::InstanceView::Full)))
    }

    async fn list_instances(
        &self,
        request: Request<pb::ListInstancesRequest>,
    ) -> GrpcResult<EncodedInstances> {
        let room = room(&request, PAGE).await;
        let ((caller, _), message) = open(request)?;
        let pb::ListInstancesRequest { page_size, page_token, filter, order_by, all_projects } = message;
        let mut problems = Violations::default();
        let instances = problems.take("filter", InstanceFilter::parse(&filter)).unwrap_or_default();
        let scope = instances.scope(all_projects, &caller)?;
        let list = ["instances", &scope.binding(), &filter];
        let page = Page::parse(problems, page_size, &page_token, &order_by, &list, DEFAULT_ORDER)
            .map_err(Error::from)?;
        let listed = self.compute.list_instances(&instances, &page, &scope).await?;
        let mut messages = render::Messages::new(pb::InstanceView::Full);
        let (instances, next_page_token) = page.finish(
            listed,
            |instance, by| by.key(instance),
            |instance| messages.encode(&instance),
            Vec::len,
        );
        Ok(answer_in(room, render::instances(&instances, next_page_token)))
    }

    async fn delete_instance(&self, request: Request<pb::DeleteInstanceRequest>) -> GrpcResult<()> {
        let (context, pb::DeleteInstanceRequest { id, request_id, etag }) = open(request)?;
        self.run(context, Action::Delete, (id, request_id, etag), Violations::default()).await?;
        Ok(Response::new(()))
    }

    async fn snapshot_instance(
        &self,
        request: Request<pb::SnapshotInstanceRequest>,
    ) -> GrpcResult<pb::SnapshotInstanceResponse> {
        let (context, message) = open(request)?;
        let pb::SnapshotInstanceRequest { id, name, metadata, request_id, etag } = message;
        let action = Action::Snapshot { name, metadata };
        let result = self.run(context, action, (id, request_id, etag), Violations::default()).await?;
        Ok(Response::new(pb::SnapshotInstanceResponse {
            instance: Some(full(&result)?),
            image_id: result.image_id.map(|id| id.to_string()).unwrap_or_default(),
            volume_snapshots: result.registration.snapshots.iter().map(render::volume_snapshot).collect(),
            truncated_properties: result.registration.truncated,
        }))
    }

    async fn rebuild_instance(
        &self,
        request: Request<pb::RebuildInstanceRequest>,
    ) -> GrpcResult<pb::Instance> {
        let (context, message) = open(request)?;
        let pb::RebuildInstanceRequest { id, image_id, auto_disk_config, request_id, etag } = message;
        let mut problems = Violations::default();
        let image_id = parse::optional_id("image_id", &image_id, &mut problems);
        let action = Action::Rebuild { image_id, auto_disk_config };
        answer(self.run(context, action, (id, request_id, etag), problems).await)
    }

    async fn resize_instance(&self, request: Request<pb::ResizeInstanceRequest>) -> GrpcResult<pb::Instance> {
        let (context, message) = open(request)?;
        let pb::ResizeInstanceRequest { id, flavor_id, request_id, etag } = message;
        let action = Action::Resize { flavor_id };
        answer(self.run(context, action, (id, request_id, etag), Violations::default()).await)
    }

    async fn confirm_resize(&self, request: Request<pb::ConfirmResizeRequest>) -> GrpcResult<pb::Instance> {
        let (context, pb::ConfirmResizeRequest { id, request_id, etag }) = open(request)?;
        let target = (id, request_id, etag);
        answer(self.run(context, Action::ConfirmResize, target, Violations::default()).await)
    }

    async fn revert_resize(&self, request: Request<pb::RevertResizeRequest>) -> GrpcResult<pb::Instance> {
        let (context, pb::RevertResizeRequest { id, request_id, etag }) = open(request)?;
        let target = (id, request_id, etag);
        answer(self.run(context, Action::RevertResize, target, Violations::default()).await)
    }

    async fn update_instance_image_properties(
        &self,
        request: Request<pb::UpdateInstanceImagePropertiesRequest>,
    ) -> GrpcResult<pb::Instance> {
        let (context, message) = open(request)?;
        let pb::UpdateInstanceImagePropertiesRequest { id, set, remove, etag, request_id } = message;
        let action = Action::UpdateImageProperties { set, remove };
        answer(self.run(context, action, (id, request_id, etag), Violations::default()).await)
    }

    async fn shelve_instance(&self, request: Request<pb::ShelveInstanceRequest>) -> GrpcResult<pb::Instance> {
        let (context, pb::ShelveInstanceRequest { id, request_id, etag }) = open(request)?;
        answer(self.run(context, Action::Shelve, (id, request_id, etag), Violations::default()).await)
    }

    async fn unshelve_instance(
        &self,
        request: Request<pb::UnshelveInstanceRequest>,
    ) -> GrpcResult<pb::Instance> {
        let (context, pb::UnshelveInstanceRequest { id, request_id, etag }) = open(request)?;
        answer(self.run(context, Action::Unshelve, (id, request_id, etag), Violations::default()).await)
    }

    async fn attach_volume(&self, request: Request<pb::AttachVolumeRequest>) -> GrpcResult<pb::Instance> {
        let (context, message) = open(request)?;
        let mut problems = Violations::default();
        let new = parse::volume_attachment(&message, &mut problems);
        let target = (message.id, message.request_id, message.etag);
        answer(self.run(context, Action::AttachVolume(new), target, problems).await)
    }

    async fn detach_volume(&self, request: Request<pb::DetachVolumeRequest>) -> GrpcResult<pb::Instance> {
        let (context, message) = open(request)?;
        let pb::DetachVolumeRequest { id, volume_id, request_id, etag } = message;
        let mut problems = Violations::default();
        let volume_id = Id::read("volume_id", &volume_id, &mut problems);
        let action = Action::DetachVolume { volume_id };
        answer(self.run(context, action, (id, request_id, etag), problems).await)
    }

    async fn list_volume_attachments(
        &self,
        request: Request<pb::ListVolumeAttachmentsRequest>,
    ) -> GrpcResult<pb::ListVolumeAttachmentsResponse> {
        let ((caller, _), message) = open(request)?;
        let id = Id::from_field("id", &message.id).map_err(Error::from)?;
        let instance = self.compute.get_instance(id, &caller).await?;
        let volumes = instance.block_devices.iter().filter(|device| device.volume_id.is_some());
        let volume_attachments = volumes.map(render::block_device).collect();
        Ok(Response::new(pb::ListVolumeAttachmentsResponse { volume_attachments }))
    }

    async fn report_instance_state(
        &self,
        request: Request<pb::ReportInstanceStateRequest>,
    ) -> GrpcResult<pb::Instance> {
        let (context, message) = open(request)?;
        let mut problems = Violations::default();
        let action = Action::ReportState(parse::report(&message, &mut problems));
        let pb::ReportInstanceStateRequest { id, request_id, etag, .. } = message;
        answer(self.run(context, action, (id, request_id, etag), problems).await)
    }

    async fn get_instance_history(
        &self,
        request: Request<pb::GetInstanceHistoryRequest>,
    ) -> GrpcResult<pb::GetInstanceHistoryResponse> {
        let room = room(&request, PAGE).await;
        let ((caller, _), message) = open(request)?;
        let pb::GetInstanceHistoryRequest { id, page_size, page_token } = message;
        let scope = Scope::read(&caller, INSTANCES).map_err(Error::from)?;
        let mut problems = Violations::default();
        let parsed = problems.take("id", id.parse::<Id>());
        let list = ["history", &scope.binding(), &id];
        let page =
            Page::parse(problems, page_size, &page_token, "", &list, HISTORY_ORDER).map_err(Error::from)?;
        let id = parsed.expect("a malformed id is a violation");
        let read = self.compute.instance_history(id, &page, &scope).await?;
        let (entries, next_page_token) = page.finish(
            read,
            |entry, _| Key::Integer(entry.revision),
            |entry| history::entry(id, &entry),
            Message::encoded_len,
        );
        Ok(answer_in(room, pb::GetInstanceHistoryResponse { entries, next_page_token }))
    }

    async fn compare_instance(
        &self,
        request: Request<pb::CompareInstanceRequest>,
    ) -> GrpcResult<pb::CompareInstanceResponse> {
        let room = room(&request, WITH_IMAGE).await;
        let ((caller, deadline), message) = open(request)?;
        let id = Id::from_field("id", &message.id).map_err(Error::from)?;
        let comparison = self.compute.compare_instance(id, &caller, deadline).await?;
        Ok(answer_in(room, drift::comparison(id, comparison)))
    }

    async fn list_drift(&self, request: Request<pb::ListDriftRequest>) -> GrpcResult<pb::ListDriftResponse> {
        let room = room(&request, PAGE).await;
        let ((caller, deadline), message) = open(request)?;
        let (filter, scope, page) = drift::list(&message, &caller)?;
        let (drifts, next) = self.compute.list_drift(&filter, &page, &scope, (&caller, deadline)).await?;
        let message = pb::ListDriftResponse {
            drifts: drifts.iter().map(drift::drift).collect(),
            next_page_token: next.map(|keys| page.token(keys)).unwrap_or_default(),
        };
        Ok(answer_in(room, message))
    }
}

impl Api {
    /// Does something with the instance of that id, on the conditions of request id and etag. `problems` are those of
    /// the action's fields.
    async fn run(
        &self,
        (caller, deadline): CallContext,
        action: Action,
        (id, request_id, etag): (String, String, String),
        problems: Violations,
    ) -> Result<ActionResult, Error> {
        let mut violations = Violations::default();
        let instance_id = Id::read("id", &id, &mut violations);
        violations.append(problems);
        let request = ActionRequest { instance_id, action, request_id, etag, caller: &caller, deadline };
        self.compute.run_action(&request, violations).await
    }
}

/// The instance that something was done with, in full.
fn full(result: &ActionResult) -> Result<pb::Instance, Error> {
    Ok(render::instance(result.instance()?, pb::InstanceView::Full))
}

fn answer(result: Result<ActionResult, Error>) -> GrpcResult<pb::Instance> {
    Ok(Response::new(full(&result?)?))
}
