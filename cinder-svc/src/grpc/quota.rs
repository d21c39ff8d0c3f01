//! `cinder.v1.QuotaService`.

use chassis::grpc::GrpcResult;
use proto::cinder::v1::{self as pb, quota_service_server::QuotaService};
use tonic::{Request, Response};

use super::caller;
use crate::{
    quota::QuotaLimit,
    volumes::{VolumeApi, quotas::QuotaUpdate},
};

/// The service.
pub(super) struct Api {
    pub(super) volumes: VolumeApi,
}

#[tonic::async_trait]
impl QuotaService for Api {
    async fn get_quota(&self, request: Request<pb::GetQuotaRequest>) -> GrpcResult<pb::Quota> {
        let caller = caller(&request)?;
        let given = request.into_inner().project_id;
        let project_id = if given.is_empty() { caller.actor.project_id.clone() } else { given };
        let limits = self.volumes.get_quota(&project_id, &caller).await?;
        Ok(Response::new(quota(project_id, limits)))
    }

    async fn update_quota(&self, request: Request<pb::UpdateQuotaRequest>) -> GrpcResult<pb::Quota> {
        let caller = caller(&request)?;
        let pb::UpdateQuotaRequest { project_id, limits, reset } = request.into_inner();
        let set = limits.into_iter().map(|limit| (limit.resource, Some(limit.limit)));
        let update = QuotaUpdate(set.chain(reset.into_iter().map(|resource| (resource, None))).collect());
        let limits = self.volumes.update_quota(&project_id, update, &caller).await?;
        Ok(Response::new(quota(project_id, limits)))
    }
}

fn quota(project_id: String, limits: Vec<QuotaLimit>) -> pb::Quota {
    let limit =
        |QuotaLimit { resource, limit, used }| pb::QuotaLimit { resource, limit: limit.unwrap_or(-1), used };
    pb::Quota { project_id, limits: limits.into_iter().map(limit).collect() }
}
