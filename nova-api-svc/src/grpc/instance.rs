//! `nova.v1.InstanceService`.

use common::{deadline::Deadline, id::Id, page::Page, violations::Violations};
use prost::Message;
use proto::nova::v1::{self as pb, instance_service_server::InstanceService};
use tonic::{Request, Response};

use super::{Answer, caller, parse, render};
use crate::{
    error::Error,
    instances::Instances,
    list::{DEFAULT_ORDER, InstanceFilter},
    pipeline::Pipeline,
};

/// The service.
pub(super) struct Api {
    pub(super) pipeline: Pipeline,
    pub(super) instances: Instances,
}

#[tonic::async_trait]
impl InstanceService for Api {
    /// Nova's `create`.
    async fn create_instance(
        &self,
        request: Request<pb::CreateInstanceRequest>,
    ) -> Answer<pb::CreateInstanceResponse> {
        let caller = caller(&request);
        let deadline = request.extensions().get::<Deadline>().copied();
        let request = parse::create_instance(request.into_inner()).map_err(Error::from)?;
        let reservation = self.pipeline.create_instance(request, &caller, deadline).await?;
        Ok(Response::new(render::reservation(reservation)))
    }

    async fn get_instance(&self, request: Request<pb::GetInstanceRequest>) -> Answer<pb::Instance> {
        let id = Id::from_field("id", &request.into_inner().id).map_err(Error::from)?;
        let instance = self.instances.get(id).await?;
        Ok(Response::new(render::instance(&instance, pb::InstanceView::Full)))
    }

    async fn list_instances(
        &self,
        request: Request<pb::ListInstancesRequest>,
    ) -> Answer<pb::ListInstancesResponse> {
        let pb::ListInstancesRequest { page_size, page_token, filter, order_by } = request.into_inner();
        let mut problems = Violations::default();
        let instances = problems.take("filter", InstanceFilter::parse(&filter)).unwrap_or_default();
        let page =
            Page::parse(problems, page_size, &page_token, &order_by, &["instances", &filter], DEFAULT_ORDER)
                .map_err(Error::from)?;
        let listed = self.instances.list(&instances, &page).await?;
        let (instances, next_page_token) = page.finish(
            listed,
            |instance, by| by.key(instance),
            |instance| render::instance(&instance, pb::InstanceView::Full),
            Message::encoded_len,
        );
        Ok(Response::new(pb::ListInstancesResponse { instances, next_page_token }))
    }

    async fn delete_instance(&self, request: Request<pb::DeleteInstanceRequest>) -> Answer<()> {
        let id = Id::from_field("id", &request.into_inner().id).map_err(Error::from)?;
        self.instances.delete(id).await?;
        Ok(Response::new(()))
    }
}
