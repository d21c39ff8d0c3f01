//! The gRPC edge: parses requests, calls `images`, renders responses.

use std::sync::Arc;

use chassis::{
    caller::Caller,
    edge::Room,
    grpc::{GrpcResult, PAGE, answer_in},
    identity,
    page::{Key, MAX_BYTES, Page},
};
use common::{clock, id::Id, violations::Violations};
use prost::Message;
use proto::glance::{
    EncodedFoundImages, EncodedImage, EncodedImages,
    v1::{
        self as pb,
        image_service_server::{ImageService, ImageServiceServer},
    },
};
use tonic::{Request, Response, Streaming};

use crate::{
    error::Error,
    image::{Image, cached::CachedImage, update::Update},
    images::{Etags, Images},
    list::{DEFAULT_ORDER, HISTORY_ORDER, ImageFilter},
};

mod batch;
mod data;
mod members;
mod parse;
mod render;

/// The service `glance.v1.ImageService` on `images`.
#[must_use]
pub fn image_service(images: Images) -> ImageServiceServer<impl ImageService> {
    ImageServiceServer::new(Api { images })
}

struct Api {
    images: Images,
}

/// Who is calling.
fn caller<T>(request: &Request<T>) -> Result<Arc<Caller>, Error> {
    Ok(identity::caller(request.extensions())?)
}

/// [`PAGE`] for a page of history, whose items have two values each; a single item may be larger than a page.
const HISTORY: usize = 10 * MAX_BYTES;

/// A response with an image, which keeps its memory reserved until it has been sent.
fn image(image: &CachedImage) -> Response<EncodedImage> {
    answer_in(image.room(), image.into())
}

#[tonic::async_trait]
impl ImageService for Api {
    async fn create_image(&self, request: Request<pb::CreateImageRequest>) -> GrpcResult<EncodedImage> {
        let caller = caller(&request)?;
        let (new, problems) = parse::new_image(request.into_inner(), &caller.actor, clock::now());
        let created =
            self.images.create(new, problems, &caller).await.map_err(|error| error.within("image."))?;
        Ok(image(&created))
    }

    async fn get_image(&self, request: Request<pb::GetImageRequest>) -> GrpcResult<EncodedImage> {
        let caller = caller(&request)?;
        let (id, revision) = parse::get_image(request.get_ref()).map_err(Error::from)?;
        Ok(match revision {
            None => image(&*self.images.get(id, &caller).await?),
            // In a box, so that it does not enlarge the future of reads of current images.
            Some(revision) => image(&Box::pin(self.images.get_revision(id, revision, &caller)).await?),
        })
    }

    async fn get_images(&self, request: Request<pb::GetImagesRequest>) -> GrpcResult<EncodedFoundImages> {
        let caller = caller(&request)?;
        let room = Room::of(request.extensions(), batch::ROOM).await;
        Ok(answer_in(room, batch::get_images(&self.images, &caller, request.into_inner()).await?))
    }

    async fn list_images(&self, request: Request<pb::ListImagesRequest>) -> GrpcResult<EncodedImages> {
        let caller = caller(&request)?;
        let room = Room::of(request.extensions(), PAGE).await;
        let pb::ListImagesRequest { page_size, page_token, filter, order_by } = request.into_inner();
        let mut problems = Violations::default();
        let images = problems.take("filter", ImageFilter::parse(&filter)).unwrap_or_default();
        let list = ["images", &filter];
        let page = Page::parse(problems, page_size, &page_token, &order_by, &list, DEFAULT_ORDER)
            .map_err(Error::from)?;
        let listed = self.images.list(&images, &page, &caller).await?;
        // One after the other, so that properties are in memory only once.
        let encoded = listed.try_map(|image| Ok::<_, Error>((render::encode(&image)?, image.rest)))?;
        let (images, next_page_token) =
            page.finish(encoded, |(_, rest), by| by.key(rest), |(message, _)| message, Vec::len);
        Ok(answer_in(room, render::images(&images, next_page_token)))
    }

    async fn update_image(&self, request: Request<pb::UpdateImageRequest>) -> GrpcResult<EncodedImage> {
        let caller = caller(&request)?;
        let (id, update, etags) =
            parse::update_image(request.into_inner(), clock::now()).map_err(Error::from)?;
        let updated = self.update(id, update, etags, &caller).await;
        Ok(image(&updated.map_err(|error| error.within("image."))?))
    }

