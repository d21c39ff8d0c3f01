//! `nova.v1.FlavorService`.

use chassis::page::{Key, Page};
use common::{clock, violations::Violations};
use prost::Message;
use proto::nova::v1::{self as pb, flavor_service_server::FlavorService};
use tonic::{Request, Response};

use super::{caller, parse};
use crate::{error::Error, flavors::Flavors, list::FLAVOR_ORDER};
use chassis::grpc::GrpcResult;

/// The service.
pub(super) struct Api {
    pub(super) flavors: Flavors,
}

#[tonic::async_trait]
impl FlavorService for Api {
    async fn create_flavor(&self, request: Request<pb::CreateFlavorRequest>) -> GrpcResult<pb::Flavor> {
        let caller = caller(&request)?;
        let flavor = parse::flavor(request.into_inner()).map_err(Error::from)?;
        let created = self.flavors.create(flavor, clock::now(), &caller).await?;
        Ok(Response::new(created.into()))
    }

    async fn get_flavor(&self, request: Request<pb::GetFlavorRequest>) -> GrpcResult<pb::Flavor> {
        caller(&request)?;
        let id = parse::flavor_id("id", request.into_inner().id).map_err(Error::from)?;
        Ok(Response::new(self.flavors.get(&id).await?.into()))
    }

    async fn list_flavors(
        &self,
        request: Request<pb::ListFlavorsRequest>,
    ) -> GrpcResult<pb::ListFlavorsResponse> {
        caller(&request)?;
        let pb::ListFlavorsRequest { page_size, page_token } = request.into_inner();
        let page = Page::parse(Violations::default(), page_size, &page_token, "", &["flavors"], FLAVOR_ORDER)
            .map_err(Error::from)?;
        let listed = self.flavors.list(&page).await?;
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
        let id = parse::flavor_id("id", request.into_inner().id).map_err(Error::from)?;
        self.flavors.delete(&id, &caller).await?;
        Ok(Response::new(()))
    }
}
