//! The gRPC edge: reads requests, calls `images`, renders answers.

use common::{
    actor::Actor,
    clock,
    db::Db,
    edge::MAX_MESSAGE,
    id::Id,
    page::{Key, Page},
    server,
    violations::Violations,
};
use prost::Message;
use proto::glance::v1::{
    self as pb,
    image_service_server::{self, ImageServiceServer},
};
use tonic::{Request, Response, Status, service::Routes};

use crate::{
    error::Error,
    images::Images,
    list::{DEFAULT_ORDER, HISTORY_ORDER, ImageFilter},
};

mod parse;
mod render;

/// Everything glance-svc serves.
#[must_use]
pub fn service(images: Images, db: Db) -> server::Service {
    let image_service = ImageServiceServer::new(Api { images }).max_decoding_message_size(MAX_MESSAGE);
    server::Service {
        domain: "glance",
        descriptors: proto::glance::DESCRIPTORS,
        names: &[image_service_server::SERVICE_NAME],
        routes: Routes::new(image_service),
        db,
    }
}

/// `glance.v1.ImageService`.
struct Api {
    images: Images,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl image_service_server::ImageService for Api {
    async fn create_image(&self, request: Request<pb::CreateImageRequest>) -> Answer<pb::Image> {
        let actor = actor(&request)?;
        let (image, problems) = parse::new_image(request.into_inner(), &actor, clock::now());
        let created =
            self.images.create(image, problems, &actor).await.map_err(|error| error.within("image."))?;
        Ok(Response::new(created.into()))
    }

    async fn get_image(&self, request: Request<pb::GetImageRequest>) -> Answer<pb::Image> {
        let (id, revision) = parse::get_image(&request.into_inner()).map_err(Error::from)?;
        let image = match revision {
            None => self.images.get(id).await?,
            Some(revision) => self.images.get_revision(id, revision).await?,
        };
        Ok(Response::new(image.into()))
    }

    async fn list_images(&self, request: Request<pb::ListImagesRequest>) -> Answer<pb::ListImagesResponse> {
        let pb::ListImagesRequest { page_size, page_token, filter, order_by } = request.into_inner();
        let mut problems = Violations::default();
        let images = problems.take("filter", ImageFilter::parse(&filter)).unwrap_or_default();
        let list = ["images", &filter];
        let page = Page::parse(problems, page_size, &page_token, &order_by, &list, DEFAULT_ORDER)
            .map_err(Error::from)?;
        let listed = self.images.list(&images, &page).await?;
        let (images, next_page_token) =
            page.finish(listed, |image, by| by.key(image), pb::Image::from, Message::encoded_len);
        Ok(Response::new(pb::ListImagesResponse { images, next_page_token }))
    }

    async fn update_image(&self, request: Request<pb::UpdateImageRequest>) -> Answer<pb::Image> {
        let actor = actor(&request)?;
        let now = clock::now();
        let (id, update, etag) = parse::update_image(request.into_inner(), now).map_err(Error::from)?;
        let updated = self.images.update(id, &update, &etag, &actor, now).await;
        Ok(Response::new(updated.map_err(|error| error.within("image."))?.into()))
    }

    async fn update_image_properties(
        &self,
        request: Request<pb::UpdateImagePropertiesRequest>,
    ) -> Answer<pb::Image> {
        let actor = actor(&request)?;
        let now = clock::now();
        let (id, update, etag) = parse::update_properties(request.into_inner(), now).map_err(Error::from)?;
        let updated = self.images.update(id, &update, &etag, &actor, now).await?;
        Ok(Response::new(updated.into()))
    }

    async fn delete_image(&self, request: Request<pb::DeleteImageRequest>) -> Answer<()> {
        let actor = actor(&request)?;
        let pb::DeleteImageRequest { id, etag } = request.into_inner();
        let id = Id::from_field("id", &id).map_err(Error::from)?;
        self.images.delete(id, &etag, &actor, clock::now()).await?;
        Ok(Response::new(()))
    }

    async fn list_image_revisions(
        &self,
        request: Request<pb::ListImageRevisionsRequest>,
    ) -> Answer<pb::ListImageRevisionsResponse> {
        let pb::ListImageRevisionsRequest { image_id, page_size, page_token } = request.into_inner();
        let mut problems = Violations::default();
        let id = problems.take("image_id", image_id.parse());
        let list = ["revisions", &image_id];
        let page =
            Page::parse(problems, page_size, &page_token, "", &list, HISTORY_ORDER).map_err(Error::from)?;
        let id = id.expect("a malformed id is a violation");
        let listed = self.images.list_revisions(id, &page).await?;
        let (revisions, next_page_token) = page.finish(
            listed,
            |revision, _| Key::Integer(revision.revision),
            pb::ImageRevision::from,
            Message::encoded_len,
        );
        Ok(Response::new(pb::ListImageRevisionsResponse { revisions, next_page_token }))
    }
}

fn actor<T>(request: &Request<T>) -> Result<Actor, Error> {
    Ok(Actor::from_metadata(request.metadata())?)
}
