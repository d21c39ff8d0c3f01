//! Its calls on volumes.

use proto::cinder::{
    EncodedVolumes,
    v1::{self as pb, Volume, volume::Status as Is, volume_service_server::VolumeService},
};
use tokio_stream::Empty;
use tonic::{Code, Request, Response, Status, Streaming};

use super::{Cinder, gone, never, refused};

#[tonic::async_trait]
impl VolumeService for Cinder {
    async fn create_volume(
        &self,
        request: Request<pb::CreateVolumeRequest>,
    ) -> Result<Response<Volume>, Status> {
        self.write(|state| state.create(request.into_inner()))
    }

    async fn get_volume(&self, request: Request<pb::GetVolumeRequest>) -> Result<Response<Volume>, Status> {
        self.act(|state| state.volumes.get(&request.get_ref().id).cloned().ok_or_else(gone))
    }

    async fn delete_volume(&self, request: Request<pb::DeleteVolumeRequest>) -> Result<Response<()>, Status> {
        self.write(|state| {
            let volume = state.volumes.get(&request.get_ref().id).ok_or_else(gone)?;
            let is_kept = volume.metadata.contains_key("snapshots");
            if is_kept || !matches!(volume.status(), Is::Available | Is::Error) {
                return Err(refused(Code::FailedPrecondition, "WRONG_STATE"));
            }
            state.volumes.remove(&request.get_ref().id);
            Ok(())
        })
    }

    async fn list_volumes(
        &self,
        _: Request<pb::ListVolumesRequest>,
    ) -> Result<Response<EncodedVolumes>, Status> {
        never()
    }

    async fn update_volume(&self, _: Request<pb::UpdateVolumeRequest>) -> Result<Response<Volume>, Status> {
        never()
    }

    async fn extend_volume(&self, _: Request<pb::ExtendVolumeRequest>) -> Result<Response<Volume>, Status> {
        never()
    }

    async fn retype_volume(&self, _: Request<pb::RetypeVolumeRequest>) -> Result<Response<Volume>, Status> {
        never()
    }

    async fn reimage_volume(
        &self,
        request: Request<pb::ReimageVolumeRequest>,
    ) -> Result<Response<Volume>, Status> {
        self.write(|state| state.reimage(request.get_ref()))
    }

    async fn revert_volume(&self, _: Request<pb::RevertVolumeRequest>) -> Result<Response<Volume>, Status> {
        never()
    }

    async fn update_volume_image_properties(
        &self,
        _: Request<pb::UpdateVolumeImagePropertiesRequest>,
    ) -> Result<Response<Volume>, Status> {
        never()
    }

    async fn upload_volume_to_image(
        &self,
        _: Request<pb::UploadVolumeToImageRequest>,
    ) -> Result<Response<pb::UploadVolumeToImageResponse>, Status> {
        never()
    }

    async fn report_volume_state(
        &self,
        _: Request<pb::ReportVolumeStateRequest>,
    ) -> Result<Response<Volume>, Status> {
        never()
    }

    type ReadVolumeDataStream = Empty<Result<pb::ReadVolumeDataResponse, Status>>;

    async fn read_volume_data(
        &self,
        _: Request<pb::ReadVolumeDataRequest>,
    ) -> Result<Response<Self::ReadVolumeDataStream>, Status> {
        never()
    }

    async fn write_volume_data(
        &self,
        _: Request<Streaming<pb::WriteVolumeDataRequest>>,
    ) -> Result<Response<Volume>, Status> {
        never()
    }

    async fn get_volume_history(
        &self,
        _: Request<pb::GetVolumeHistoryRequest>,
    ) -> Result<Response<pb::GetVolumeHistoryResponse>, Status> {
        never()
    }

    async fn compare_volume(
        &self,
        _: Request<pb::CompareVolumeRequest>,
    ) -> Result<Response<pb::CompareVolumeResponse>, Status> {
        never()
    }

    async fn list_drift(
        &self,
        _: Request<pb::ListDriftRequest>,
    ) -> Result<Response<pb::ListDriftResponse>, Status> {
        never()
    }
}
