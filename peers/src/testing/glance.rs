//! A double of glance-svc: a small image catalogue that remembers who asked and misbehaves on request.

use std::{
    collections::BTreeMap,
    future::pending,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use common::id::Id;
use proto::glance::{
    EncodedFoundImages, EncodedImage, EncodedImages,
    v1::{
        CreateImageMemberRequest, CreateImageRequest, DeleteImageMemberRequest, DeleteImageRequest,
        DownloadImageDataRequest, DownloadImageDataResponse, GetImageMemberRequest, GetImageRequest,
        GetImagesRequest, GetImagesResponse, Image, ImageMember, ListImageMembersRequest,
        ListImageMembersResponse, ListImageRevisionsRequest, ListImageRevisionsResponse, ListImagesRequest,
        UpdateImageMemberRequest, UpdateImagePropertiesRequest, UpdateImageRequest, UploadImageDataRequest,
        image::Status as ImageStatus,
        image_service_server::{ImageService, ImageServiceServer},
    },
};
use tokio::net::{TcpListener, TcpSocket};
use tokio_stream::{Empty, wrappers::TcpListenerStream};
use tonic::{Code, Request, Response, Status, Streaming, transport::Server};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Changes an image.
pub type Twist = fn(&mut Image);

/// How the catalogue behaves.
#[derive(Clone)]
pub enum Mood {
    /// As it should.
    Well,
    /// It never answers.
    Hanging,
    /// It always fails.
    Failing(Status),
    /// It fails that many times, and is well then.
    FailingFirst(usize, Status),
    /// It does what it is asked for, and its answers are lost.
    Unheard,
    /// It fails for the image of that id.
    FailingFor(String, Status),
    /// It changes what it knows before it answers.
    Twisting(Twist),
    /// It answers with no more than so many images at once.
    Sparing(usize),
    /// It knows single images alone.
    Old,
}

/// One call of `GetImage` or `GetImages`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Of `GetImages`: all of them.
    pub id: String,
    /// The revision that was asked for; 0 for the image as it is.
    pub revision: i64,
    /// `x-user-id`.
    pub user_id: Option<String>,
    /// `x-project-id`.
    pub project_id: Option<String>,
    /// `x-roles`.
    pub roles: Option<String>,
    /// Whether the caller said how long it waits.
    pub has_deadline: bool,
}

/// A handle on the catalogue; its copies are the same one.
#[derive(Clone)]
pub struct Glance(Arc<Shared>);

struct Shared {
    address: SocketAddr,
    images: Mutex<BTreeMap<String, Image>>,
    /// Every revision of every image that ever was.
    revisions: Mutex<Vec<Image>>,
    mood: Mutex<Mood>,
    calls: Mutex<Vec<Call>>,
    /// How often images were to be registered and to be deleted.
    changes: Mutex<(usize, usize)>,
    /// The beginnings of the data that were uploaded, by image.
    data: Mutex<BTreeMap<String, Vec<u8>>>,
}

/// How many bytes of the data of an image are kept.
const BEGINNING: usize = 4096;

impl Glance {
    /// Serves on a port of its own as long as the test runs.
    pub async fn start() -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn serve(listener: TcpListener) -> Self {
        let glance = Self(Arc::new(Shared {
            address: listener.local_addr().unwrap(),
            images: Mutex::default(),
            revisions: Mutex::default(),
            mood: Mutex::new(Mood::Well),
            calls: Mutex::default(),
            changes: Mutex::default(),
            data: Mutex::default(),
        }));
        let service = ImageServiceServer::new(glance.clone());
        let incoming = TcpListenerStream::new(listener);
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        glance
    }

    /// Where it is.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Registers an image and gives it what it has not: an id, revision 1, status ACTIVE.
    pub fn add(&self, mut image: Image) -> Image {
        if image.id.is_empty() {
            image.id = Id::random().to_string();
        }
        image.revision = image.revision.max(1);
        if image.status == 0 {
            image.status = ImageStatus::Active.into();
        }
        self.0.revisions.lock().unwrap().push(image.clone());
        self.0.images.lock().unwrap().insert(image.id.clone(), image.clone());
        image
    }

    /// The image of that id, if it is there.
    pub fn find(&self, id: &str) -> Option<Image> {
        self.0.images.lock().unwrap().get(id).cloned()
    }

    /// Every image that is there.
    pub fn all(&self) -> Vec<Image> {
        self.0.images.lock().unwrap().values().cloned().collect()
    }

