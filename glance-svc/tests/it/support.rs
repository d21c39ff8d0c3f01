//! A server for each test, and short ways to call it.

use std::{collections::HashMap, future::pending, net::SocketAddr, path::Path};

pub(crate) use chassis::testing::{assert_violation, connect, fields, made_by, violations};
use chassis::{
    server::Base,
    testing::{self, TestDb},
};
use glance_svc::{
    data::{DataStore, DataUrl},
    image::properties::Quota,
    images::{ImageLimits, Images},
    store::{CACHE_BYTES, MIGRATIONS, Store},
};
use prost_types::FieldMask;
use proto::glance::v1::{
    CreateImageRequest, DeleteImageRequest, GetImageRequest, Image, ImageRevision, ListImageRevisionsRequest,
    ListImagesRequest, ListImagesResponse, UpdateImagePropertiesRequest, UpdateImageRequest,
    image_service_client::ImageServiceClient,
};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt as _;

mod http;
mod outcome;
mod who;
mod world;

pub(crate) use http::{Answer, Call, Http, READ_ONLY, V20, V21, file_path, id_of, image_path, names_of};
pub(crate) use outcome::{DONE, EDGES, Edge, over_grpc, over_http};
pub(crate) use who::Who;
pub(crate) use world::{MARKER, Settings, World, at_once, soon};

/// The quota of a service that is not configured.
pub(crate) const DEFAULT_QUOTA: i64 = 128;

/// A running glance-svc and a client of it.
pub(crate) struct Glance {
    pub(crate) client: ImageServiceClient<Channel>,
    pub(crate) channel: Channel,
    pub(crate) address: SocketAddr,
    pub(crate) db: TestDb,
}

impl Glance {
    pub(crate) async fn start(db: TestDb) -> Self {
        Self::start_with_quota(db, DEFAULT_QUOTA).await
    }

    pub(crate) async fn start_with_quota(db: TestDb, quota: i64) -> Self {
        let address = serve(&db.url, quota).await;
        let channel = connect(address).await;
        Self { client: ImageServiceClient::new(channel.clone()), channel, address, db }
    }

    /// A client of a second server on the same database, with a quota of its own.
    pub(crate) async fn beside(&self, quota: i64) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(connect(serve(&self.db.url, quota).await).await)
    }

    pub(crate) async fn create(&self, image: Image) -> Result<Image, Status> {
        let request = CreateImageRequest { image: Some(image) };
        Ok(self.client.clone().create_image(request).await?.into_inner())
    }

    /// An image with that name and nothing else.
    pub(crate) async fn named(&self, name: &str) -> Image {
        self.create(named(name)).await.unwrap()
    }

    pub(crate) async fn get(&self, id: &str) -> Result<Image, Status> {
        self.get_at(id, 0).await
    }

    pub(crate) async fn get_at(&self, id: &str, revision: i64) -> Result<Image, Status> {
        let request = GetImageRequest { id: id.to_owned(), revision };
        Ok(self.client.clone().get_image(request).await?.into_inner())
    }

    /// Changes the attributes of `mask`, or those that are set when it is empty.
    pub(crate) async fn update(&self, image: Image, mask: &[&str]) -> Result<Image, Status> {
        let request = UpdateImageRequest { image: Some(image), update_mask: mask_of(mask) };
        Ok(self.client.clone().update_image(request).await?.into_inner())
    }

    pub(crate) async fn update_properties(
        &self,
        request: UpdateImagePropertiesRequest,
    ) -> Result<Image, Status> {
        Ok(self.client.clone().update_image_properties(request).await?.into_inner())
    }

    /// Merges properties.
    pub(crate) async fn set(&self, id: &str, properties: &[(&str, &str)]) -> Result<Image, Status> {
        self.update_properties(setting(id, properties)).await
    }

    pub(crate) async fn delete(&self, id: &str, etag: &str) -> Result<(), Status> {
        let request = DeleteImageRequest { id: id.to_owned(), etag: etag.to_owned() };
        self.client.clone().delete_image(request).await?;
        Ok(())
    }

    pub(crate) async fn list(&self, request: ListImagesRequest) -> Result<ListImagesResponse, Status> {
        Ok(self.client.clone().list_images(request).await?.into_inner())
    }

    /// The names of all images that a filter finds, sorted.
    pub(crate) async fn find(&self, filter: &str) -> Vec<String> {
        let request = ListImagesRequest { filter: filter.to_owned(), ..by("name") };
        self.list(request).await.unwrap().images.into_iter().map(|image| image.name).collect()
    }

    /// All of a list, page by page.
    pub(crate) async fn walk(&self, mut request: ListImagesRequest) -> Vec<Image> {
        let mut images = Vec::new();
        loop {
            let page = self.list(request.clone()).await.unwrap();
            images.extend(page.images);
            if page.next_page_token.is_empty() {
                return images;
            }
            request.page_token = page.next_page_token;
        }
    }

    /// All that happened to an image, newest first.
    pub(crate) async fn revisions(&self, id: &str) -> Vec<ImageRevision> {
        let request =
            ListImageRevisionsRequest { image_id: id.to_owned(), page_size: 1000, ..Default::default() };
        let answer = self.client.clone().list_image_revisions(request).await.unwrap().into_inner();
        assert_eq!(answer.next_page_token, "");
        answer.revisions
    }
}