    async fn update_image_properties(
        &self,
        request: Request<pb::UpdateImagePropertiesRequest>,
    ) -> GrpcResult<EncodedImage> {
        let caller = caller(&request)?;
        let (id, update, etags) =
            parse::update_properties(request.into_inner(), clock::now()).map_err(Error::from)?;
        let updated = self.update(id, update, etags, &caller).await?;
        Ok(image(&updated))
    }

    async fn delete_image(&self, request: Request<pb::DeleteImageRequest>) -> GrpcResult<()> {
        let caller = caller(&request)?;
        let pb::DeleteImageRequest { id, etag } = request.into_inner();
        let id = Id::from_field("id", &id).map_err(Error::from)?;
        self.images.delete(id, &parse::etags(etag), &caller).await?;
        Ok(Response::new(()))
    }

    async fn list_image_revisions(
        &self,
        request: Request<pb::ListImageRevisionsRequest>,
    ) -> GrpcResult<pb::ListImageRevisionsResponse> {
        let caller = caller(&request)?;
        let room = Room::of(request.extensions(), HISTORY).await;
        let pb::ListImageRevisionsRequest { image_id, page_size, page_token } = request.into_inner();
        let mut problems = Violations::default();
        let id = problems.take("image_id", image_id.parse());
        let list = ["revisions", &image_id];
        let page =
            Page::parse(problems, page_size, &page_token, "", &list, HISTORY_ORDER).map_err(Error::from)?;
        let id = id.expect("a malformed id is a violation");
        let listed = self.images.list_revisions(id, &page, &caller).await?;
        let (revisions, next_page_token) = page.finish(
            listed,
            |revision, _| Key::Integer(revision.revision),
            pb::ImageRevision::from,
            Message::encoded_len,
        );
        Ok(answer_in(room, pb::ListImageRevisionsResponse { revisions, next_page_token }))
    }

    async fn create_image_member(
        &self,
        request: Request<pb::CreateImageMemberRequest>,
    ) -> GrpcResult<pb::ImageMember> {
        let caller = caller(&request)?;
        members::create(&self.images, &caller, request.into_inner()).await
    }

    async fn get_image_member(
        &self,
        request: Request<pb::GetImageMemberRequest>,
    ) -> GrpcResult<pb::ImageMember> {
        let caller = caller(&request)?;
        members::get(&self.images, &caller, request.into_inner()).await
    }

    async fn list_image_members(
        &self,
        request: Request<pb::ListImageMembersRequest>,
    ) -> GrpcResult<pb::ListImageMembersResponse> {
        let caller = caller(&request)?;
        members::list(&self.images, &caller, request.into_inner()).await
    }

    async fn update_image_member(
        &self,
        request: Request<pb::UpdateImageMemberRequest>,
    ) -> GrpcResult<pb::ImageMember> {
        let caller = caller(&request)?;
        members::update(&self.images, &caller, request.into_inner()).await
    }

    async fn delete_image_member(&self, request: Request<pb::DeleteImageMemberRequest>) -> GrpcResult<()> {
        let caller = caller(&request)?;
        members::delete(&self.images, &caller, request.into_inner()).await
    }

    async fn upload_image_data(
        &self,
        request: Request<Streaming<pb::UploadImageDataRequest>>,
    ) -> GrpcResult<EncodedImage> {
        let caller = caller(&request)?;
        data::upload(&self.images, &caller, request.into_inner()).await
    }

    type DownloadImageDataStream = data::Download;

    async fn download_image_data(
        &self,
        request: Request<pb::DownloadImageDataRequest>,
    ) -> GrpcResult<data::Download> {
        let caller = caller(&request)?;
        data::download(&self.images, &caller, request.into_inner()).await
    }
}

impl Api {
    async fn update(
        &self,
        id: Id,
        update: Update,
        etags: Etags,
        caller: &Caller,
    ) -> Result<CachedImage, Error> {
        let change = move |image: &mut Image| {
            update.apply(image);
            Ok(())
        };
        self.images.update(id, etags, caller, change).await
    }
}
