//! A client of the HTTP edge.

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, Response, request::Builder},
};
use bytes::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

use super::{Who, World};

pub(crate) const V20: &str = "application/openstack-images-v2.0-json-patch";
pub(crate) const V21: &str = "application/openstack-images-v2.1-json-patch";

/// What only the service sets, whether a request creates an image or changes one.
pub(crate) const READ_ONLY: [&str; 20] = [
    "status",
    "size",
    "virtual_size",
    "checksum",
    "os_hash_algo",
    "os_hash_value",
    "created_at",
    "updated_at",
    "self",
    "file",
    "schema",
    "direct_url",
    "stores",
    "location",
    "locations",
    "deleted",
    "deleted_at",
    "os_glance",
    "os_glance_import_task",
    "os_glanceful",
];

/// A client that calls as somebody over HTTP/1.1, and reads errors as JSON.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client<HttpConnector, Body>,
    world: World,
    who: Who,
}

/// A request that is being put together.
pub(crate) struct Call {
    http: Http,
    builder: Builder,
    body: Body,
}

/// The whole of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Http {
    pub(crate) fn new(world: World, who: Who) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), world, who }
    }

    /// The same caller over HTTP/2.
    pub(crate) fn http_2(mut self) -> Self {
        self.client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        self
    }

    pub(crate) fn call(&self, method: &str, path: &str) -> Call {
        let builder = Request::builder().method(method).uri(format!("http://{}{path}", self.world.address));
        Call { http: self.clone(), builder: self.who.of(builder), body: Body::empty() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path).send().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path).send().await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path).json(&body).send().await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path).json(&body).send().await
    }

    /// Sends a patch in the newer format.
    pub(crate) async fn patch(&self, id: &str, body: Value) -> Answer {
        self.call("PATCH", &image_path(id)).header("content-type", V21).text(&body.to_string()).send().await
    }

    /// Adds or overwrites one property, or sets one attribute.
    pub(crate) async fn set(&self, id: &str, name: &str, value: Value) -> Answer {
        self.patch(id, json!([{"op": "add", "path": format!("/{name}"), "value": value}])).await
    }

    /// Registers an image; gives it as the answer shows it.
    pub(crate) async fn create(&self, body: Value) -> Value {
        self.post("/v2/images", body).await.is(201).json()
    }

    /// Registers an image with formats; returns its id.
    pub(crate) async fn queued(&self) -> String {
        let image = json!({"name": "cirros", "disk_format": "raw", "container_format": "bare"});
        id_of(&self.create(image).await)
    }

    /// The image as it is shown now.
    pub(crate) async fn show(&self, id: &str) -> Value {
        self.get(&image_path(id)).await.is(200).json()
    }

    pub(crate) async fn upload(&self, id: &str, data: impl Into<Body>) -> Answer {
        let call = self.call("PUT", &file_path(id)).header("content-type", "application/octet-stream");
        call.body(data).send().await
    }

    pub(crate) async fn download(&self, id: &str) -> Answer {
        self.get(&file_path(id)).await
    }

    /// The names of the images of a list, in its order.
    pub(crate) async fn list(&self, query: &str) -> Vec<String> {
        names_of(&self.get(&format!("/v2/images?{query}")).await.is(200).json())
    }
}

impl Call {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.body(text.to_owned())
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").text(&body.to_string())
    }

    /// Sends it, and reads the whole answer.
    pub(crate) async fn send(self) -> Answer {
        let (parts, body) = self.begin().await.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let answer = Answer { status: parts.status.as_u16(), headers: parts.headers, body };
        assert!(answer.header("x-openstack-request-id").starts_with("req-"), "{answer:?}");
        answer
    }

    /// Sends it, and reads the head of the answer.
    pub(crate) async fn begin(self) -> Response<Body> {
        let mut request = self.builder.body(self.body).unwrap();
        request.headers_mut().entry("accept").or_insert("application/json".parse().unwrap());
        self.http.client.request(request).await.unwrap().map(Body::new)
    }
}

impl Answer {
    /// Checks the status.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert!(self.header("content-type").starts_with("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header, empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks what every error in JSON holds and that it is this one; returns its metadata.
    #[track_caller]
    pub(crate) fn error(&self, status: u16, reason: &str) -> Value {
        let error = &self.json()["error"];
        assert_eq!((self.status, error["reason"].as_str()), (status, Some(reason)), "{error}");
        assert_eq!(self.header("x-error-reason"), reason);
        assert_eq!((&error["code"], &error["domain"]), (&json!(status), &json!("glance")));
        assert!(error["title"].is_string() && !error["message"].as_str().unwrap().is_empty(), "{error}");
        error["metadata"].clone()
    }

    /// The violations of a request that is wrong in itself: each its field and its problem.
    #[track_caller]
    pub(crate) fn violations(&self) -> Vec<(String, String)> {
        self.error(400, "INVALID_REQUEST");
        let error = &self.json()["error"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let violations = error["violations"].as_array().unwrap().iter();
        violations.map(|violation| (text(&violation["field"]), text(&violation["description"]))).collect()
    }

    /// Checks that there is one violation, of that field, whose sentence has that part.
    #[track_caller]
    pub(crate) fn violation(&self, field: &str, part: &str) {
        let found = self.violations();
        assert!(found.len() == 1 && found[0].0 == field && found[0].1.contains(part), "{found:?}");
    }
}

pub(crate) fn image_path(id: &str) -> String {
    format!("/v2/images/{id}")
}

pub(crate) fn file_path(id: &str) -> String {
    format!("/v2/images/{id}/file")
}

/// The id of an image as it is shown.
pub(crate) fn id_of(image: &Value) -> String {
    image["id"].as_str().unwrap().to_owned()
}

/// The names of a page of images.
pub(crate) fn names_of(page: &Value) -> Vec<String> {
    let images = page["images"].as_array().unwrap().iter();
    images.map(|image| image["name"].as_str().unwrap_or_default().to_owned()).collect()
}