    /// Changes an image and makes its next revision.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut Image)) -> Image {
        let mut images = self.0.images.lock().unwrap();
        let image = images.get_mut(id).unwrap();
        change(image);
        image.revision += 1;
        self.0.revisions.lock().unwrap().push(image.clone());
        image.clone()
    }

    /// Registers an image that has nothing but properties.
    pub fn with(&self, properties: &[(&str, &str)]) -> Image {
        self.add(Image { properties: map(properties), ..Image::default() })
    }

    /// Makes the next revision of an image; returns its number.
    pub fn revise(&self, image: &Image) -> i64 {
        self.change(&image.id, |_| {}).revision
    }

    /// Removes an image; its revisions stay.
    pub fn forget(&self, image: &Image) {
        self.0.images.lock().unwrap().remove(&image.id);
    }

    /// Forgets an image and all that it ever was.
    pub fn lose(&self, image: &Image) {
        self.forget(image);
        self.0.revisions.lock().unwrap().retain(|known| known.id != image.id);
    }

    /// Behaves so from now on.
    pub fn be(&self, mood: Mood) {
        *self.0.mood.lock().unwrap() = mood;
    }

    /// Every call since the start.
    pub fn calls(&self) -> Vec<Call> {
        self.0.calls.lock().unwrap().clone()
    }

    /// How often images were to be registered and to be deleted.
    pub fn changes(&self) -> (usize, usize) {
        *self.0.changes.lock().unwrap()
    }

    /// The first bytes of the data that were uploaded to an image, if any were.
    pub fn data(&self, id: &str) -> Option<Vec<u8>> {
        self.0.data.lock().unwrap().get(id).cloned()
    }

    /// Misbehaves when it does so always.
    async fn check_mood(&self) -> Result<(), Status> {
        let mood = {
            let mut mood = self.0.mood.lock().unwrap();
            let now = mood.clone();
            if let Mood::FailingFirst(times, status) = &now {
                *mood = match times {
                    1 => Mood::Well,
                    times => Mood::FailingFirst(times - 1, status.clone()),
                };
            }
            now
        };
        match mood {
            Mood::Hanging => pending().await,
            Mood::Failing(status) | Mood::FailingFirst(_, status) => Err(status),
            _ => Ok(()),
        }
    }

    /// The answer to a change that was made, if it can be heard.
    fn answer<T>(&self, answer: T) -> Result<Response<T>, Status> {
        match *self.0.mood.lock().unwrap() {
            Mood::Unheard => Err(Status::unavailable("SECRET the connection is lost")),
            _ => Ok(Response::new(answer)),
        }
    }

    fn note<T>(&self, request: &Request<T>, id: &str, revision: i64) {
        let header = |name| request.metadata().get(name).map(|value| value.to_str().unwrap().to_owned());
        self.0.calls.lock().unwrap().push(Call {
            id: id.to_owned(),
            revision,
            user_id: header("x-user-id"),
            project_id: header("x-project-id"),
            roles: header("x-roles"),
            has_deadline: header("grpc-timeout").is_some(),
        });
    }
}

/// A port that nobody listens on, and that nobody else can take.
pub struct ClosedPort(TcpSocket);

impl ClosedPort {
    /// A free port of this machine.
    pub fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Starts the catalogue there.
    pub fn open(self) -> Glance {
        Glance::serve(self.0.listen(16).unwrap())
    }
}

/// Names and values as messages hold them.
pub fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tonic::async_trait]
impl ImageService for Glance {
    async fn get_image(&self, request: Request<GetImageRequest>) -> Result<Response<EncodedImage>, Status> {
        self.note(&request, &request.get_ref().id, request.get_ref().revision);
        self.check_mood().await?;
        let mood = self.0.mood.lock().unwrap().clone();
        let GetImageRequest { id, revision } = request.get_ref();
        let image = match revision {
            0 => self.find(id),
            _ => {
                let revisions = self.0.revisions.lock().unwrap();
                revisions.iter().find(|image| image.id == *id && image.revision == *revision).cloned()
            }
        };
        let image = || image.ok_or_else(|| Status::not_found("SECRET the peer's own words"));
        match mood {
            Mood::FailingFor(id, status) if id == request.get_ref().id => Err(status),
            Mood::Twisting(twist) => {
                let mut image = image()?;
                twist(&mut image);
                Ok(Response::new(image.into()))
            }
            _ => Ok(Response::new(image()?.into())),
        }
    }

    async fn get_images(
        &self,
        request: Request<GetImagesRequest>,
    ) -> Result<Response<EncodedFoundImages>, Status> {
        let mood = self.0.mood.lock().unwrap().clone();
        if matches!(mood, Mood::Old) {
            return Err(Status::unimplemented(""));
        }
        self.note(&request, &request.get_ref().ids.join(","), 0);
        self.check_mood().await?;
        let ids = request.into_inner().ids;
        let most = if let Mood::Sparing(most) = mood { most } else { ids.len() };
        let (now, later) = ids.split_at(most.min(ids.len()));
        let mut images: Vec<_> = now.iter().filter_map(|id| self.find(id)).collect();
        if let Mood::Twisting(twist) = mood {
            images.iter_mut().for_each(twist);
        }
        Ok(Response::new(GetImagesResponse { images, remaining_ids: later.to_vec() }.into()))
    }

