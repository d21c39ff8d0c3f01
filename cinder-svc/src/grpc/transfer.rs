//! `cinder.v1.TransferService`.

use chassis::{grpc::GrpcResult, page::Page};
use common::{clock::timestamp, id::Id, violations::Violations};
use prost::Message;
use proto::cinder::v1::{self as pb, transfer_service_server::TransferService};
use tonic::{Request, Response};

use super::caller;
use crate::{
    error::Error,
    list::TRANSFER_ORDER,
    volume::Transfer,
    volumes::{VolumeApi, transfers::NewTransfer},
};

/// The service.
pub(super) struct Api {
    pub(super) volumes: VolumeApi,
}

#[tonic::async_trait]
impl TransferService for Api {
    async fn create_transfer(
        &self,
        request: Request<pb::CreateTransferRequest>,
    ) -> GrpcResult<pb::CreateTransferResponse> {
        let caller = caller(&request)?;
        let pb::CreateTransferRequest { volume_id, name, without_snapshots, volume_etag } =
            request.into_inner();
        let new = NewTransfer { volume_id, name, without_snapshots, volume_etag };
        let (transfer, auth_key) = self.volumes.create_transfer(new, &caller).await?;
        Ok(Response::new(pb::CreateTransferResponse { transfer: Some(render(transfer)), auth_key }))
    }

    async fn get_transfer(&self, request: Request<pb::GetTransferRequest>) -> GrpcResult<pb::Transfer> {
        let caller = caller(&request)?;
        let id = Id::from_field("id", &request.into_inner().id).map_err(Error::from)?;
        Ok(Response::new(render(self.volumes.get_transfer(id, &caller).await?)))
    }

    async fn list_transfers(
        &self,
        request: Request<pb::ListTransfersRequest>,
    ) -> GrpcResult<pb::ListTransfersResponse> {
        let caller = caller(&request)?;
        let pb::ListTransfersRequest { page_size, page_token, all_projects } = request.into_inner();
        let scope = VolumeApi::scope_of_transfers(all_projects, &caller)?;
        let list = ["transfers", &scope.binding()];
        let page = Page::parse(Violations::default(), page_size, &page_token, "", &list, TRANSFER_ORDER)
            .map_err(Error::from)?;
        let listed = self.volumes.list_transfers(&page, &scope).await?;
        let (transfers, next_page_token) =
            page.finish(listed, |transfer, by| by.key(transfer), render, Message::encoded_len);
        Ok(Response::new(pb::ListTransfersResponse { transfers, next_page_token }))
    }

    async fn accept_transfer(&self, request: Request<pb::AcceptTransferRequest>) -> GrpcResult<pb::Transfer> {
        let caller = caller(&request)?;
        let pb::AcceptTransferRequest { id, auth_key } = request.into_inner();
        let id = Id::from_field("id", &id).map_err(Error::from)?;
        let taken = self.volumes.accept_transfer(id, &auth_key, &caller).await?;
        let destination_project_id = caller.actor.project_id.clone();
        Ok(Response::new(pb::Transfer { destination_project_id, ..render(taken) }))
    }

    async fn delete_transfer(&self, request: Request<pb::DeleteTransferRequest>) -> GrpcResult<()> {
        let caller = caller(&request)?;
        let id = Id::from_field("id", &request.into_inner().id).map_err(Error::from)?;
        self.volumes.delete_transfer(id, &caller).await?;
        Ok(Response::new(()))
    }
}

/// A transfer that nobody has taken yet.
fn render(transfer: Transfer) -> pb::Transfer {
    pb::Transfer {
        id: transfer.id.to_string(),
        name: transfer.name,
        volume_id: transfer.volume_id.to_string(),
        source_project_id: transfer.project_id,
        destination_project_id: String::new(),
        without_snapshots: transfer.without_snapshots,
        create_time: Some(timestamp(transfer.create_time)),
    }
}
