//! The service, running in this process.

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use chassis::{caller::Identity, db::Db, identity::IdentityLayer, server::Base};
use glance_svc::{
    data::{DataStore, DataUrl},
    image::properties::Quota,
    images::{ImageLimits, Images},
    store::{CACHE_BYTES, MIGRATIONS, Store},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

/// Maximum size of image data, in bytes: small enough to be exceeded.
const SIZE_CAP: u64 = 4096;

/// A service on an empty database.
pub(crate) struct World {
    runtime: Runtime,
    router: Router,
    _folder: TempDir,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl World {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime can be made");
        // In memory, if there is such a folder: nothing here needs to last.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let folder = folder.expect("a temporary folder can be made");
        let router = runtime.block_on(serve(&folder));
        Self { runtime, router, _folder: folder }
    }

    pub(crate) fn send(&self, request: Request<Body>) -> Answer {
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
            let (parts, body) = response.into_parts();
            let body = to_bytes(body, usize::MAX).await.expect("an answer does not break off");
            Answer { status: parts.status, headers: parts.headers, body }
        })
    }

    /// Registers an image; with `data`, it is ACTIVE. Returns its id.
    pub(crate) fn image(&self, data: Option<&[u8]>) -> String {
        let image = json!({"name": "a", "disk_format": "raw", "container_format": "bare", "owner": "demo"});
        let created = self.send(request(Method::POST, "/v2/images", image.to_string()));
        let created: Value = serde_json::from_slice(&created.body).expect("an image is JSON");
        let id = created["id"].as_str().expect("an image has an id").to_owned();
        if let Some(data) = data {
            let data = data[..data.len().min(256)].to_vec();
            self.send(request(Method::PUT, &format!("/v2/images/{id}/file"), data));
        }
        id
    }
}

async fn serve(folder: &TempDir) -> Router {
    let url = format!("sqlite://{}", folder.path().join("glance.sqlite").display());
    let db = Db::open(&url, 4, &MIGRATIONS).expect("the database can be opened");
    db.migrate().await.expect("the database can be migrated");
    let data = DataUrl::Folder(folder.path().join("data"));
    let data = DataStore::open(&data).expect("the folder of data can be made");
    let limits = ImageLimits { properties: Quota(4), size: SIZE_CAP };
    let images = Images::new(Store::new(db.clone(), CACHE_BYTES), data, limits);
    let base = Base::new("glance-svc", db, Identity::Development);
    let service = glance_svc::service(images, None, &base);
    service.routes.into_axum_router().layer(IdentityLayer::new(service.identity))
}

fn request(method: Method, path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder().method(&method).uri(path);
    let media_type = if method == Method::PUT { "application/octet-stream" } else { "application/json" };
    let request = request.header(header::CONTENT_TYPE, media_type);
    request.body(body.into()).expect("the request is well-formed")
}