    async fn create_image(
        &self,
        request: Request<CreateImageRequest>,
    ) -> Result<Response<EncodedImage>, Status> {
        self.0.changes.lock().unwrap().0 += 1;
        self.check_mood().await?;
        let image = request.into_inner().image.unwrap();
        let is_known = self.0.revisions.lock().unwrap().iter().any(|known| known.id == image.id);
        if is_known {
            return Err(Status::already_exists("SECRET the peer's own words"));
        }
        let status = if image.size.is_some() { ImageStatus::Active } else { ImageStatus::Queued };
        self.answer(self.add(Image { status: status.into(), ..image }).into())
    }

    async fn list_images(&self, _: Request<ListImagesRequest>) -> Result<Response<EncodedImages>, Status> {
        Err(never())
    }

    async fn update_image(
        &self,
        request: Request<UpdateImageRequest>,
    ) -> Result<Response<EncodedImage>, Status> {
        self.check_mood().await?;
        let UpdateImageRequest { image: Some(wanted), update_mask: Some(mask) } = request.into_inner() else {
            return Err(never());
        };
        if mask.paths != ["protected"] {
            return Err(never());
        }
        self.answer(self.change(&wanted.id, |image| image.protected = wanted.protected).into())
    }

    async fn update_image_properties(
        &self,
        _: Request<UpdateImagePropertiesRequest>,
    ) -> Result<Response<EncodedImage>, Status> {
        Err(never())
    }

    async fn delete_image(&self, request: Request<DeleteImageRequest>) -> Result<Response<()>, Status> {
        self.0.changes.lock().unwrap().1 += 1;
        self.check_mood().await?;
        let id = &request.get_ref().id;
        if self.find(id).is_some_and(|image| image.protected) {
            return Err(refusal("IMAGE_PROTECTED"));
        }
        let deleted = self.0.images.lock().unwrap().remove(id);
        deleted.ok_or_else(|| Status::not_found("SECRET the peer's own words"))?;
        self.answer(())
    }

    async fn list_image_revisions(
        &self,
        _: Request<ListImageRevisionsRequest>,
    ) -> Result<Response<ListImageRevisionsResponse>, Status> {
        Err(never())
    }

    async fn upload_image_data(
        &self,
        request: Request<Streaming<UploadImageDataRequest>>,
    ) -> Result<Response<EncodedImage>, Status> {
        let mut messages = request.into_inner();
        let first = messages.message().await?.unwrap_or_default();
        let image = self.find(&first.image_id).ok_or_else(|| Status::not_found("SECRET its own words"))?;
        if image.status() != ImageStatus::Queued {
            return Err(refusal("ILLEGAL_STATUS_MOVE"));
        }
        self.check_mood().await?;
        let (mut received, mut beginning) = (0, Vec::new());
        while let Some(message) = messages.message().await? {
            received += message.data.len();
            let missing = BEGINNING - beginning.len();
            beginning.extend_from_slice(&message.data[..message.data.len().min(missing)]);
        }
        let size = i64::try_from(received).ok();
        if first.size != size {
            return Err(Status::invalid_argument("SECRET another size was announced"));
        }
        self.0.data.lock().unwrap().insert(image.id.clone(), beginning);
        let active = ImageStatus::Active.into();
        self.answer(self.change(&image.id, |image| (image.status, image.size) = (active, size)).into())
    }

    type DownloadImageDataStream = Empty<Result<DownloadImageDataResponse, Status>>;

    async fn download_image_data(
        &self,
        _: Request<DownloadImageDataRequest>,
    ) -> Result<Response<Self::DownloadImageDataStream>, Status> {
        Err(never())
    }

    async fn create_image_member(
        &self,
        _: Request<CreateImageMemberRequest>,
    ) -> Result<Response<ImageMember>, Status> {
        Err(never())
    }

    async fn get_image_member(
        &self,
        _: Request<GetImageMemberRequest>,
    ) -> Result<Response<ImageMember>, Status> {
        Err(never())
    }

    async fn list_image_members(
        &self,
        _: Request<ListImageMembersRequest>,
    ) -> Result<Response<ListImageMembersResponse>, Status> {
        Err(never())
    }

    async fn update_image_member(
        &self,
        _: Request<UpdateImageMemberRequest>,
    ) -> Result<Response<ImageMember>, Status> {
        Err(never())
    }

    async fn delete_image_member(
        &self,
        _: Request<DeleteImageMemberRequest>,
    ) -> Result<Response<()>, Status> {
        Err(never())
    }
}

/// An error that is the last word of the catalogue.
fn refusal(reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "glance", []);
    Status::with_error_details(Code::FailedPrecondition, "SECRET its own words", details)
}

fn never() -> Status {
    Status::unimplemented("our services read images, register, fill and delete them, and nothing else")
}
