//! What is done with an image, and what each level of access allows of it.

use proto::glance::v1::{
    DeleteImageRequest, DownloadImageDataRequest, GetImageRequest, ListImageRevisionsRequest,
    ListImagesRequest, UploadImageDataRequest,
};
use serde_json::{Value, json};

use crate::support::{DONE, Edge, Who, World, id_of, image_path, over_grpc, over_http, setting};

/// What a caller may do with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// It must not learn that the image is there.
    Nothing,
    /// It sees the image.
    Sees,
    /// It reads the data, too.
    Reads,
    /// It sees the image and its history.
    Watches,
    /// Everything.
    Changes,
}

/// What is done with an active image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Get,
    Revision,
    Download,
    History,
    Update,
    Upload,
    Delete,
}

pub(super) const OPERATIONS: [Operation; 7] = [
    Operation::Get,
    Operation::Revision,
    Operation::Download,
    Operation::History,
    Operation::Update,
    Operation::Upload,
    // Last, as nothing is done after it.
    Operation::Delete,
];

impl Level {
    /// What comes of an operation.
    pub(super) fn outcome(self, operation: Operation) -> &'static str {
        use Operation::{Download, Get, History, Revision, Upload};
        let is_allowed = match operation {
            Get | Revision => self != Self::Nothing,
            Download => [Self::Reads, Self::Changes].contains(&self),
            History => [Self::Watches, Self::Changes].contains(&self),
            _ => self == Self::Changes,
        };
        match is_allowed {
            // There are data already.
            true if operation == Upload => "ILLEGAL_STATUS_MOVE",
            true => DONE,
            false if self == Self::Nothing => "IMAGE_NOT_FOUND",
            false => "NOT_PERMITTED",
        }
    }
}

/// An image of the owner with data, shared with three projects before it got that visibility.
pub(super) async fn active(world: &World, visibility: &str) -> String {
    let (owner, admin) = (world.http(Who::OWNER), world.http(Who::ADMIN));
    let id = owner.queued().await;
    world.share(&id).await;
    admin.set(&id, "visibility", json!(visibility)).await.is(200);
    owner.upload(&id, "hello").await.is(204);
    id
}

/// What comes of an operation. History and revisions have no place in OpenStack's API, and go over gRPC alone.
pub(super) async fn act(world: &World, edge: Edge, who: Who, operation: Operation, id: &str) -> String {
    let http = world.http(who);
    match (edge, operation) {
        (Edge::Grpc, _) | (_, Operation::Revision | Operation::History) => {
            over_grpc_alone(world, who, operation, id).await
        }
        (_, Operation::Get) => over_http(&http.get(&image_path(id)).await),
        (_, Operation::Download) => over_http(&http.download(id).await),
        (_, Operation::Update) => over_http(&http.set(id, "k", json!("v")).await),
        (_, Operation::Upload) => over_http(&http.upload(id, "hello").await),
        (_, Operation::Delete) => over_http(&http.delete(&image_path(id)).await),
    }
}

async fn over_grpc_alone(world: &World, who: Who, operation: Operation, id: &str) -> String {
    let mut client = world.grpc(who);
    let own = || id.to_owned();
    match operation {
        Operation::Get => over_grpc(client.get_image(GetImageRequest { id: own(), revision: 0 }).await),
        // The one that shared it, which is after its registration.
        Operation::Revision => {
            let revision = world.get(id).await.map_or(1, |image| image.revision);
            over_grpc(client.get_image(GetImageRequest { id: own(), revision }).await)
        }
        Operation::Download => {
            let request = DownloadImageDataRequest { id: own(), ..Default::default() };
            over_grpc(client.download_image_data(request).await)
        }
        Operation::History => {
            let request = ListImageRevisionsRequest { image_id: own(), ..Default::default() };
            over_grpc(client.list_image_revisions(request).await)
        }
        Operation::Update => over_grpc(client.update_image_properties(setting(id, &[("k", "w")])).await),
        Operation::Upload => {
            let message = UploadImageDataRequest { image_id: own(), ..Default::default() };
            over_grpc(client.upload_image_data(tokio_stream::once(message)).await)
        }
        Operation::Delete => {
            over_grpc(client.delete_image(DeleteImageRequest { id: own(), etag: String::new() }).await)
        }
    }
}

/// The ids that a list shows.
pub(super) async fn list(world: &World, edge: Edge, who: Who) -> Vec<String> {
    if edge == Edge::Grpc {
        let request = ListImagesRequest { page_size: 1000, ..Default::default() };
        let answer = world.grpc(who).list_images(request).await.unwrap().into_inner();
        return answer.images.into_iter().map(|image| image.id).collect();
    }
    let page: Value = world.http(who).get("/v2/images?limit=1000").await.is(200).json();
    page["images"].as_array().unwrap().iter().map(id_of).collect()
}
