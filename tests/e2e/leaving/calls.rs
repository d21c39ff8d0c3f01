//! Every call that writes, of both services and over both protocols.

use std::{sync::Arc, time::Duration};

use axum::http::Method;
use proto::{
    glance::v1::{
        CreateImageMemberRequest, CreateImageRequest, DeleteImageMemberRequest, DeleteImageRequest, Image,
        UpdateImageMemberRequest, UpdateImagePropertiesRequest, UpdateImageRequest, UploadImageDataRequest,
        image_member, image_service_client::ImageServiceClient,
    },
    nova::v1::{
        ConfirmResizeRequest, CreateFlavorRequest, CreateInstanceRequest, DeleteFlavorRequest,
        DeleteInstanceRequest, Flavor, RebuildInstanceRequest, ReportInstanceStateRequest,
        ResizeInstanceRequest, RevertResizeRequest, ShelveInstanceRequest, SnapshotInstanceRequest,
        UnshelveInstanceRequest, UpdateInstanceImagePropertiesRequest,
        flavor_service_client::FlavorServiceClient, instance_service_client::InstanceServiceClient,
    },
};
use tonic::{Request, transport::Channel};

use super::chance;
use crate::{http::Http, world::World};

/// What there is to write to.
pub(super) struct Targets {
    /// An image whose members nobody who leaves touches.
    pub(super) shared: String,
    pub(super) images: Vec<String>,
    /// An image to make instances of.
    pub(super) image: String,
    pub(super) instances: Vec<String>,
}

/// Makes calls.
#[derive(Clone)]
pub(super) struct Calls {
    images: ImageServiceClient<Channel>,
    instances: InstanceServiceClient<Channel>,
    flavors: FlavorServiceClient<Channel>,
    http: Arc<Http>,
    targets: Arc<Targets>,
}

/// How many kinds of calls there are.
const KINDS: u64 = 31;

impl Calls {
    pub(super) async fn new(world: &World, targets: Arc<Targets>) -> Self {
        Self {
            images: world.images().await,
            instances: world.instances().await,
            flavors: FlavorServiceClient::connect(world.nova.endpoint()).await.unwrap(),
            http: Arc::new(Http::with_token(&world.glance, "x")),
            targets,
        }
    }

    /// Makes the call of this number, whatever comes of it; with a deadline where the protocol has one.
    pub(super) async fn make(&self, number: u64, deadline: Option<Duration>) {
        let image = pick(&self.targets.images, number);
        let instance = pick(&self.targets.instances, !number);
        let call = Call { calls: self.clone(), number, deadline, image, instance };
        match number % KINDS {
            kind @ 0..8 => call.of_images(kind).await,
            kind @ 8..21 => call.of_instances(kind).await,
            kind => call.over_http(kind).await,
        }
    }
}

/// One of these ids.
fn pick(ids: &[String], number: u64) -> String {
    ids[usize::try_from(chance(number)).unwrap() % ids.len()].clone()
}

/// A call, and what it is about.
struct Call {
    calls: Calls,
    number: u64,
    deadline: Option<Duration>,
    image: String,
    instance: String,
}

