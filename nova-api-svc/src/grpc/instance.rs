//! `nova.v1.InstanceService`.

use std::sync::Arc;

use chassis::{
    caller::Caller,
    deadline::Deadline,
    edge::Room,
    grpc::{GrpcResult, answer_in},
    page::{Key, MAX_BYTES, Page},
};
use common::{id::Id, text, violations::Violations};
use prost::Message;
use proto::nova::{
    EncodedInstances, EncodedReservation,
    v1::{self as pb, instance_service_server::InstanceService},
};
use tonic::{Request, Response};

use super::{
    caller, drift, history,
    operation::{self, Common},
    parse, render, room,
};
use crate::{
    drift::Detector,
    error::Error,
    instance::{Operation, Scope},
    instances::Instances,
    list::{DEFAULT_ORDER, HISTORY_ORDER, InstanceFilter},
    operations::{Action, ActionResult, Operations},
};

/// Bytes for a page: what is read for it, the messages that are made of that, and all of them together.
const PAGE: usize = 4 * MAX_BYTES;

/// How often what a request has written is in memory: instances, rows, what the driver sends, and the answer.
const COPIES: usize = 6;

/// The service.
pub(super) struct Api {
    pub(super) instances: Instances,
    pub(super) detector: Detector,
    pub(super) operations: Operations,
}

/// Who asks, and until when.
type CallContext = (Arc<Caller>, Option<Deadline>);

