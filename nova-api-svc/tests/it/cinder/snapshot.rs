//! Its calls on snapshots.

use proto::cinder::v1::{
    self as pb, Snapshot, snapshot::Status as Taken, snapshot_service_server::SnapshotService,
};
use tonic::{Code, Request, Response, Status};

use super::{Cinder, gone, never, refused};

#[tonic::async_trait]
impl SnapshotService for Cinder {
    async fn get_snapshot(
        &self,
        request: Request<pb::GetSnapshotRequest>,
    ) -> Result<Response<Snapshot>, Status> {
        self.act(|state| state.snapshots.get(&request.get_ref().id).cloned().ok_or_else(gone))
    }

    async fn create_snapshot(
        &self,
        request: Request<pb::CreateSnapshotRequest>,
    ) -> Result<Response<Snapshot>, Status> {
        self.write(|state| state.snapshot(request.into_inner()))
    }

    async fn list_snapshots(
        &self,
        _: Request<pb::ListSnapshotsRequest>,
    ) -> Result<Response<pb::ListSnapshotsResponse>, Status> {
        never()
    }

    async fn update_snapshot(
        &self,
        _: Request<pb::UpdateSnapshotRequest>,
    ) -> Result<Response<Snapshot>, Status> {
        never()
    }

    async fn delete_snapshot(
        &self,
        request: Request<pb::DeleteSnapshotRequest>,
    ) -> Result<Response<()>, Status> {
        self.write(|state| {
            let snapshot = state.snapshots.get(&request.get_ref().id).ok_or_else(gone)?;
            if snapshot.status() == Taken::Creating {
                return Err(refused(Code::FailedPrecondition, "WRONG_STATE"));
            }
            state.snapshots.remove(&request.get_ref().id);
            Ok(())
        })
    }

    async fn report_snapshot_state(
        &self,
        _: Request<pb::ReportSnapshotStateRequest>,
    ) -> Result<Response<Snapshot>, Status> {
        never()
    }
}