impl Call {
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(deadline) = self.deadline {
            request.set_timeout(deadline);
        }
        request
    }

    fn text(&self) -> String {
        format!("left-{}", self.number)
    }

    async fn new_image(&self) -> String {
        let image = Image { name: self.text(), ..Image::default() };
        let request = self.request(CreateImageRequest { image: Some(image) });
        let made = self.calls.images.clone().create_image(request).await;
        made.map(|made| made.into_inner().id).unwrap_or_default()
    }

    async fn of_images(self, kind: u64) {
        let mut client = self.calls.images.clone();
        let (image_id, etag) = (self.image.clone(), String::new());
        // The members of a few projects come and go.
        let member_id = format!("project-{}", self.number / KINDS % 4);
        match kind {
            0 => drop(self.new_image().await),
            1 => {
                let image = Image { id: image_id, name: self.text(), ..Image::default() };
                let request = UpdateImageRequest { image: Some(image), update_mask: None };
                drop(client.update_image(self.request(request)).await);
            }
            2 => {
                let set = [("left".to_owned(), self.text())].into();
                let request = UpdateImagePropertiesRequest { image_id, set, etag, ..Default::default() };
                drop(client.update_image_properties(self.request(request)).await);
            }
            3 => {
                let id = self.new_image().await;
                drop(client.delete_image(self.request(DeleteImageRequest { id, etag })).await);
            }
            4 => {
                let image_id = self.new_image().await;
                let part = UploadImageDataRequest { image_id, size: Some(3), data: b"abc".to_vec().into() };
                drop(client.upload_image_data(self.request(tokio_stream::once(part))).await);
            }
            5 => {
                let request = CreateImageMemberRequest { image_id, member_id };
                drop(client.create_image_member(self.request(request)).await);
            }
            6 => {
                let status = image_member::Status::Accepted.into();
                let request = UpdateImageMemberRequest { image_id, member_id, status };
                drop(client.update_image_member(self.request(request)).await);
            }
            _ => {
                let request = DeleteImageMemberRequest { image_id, member_id };
                drop(client.delete_image_member(self.request(request)).await);
            }
        }
    }

    async fn of_instances(self, kind: u64) {
        let (mut client, mut flavors) = (self.calls.instances.clone(), self.calls.flavors.clone());
        let (id, request_id, etag) = (self.instance.clone(), self.text(), String::new());
        let image_id = self.calls.targets.image.clone();
        let creation = CreateInstanceRequest {
            name: self.text(),
            image_id: image_id.clone(),
            flavor_id: "1".into(),
            request_id: request_id.clone(),
            ..CreateInstanceRequest::default()
        };
        let flavor =
            Flavor { id: self.text(), name: self.text(), memory_mb: 64, vcpus: 1, ..Flavor::default() };
        match kind {
            8 => drop(client.create_instance(self.request(creation)).await),
            9 => {
                let made = client.create_instance(self.request(creation)).await;
                let instances = made.map(|made| made.into_inner().instances).unwrap_or_default();
                let id = instances.into_iter().next().map(|instance| instance.id).unwrap_or_default();
                let request = DeleteInstanceRequest { id, ..DeleteInstanceRequest::default() };
                drop(client.delete_instance(self.request(request)).await);
            }
            10 => {
                let request = SnapshotInstanceRequest { id, request_id, etag, ..Default::default() };
                drop(client.snapshot_instance(self.request(request)).await);
            }
            11 => {
                let request =
                    RebuildInstanceRequest { id, image_id, auto_disk_config: None, request_id, etag };
                drop(client.rebuild_instance(self.request(request)).await);
            }
            12 => {
                let flavor_id = "2".into();
                let request = ResizeInstanceRequest { id, flavor_id, request_id, etag };
                drop(client.resize_instance(self.request(request)).await);
            }
            13 => {
                let request = ConfirmResizeRequest { id, request_id, etag };
                drop(client.confirm_resize(self.request(request)).await);
            }
            14 => {
                let request = RevertResizeRequest { id, request_id, etag };
                drop(client.revert_resize(self.request(request)).await);
            }
            15 => {
                let set = [("left".to_owned(), self.text())].into();
                let request =
                    UpdateInstanceImagePropertiesRequest { id, set, request_id, etag, ..Default::default() };
                drop(client.update_instance_image_properties(self.request(request)).await);
            }
            16 => {
                let request = ShelveInstanceRequest { id, request_id, etag };
                drop(client.shelve_instance(self.request(request)).await);
            }
            17 => {
                let request = UnshelveInstanceRequest { id, request_id, etag };
                drop(client.unshelve_instance(self.request(request)).await);
            }
            18 => {
                let host = Some(self.text());
                let request = ReportInstanceStateRequest { id, host, request_id, ..Default::default() };
                drop(client.report_instance_state(self.request(request)).await);
            }
            19 => {
                let request = CreateFlavorRequest { flavor: Some(flavor) };
                drop(flavors.create_flavor(self.request(request)).await);
            }
            _ => {
                let id = flavor.id.clone();
                let request = CreateFlavorRequest { flavor: Some(flavor) };
                drop(flavors.create_flavor(self.request(request)).await);
                drop(flavors.delete_flavor(self.request(DeleteFlavorRequest { id })).await);
            }
        }
    }

    /// Over HTTP there is no deadline; its clients leave.
    async fn over_http(self, kind: u64) {
        let http = &self.calls.http;
        let (json, bytes) =
            (("content-type", "application/json"), ("content-type", "application/octet-stream"));
        let as_patch = ("content-type", "application/openstack-images-v2.1-json-patch");
        let path = format!("/v2/images/{}", self.image);
        let member = format!("project-{}", self.number / KINDS % 4);
        let at_member = format!("{path}/members/{member}");
        let tag = format!("{path}/tags/{}", self.number / KINDS % 4);
        let new =
            format!(r#"{{"name": "{}", "disk_format": "raw", "container_format": "bare"}}"#, self.text());
        let done = match kind {
            21 => http.send(Method::POST, "/v2/images", [json], new).await,
            22 => {
                let change = format!(r#"[{{"op": "add", "path": "/left", "value": "{}"}}]"#, self.text());
                http.send(Method::PATCH, &path, [as_patch], change).await
            }
            23 => http.send(Method::PUT, &tag, [], "").await,
            24 => http.send(Method::DELETE, &tag, [], "").await,
            25 => {
                let body = format!(r#"{{"member": "{member}"}}"#);
                http.send(Method::POST, &format!("{path}/members"), [json], body).await
            }
            26 => http.send(Method::PUT, &at_member, [json], r#"{"status": "accepted"}"#).await,
            27 => http.send(Method::DELETE, &at_member, [], "").await,
            28 => {
                let made = http.send(Method::POST, "/v2/images", [json], new).await.json();
                let file = format!("/v2/images/{}/file", made["id"].as_str().unwrap_or_default());
                http.send(Method::PUT, &file, [bytes], "abc").await
            }
            29 => {
                let made = http.send(Method::POST, "/v2/images", [json], new).await.json();
                let made = format!("/v2/images/{}", made["id"].as_str().unwrap_or_default());
                http.send(Method::DELETE, &made, [], "").await
            }
            _ => {
                let act = if self.number.is_multiple_of(2) { "deactivate" } else { "reactivate" };
                http.send(Method::POST, &format!("{path}/actions/{act}"), [], "").await
            }
        };
        drop(done);
    }
}