/// Who asks, until when, and what.
fn open<T>(request: Request<T>) -> Result<(CallContext, T), Error> {
    let deadline = request.extensions().get::<Deadline>().copied();
    Ok(((caller(&request)?, deadline), request.into_inner()))
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
        let request = parse::create_instance(message).map_err(Error::from)?;
        let room = Room::of(&extensions, COPIES * request.size()).await;
        let reservation = self.operations.pipeline.create_instance(request, &caller, deadline).await?;
        Ok(answer_in(room, render::reservation(&reservation)))
    }

    async fn get_instance(&self, request: Request<pb::GetInstanceRequest>) -> GrpcResult<pb::Instance> {
        let ((caller, _), message) = open(request)?;
        let id = Id::from_field("id", &message.id).map_err(Error::from)?;
        let instance = self.instances.get(id, &caller).await?;
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
        let scope = Scope::list(&caller, all_projects, instances.names_a_project())?;
        let list = ["instances", &scope.binding(), &filter];
        let page = Page::parse(problems, page_size, &page_token, &order_by, &list, DEFAULT_ORDER)
            .map_err(Error::from)?;
        let listed = self.instances.list(&instances, &page, &scope).await?;
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
        let ((caller, deadline), pb::DeleteInstanceRequest { id, request_id, etag }) = open(request)?;
        let common = Common { id, request_id, etag: &etag, caller: &caller, deadline };
        let said = Operation::Delete.name();
        let context = common.context(Violations::default(), &said).map_err(Error::from)?;
        self.operations.delete(&context).await?;
        Ok(Response::new(()))
    }

    async fn snapshot_instance(
        &self,
        request: Request<pb::SnapshotInstanceRequest>,
    ) -> GrpcResult<pb::SnapshotInstanceResponse> {
        let (by, message) = open(request)?;
        let pb::SnapshotInstanceRequest { id, name, metadata, request_id, etag } = message;
        let problems = operation::snapshot(&name, &metadata);
        let done =
            self.run(by, Action::Snapshot { name, metadata }, (id, request_id, etag), problems).await?;
        Ok(Response::new(pb::SnapshotInstanceResponse {
            image_id: done.image_id.map(|id| id.to_string()).unwrap_or_default(),
            instance: Some(full(&done)),
            truncated_properties: done.truncated,
        }))
    }

    async fn rebuild_instance(
        &self,
        request: Request<pb::RebuildInstanceRequest>,
    ) -> GrpcResult<pb::Instance> {
        let (by, message) = open(request)?;
        let pb::RebuildInstanceRequest { id, image_id, auto_disk_config, request_id, etag } = message;
        let mut problems = Violations::default();
        let image_id = operation::image_id(&image_id, &mut problems);
        let action = Action::Rebuild { image_id, auto_disk_config };
        answer(self.run(by, action, (id, request_id, etag), problems).await)
    }

    async fn resize_instance(&self, request: Request<pb::ResizeInstanceRequest>) -> GrpcResult<pb::Instance> {
        let (by, message) = open(request)?;
        let pb::ResizeInstanceRequest { id, flavor_id, request_id, etag } = message;
        let mut problems = Violations::default();
        problems.take("flavor_id", text::name(&flavor_id));
        answer(self.run(by, Action::Resize { flavor_id }, (id, request_id, etag), problems).await)
    }

    async fn confirm_resize(&self, request: Request<pb::ConfirmResizeRequest>) -> GrpcResult<pb::Instance> {
        let (by, pb::ConfirmResizeRequest { id, request_id, etag }) = open(request)?;
        answer(self.run(by, Action::ConfirmResize, (id, request_id, etag), Violations::default()).await)
    }

    async fn revert_resize(&self, request: Request<pb::RevertResizeRequest>) -> GrpcResult<pb::Instance> {
        let (by, pb::RevertResizeRequest { id, request_id, etag }) = open(request)?;
        answer(self.run(by, Action::RevertResize, (id, request_id, etag), Violations::default()).await)
    }

    async fn update_instance_image_properties(
        &self,
        request: Request<pb::UpdateInstanceImagePropertiesRequest>,
    ) -> GrpcResult<pb::Instance> {
        let (by, message) = open(request)?;
        let pb::UpdateInstanceImagePropertiesRequest { id, set, remove, etag, request_id } = message;
        let problems = operation::properties(&set, &remove);
        let action = Action::UpdateImageProperties { set, remove };
        answer(self.run(by, action, (id, request_id, etag), problems).await)
    }

    async fn shelve_instance(&self, request: Request<pb::ShelveInstanceRequest>) -> GrpcResult<pb::Instance> {
        let (by, pb::ShelveInstanceRequest { id, request_id, etag }) = open(request)?;
        answer(self.run(by, Action::Shelve, (id, request_id, etag), Violations::default()).await)
    }

    async fn unshelve_instance(
        &self,
        request: Request<pb::UnshelveInstanceRequest>,
    ) -> GrpcResult<pb::Instance> {
        let (by, pb::UnshelveInstanceRequest { id, request_id, etag }) = open(request)?;
        answer(self.run(by, Action::Unshelve, (id, request_id, etag), Violations::default()).await)
    }

    async fn report_instance_state(
        &self,
        request: Request<pb::ReportInstanceStateRequest>,
    ) -> GrpcResult<pb::Instance> {
        let ((caller, deadline), message) = open(request)?;
        let parsed = operation::report(&message);
        let pb::ReportInstanceStateRequest { id, request_id, etag, .. } = message;
        let common = Common { id, request_id, etag: &etag, caller: &caller, deadline };
        let problems = parsed.as_ref().err().cloned().unwrap_or_default();
        let context = common.context(problems, &parsed.as_ref().ok()).map_err(Error::from)?;
        answer(self.operations.report(&context, &parsed.map_err(Error::from)?).await)
    }

    async fn get_instance_history(
        &self,
        request: Request<pb::GetInstanceHistoryRequest>,
    ) -> GrpcResult<pb::GetInstanceHistoryResponse> {
        let room = room(&request, PAGE).await;
        let ((caller, _), message) = open(request)?;
        let pb::GetInstanceHistoryRequest { id, page_size, page_token } = message;
        let scope = Scope::read(&caller)?;
        let mut problems = Violations::default();
        let parsed = problems.take("id", id.parse::<Id>());
        let list = ["history", &scope.binding(), &id];
        let page =
            Page::parse(problems, page_size, &page_token, "", &list, HISTORY_ORDER).map_err(Error::from)?;
        let id = parsed.expect("a malformed id is a violation");
        let past = self.instances.history(id, &page, &scope).await?;
        let (entries, next_page_token) = page.finish(
            past,
            |past, _| Key::Integer(past.revision),
            |past| history::entry(id, &past),
            Message::encoded_len,
        );
        Ok(answer_in(room, pb::GetInstanceHistoryResponse { entries, next_page_token }))
    }

    async fn compare_instance(
        &self,
        request: Request<pb::CompareInstanceRequest>,
    ) -> GrpcResult<pb::CompareInstanceResponse> {
        let ((caller, deadline), message) = open(request)?;
        let id = Id::from_field("id", &message.id).map_err(Error::from)?;
        let comparison = self.instances.compare(id, &caller, deadline).await?;
        Ok(Response::new(drift::comparison(id, comparison)))
    }

    async fn list_drift(&self, request: Request<pb::ListDriftRequest>) -> GrpcResult<pb::ListDriftResponse> {
        let room = room(&request, PAGE).await;
        let ((caller, deadline), message) = open(request)?;
        let scope = Scope::list(&caller, message.all_projects, !message.project_id.is_empty())?;
        let (filter, page) = drift::request(&message, &scope).map_err(Error::from)?;
        let (drifts, next) = self.detector.list(&filter, &page, &scope, (&caller, deadline)).await?;
        let message = pb::ListDriftResponse {
            drifts: drifts.iter().map(drift::drift).collect(),
            next_page_token: next.map(|keys| page.token(keys)).unwrap_or_default(),
        };
        Ok(answer_in(room, message))
    }
}

impl Api {
    /// Does what was asked for with the instance of that id, on the condition of request id and etag.
    async fn run(
        &self,
        (caller, deadline): CallContext,
        action: Action,
        (id, request_id, etag): (String, String, String),
        problems: Violations,
    ) -> Result<ActionResult, Error> {
        let common = Common { id, request_id, etag: &etag, caller: &caller, deadline };
        let context = common.context(problems, &action)?;
        self.operations.run(&action, &context).await
    }
}

/// The instance that something was done with, in full.
fn full(done: &ActionResult) -> pb::Instance {
    render::instance(&done.instance, pb::InstanceView::Full)
}

fn answer(done: Result<ActionResult, Error>) -> GrpcResult<pb::Instance> {
    Ok(Response::new(full(&done?)))
}
