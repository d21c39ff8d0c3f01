//! A client of the HTTP edge.

use std::net::SocketAddr;

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request},
};
use bytes::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// A client that calls as somebody, in the newest version unless it says otherwise.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client<HttpConnector, Body>,
    address: SocketAddr,
    /// User, project and roles.
    who: (&'static str, &'static str, &'static str),
    version: Option<&'static str>,
}

/// The whole of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Http {
    pub(crate) fn new(address: SocketAddr, who: (&'static str, &'static str, &'static str)) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, address, who, version: Some("volume 3.71") }
    }

    /// The same caller in another version, or without naming one.
    pub(crate) fn speaking(&self, version: Option<&'static str>) -> Self {
        Self { version, ..self.clone() }
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let (user, project, roles) = self.who;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("x-user-id", user)
            .header("x-project-id", project)
            .header("x-roles", roles)
            .header("accept", "application/json");
        if let Some(version) = self.version {
            request = request.header("openstack-api-version", version);
        }
        let body = match body {
            None => Body::empty(),
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
        };
        let answer = self.client.request(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = answer.map(Body::new).into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let answer = Answer { status: parts.status.as_u16(), headers: parts.headers, body };
        assert!(answer.header("x-openstack-request-id").starts_with("req-"), "{answer:?}");
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, Some(&body)).await
    }

    /// Creates a volume, and shows it.
    pub(crate) async fn create(&self, volume: Value) -> Value {
        let created = self.post("/v3/volumes", serde_json::json!({ "volume": volume })).await;
        self.show(&created.is(202).json()["volume"]).await
    }

    /// Does something with a volume.
    pub(crate) async fn act(&self, volume: &Value, action: Value) -> Answer {
        self.post(&format!("/v3/volumes/{}/action", volume["id"].as_str().unwrap()), action).await
    }

    /// The volume as it is shown now.
    pub(crate) async fn show(&self, volume: &Value) -> Value {
        let path = format!("/v3/volumes/{}", volume["id"].as_str().unwrap());
        self.get(&path).await.is(200).json()["volume"].clone()
    }
}

impl Answer {
    /// Checks the status.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert!(self.header("content-type").starts_with("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The value of a header, empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Checks that it is a fault of that name, for that reason; gives its message.
    #[track_caller]
    pub(crate) fn fault(self, status: u16, name: &str, reason: &str) -> String {
        assert_eq!(self.header("x-error-reason"), reason, "{self:?}");
        let fault = self.is(status).json()[name].clone();
        assert_eq!(fault["code"], status);
        fault["message"].as_str().unwrap().to_owned()
    }
}
