//! Raw HTTP/1.1, for what clients send that are not at hand.

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode},
};
use harness::service::Service;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

/// The type of a patch, as every client sends it.
const PATCH_TYPE: &str = "application/openstack-images-v2.1-json-patch";

/// A caller of a service.
pub(crate) struct Http {
    client: Client<HttpConnector, Body>,
    endpoint: String,
    token: String,
}

/// What a service answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Http {
    /// Whoever `token` stands for.
    pub(crate) fn with_token(service: &Service, token: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, endpoint: service.endpoint(), token: token.to_owned() }
    }

    /// Sends a request as it is, but for the token.
    pub(crate) async fn send<const N: usize>(
        &self,
        method: Method,
        path: &str,
        headers: [(&str, &str); N],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.endpoint));
        for (name, value) in [("x-auth-token", self.token.as_str())].into_iter().chain(headers) {
            request = request.header(name, value);
        }
        let answer = self.client.request(request.body(body.into()).unwrap()).await.unwrap();
        let (answer, body) = answer.into_parts();
        let body = to_bytes(Body::new(body), usize::MAX).await.unwrap();
        Answer { status: answer.status, headers: answer.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, [], "").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, [], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, [("content-type", "application/json")], body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, operations: &Value) -> Answer {
        self.send(Method::PATCH, path, [("content-type", PATCH_TYPE)], operations.to_string()).await
    }

    /// Registers an image to which data can be uploaded, and gives its path.
    pub(crate) async fn image(&self, name: &str) -> String {
        let image = json!({"name": name, "disk_format": "raw", "container_format": "bare"});
        let created = self.post("/v2/images", &image).await;
        assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
        created.json()["self"].as_str().unwrap().to_owned()
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).to_str().unwrap()
    }
}
