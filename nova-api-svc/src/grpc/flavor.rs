//! `nova.v1.FlavorService`.

use chassis::{
    grpc::GrpcResult,
    page::{Key, Page},
};
use common::violations::Violations;
use prost::Message;
use proto::nova::v1::{self as pb, flavor_service_server::FlavorService};
use tonic::{Request, Response};

use super::{caller, parse};
use crate::{compute::ComputeApi, error::Error, list::FLAVOR_ORDER};

/// The service.
pub(super) struct Api {
    pub(super) compute: ComputeApi,
}

#[tonic::async_trait]
impl FlavorService for Api {
    async fn create_flavor(&self, request: Request<pb::CreateFlavorRequest>) -> GrpcResult<pb::Flavor> {
        let caller = caller(&request)?;
        let flavor = parse::flavor(request.into_inner().flavor.unwrap_or_default()).check();
        let flavor = flavor.map_err(|violations| Error::from(violations.within("flavor.")))?;
        Ok(Response::new(self.compute.create_flavor(flavor, &caller).await?.into()))
    }

    async fn get_flavor(&self, request: Request<pb::GetFlavorRequest>) -> GrpcResult<pb::Flavor> {
        caller(&request)?;
        Ok(Response::new(self.compute.get_flavor(&request.into_inner().id).await?.into()))
    }

    async fn list_flavors(
        &self,
        request: Request<pb::ListFlavorsRequest>,
    ) -> GrpcResult<pb::ListFlavorsResponse> {
        caller(&request)?;
        let pb::ListFlavorsRequest { page_size, page_token } = request.into_inner();
        let page = Page::parse(Violations::default(), page_size, &page_token, "", &["flavors"], FLAVOR_ORDER)
            .map_err(Error::from)?;
        let listed = self.compute.list_flavors(&page).await?;
        let (flavors, next_page_token) = page.finish(
            listed,
            |flavor, _| Key::Integer(flavor.flavor.instance_type_id),
            pb::Flavor::from,
            Message::encoded_len,
        );
        Ok(Response::new(pb::ListFlavorsResponse { flavors, next_page_token }))
    }

    async fn delete_flavor(&self, request: Request<pb::DeleteFlavorRequest>) -> GrpcResult<()> {
        let caller = caller(&request)?;
        self.compute.delete_flavor(&request.into_inner().id, &caller).await?;
        Ok(Response::new(()))
    }
}