/// Serves the database at `url` as long as the test runs.
pub(crate) async fn serve(url: &str, quota: i64) -> SocketAddr {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { quota, ..Settings::default() };
    let (address, _) = serve_with(url, &settings, folder.path()).await;
    // Nobody looks into it; it goes when the runtime of the test does.
    tokio::spawn(async move {
        pending::<()>().await;
        drop(folder);
    });
    address
}

/// Like [`serve`], with the image data in `folder`; also gives the use cases behind the edges.
pub(crate) async fn serve_with(url: &str, settings: &Settings, folder: &Path) -> (SocketAddr, Images) {
    let db = testing::open(url, &MIGRATIONS).await;
    let data = DataStore::open(&DataUrl::Folder(folder.to_owned())).unwrap();
    let limits = ImageLimits { properties: Quota(settings.quota), size: settings.size };
    let images = Images::new(Store::new(db.clone(), CACHE_BYTES), data, limits).with_leases(settings.leases);
    let Settings { identity, public_endpoint, .. } = *settings;
    let base = Base::new("glance-svc", db, identity);
    let address = testing::serve(glance_svc::service(images.clone(), public_endpoint, &base)).await;
    (address, images)
}

/// An image to create, with a name and nothing else.
pub(crate) fn named(name: &str) -> Image {
    Image { name: name.to_owned(), ..Default::default() }
}

/// What to send to change the image of that id.
pub(crate) fn change_of(id: &str) -> Image {
    Image { id: id.to_owned(), ..Default::default() }
}

/// A request that merges properties.
pub(crate) fn setting(id: &str, properties: &[(&str, &str)]) -> UpdateImagePropertiesRequest {
    let set = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    UpdateImagePropertiesRequest { image_id: id.to_owned(), set, ..Default::default() }
}

/// A request of a list in that order, in pages of the largest size.
pub(crate) fn by(order_by: &str) -> ListImagesRequest {
    ListImagesRequest { order_by: order_by.to_owned(), page_size: 1000, ..Default::default() }
}

pub(crate) fn mask_of(paths: &[&str]) -> Option<FieldMask> {
    let paths: Vec<_> = paths.iter().map(|path| (*path).to_owned()).collect();
    (!paths.is_empty()).then_some(FieldMask { paths })
}

/// Checks what every error carries and that it is this one; returns its metadata.
#[track_caller]
pub(crate) fn assert_error(status: &Status, code: Code, reason: &str) -> HashMap<String, String> {
    testing::assert_error(status, "glance", code, reason).0
}

/// How many bytes of HTTP/2 headers an error takes; clients accept 8 KiB (grpc-go, grpc-java) or more.
pub(crate) fn header_bytes(status: &Status) -> usize {
    let plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'%';
    let message: usize = status.message().bytes().map(|byte| if plain(byte) { 1 } else { 3 }).sum();
    message + status.details().len().div_ceil(3) * 4
}

/// Checks that there is no such image.
#[track_caller]
pub(crate) fn assert_not_found(status: &Status, id: &str) {
    let metadata = assert_error(status, Code::NotFound, "IMAGE_NOT_FOUND");
    assert_eq!(metadata["image_id"], id);
    let resource = status.get_details_resource_info().unwrap();
    assert_eq!((resource.resource_type.as_str(), resource.resource_name.as_str()), ("glance.v1.Image", id));
}
