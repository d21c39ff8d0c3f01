//! Keystone's API: issuing a token, and validating one.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::{Client, RequestBuilder, redirect::Policy};
use rustls::ClientConfig;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::token::{Answer, Token};
use crate::tls::{self, Reloaded};

/// The header of the token that is issued or to be validated.
const SUBJECT_TOKEN: &str = "x-subject-token";

/// Maximum size of an answer, in bytes: it has the roles, but not the service catalogue.
const MAX_ANSWER: usize = 256 * 1024;

/// Maximum number of concurrent validations; more wait.
const MAX_CONCURRENT: usize = 32;

/// Why there is no usable answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("Keystone cannot be reached")]
    Transport(#[from] reqwest::Error),
    #[error("Keystone did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    #[error("Keystone answered {0}")]
    Status(StatusCode),
    #[error("Keystone's answer is malformed")]
    Answer,
    /// Keystone rejects the token of the service itself.
    #[error("Keystone rejects the token of this service")]
    Unauthorized,
    #[error("this service has no token")]
    NoToken,
    #[error("the credentials of this service cannot be read")]
    Credentials(#[source] std::io::Error),
    #[error(transparent)]
    Tls(#[from] tls::Error),
}

pub(super) struct Api {
    /// The URL of `/auth/tokens`.
    url: String,
    timeout: Duration,
    tls: Option<Arc<Reloaded<tls::Client>>>,
    /// The TLS configuration of the client, and the client.
    client: Mutex<Option<(Arc<ClientConfig>, Client)>>,
    places: Semaphore,
}

impl Api {
    /// Keystone at the `url` of its API version 3.
    pub(super) fn new(url: &str, timeout: Duration, tls: Option<Arc<Reloaded<tls::Client>>>) -> Self {
        let (url, client) = (format!("{url}/auth/tokens"), Mutex::default());
        Self { url, timeout, tls, client, places: Semaphore::new(MAX_CONCURRENT) }
    }

    /// A new token, and how long it lasts.
    pub(super) async fn log_in(&self, request: &Value) -> Result<(HeaderValue, Duration), Failure> {
        let request = self.client()?.post(format!("{}?nocatalog", self.url)).body(request.to_string());
        let (status, headers, body) =
            self.send(request.header(header::CONTENT_TYPE, "application/json")).await?;
        if status != StatusCode::CREATED {
            return Err(Failure::Status(status));
        }
        let mut token = headers.get(SUBJECT_TOKEN).cloned().ok_or(Failure::Answer)?;
        token.set_sensitive(true);
        Ok((token, Answer::read(&body).ok_or(Failure::Answer)?.lifetime()))
    }

    /// The token, if it is valid; `own` is the token of this service.
    pub(super) async fn validate(
        &self,
        token: &HeaderValue,
        own: &HeaderValue,
        may_be_expired: bool,
    ) -> Result<Option<Token>, Failure> {
        let _place = self.places.acquire().await;
        let more = if may_be_expired { "&allow_expired=1" } else { "" };
        let request = self.client()?.get(format!("{}?nocatalog{more}", self.url));
        let request = request.header("x-auth-token", own).header(SUBJECT_TOKEN, token);
        let (status, _, body) = self.send(request).await?;
        match status {
            StatusCode::OK => Ok(Some(Answer::read(&body).ok_or(Failure::Answer)?.token())),
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::UNAUTHORIZED => Err(Failure::Unauthorized),
            status => Err(Failure::Status(status)),
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<(StatusCode, HeaderMap, Vec<u8>), Failure> {
        let answer = async {
            let mut answer = request.send().await?;
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                if body.len() + chunk.len() > MAX_ANSWER {
                    return Err(Failure::Answer);
                }
                body.extend_from_slice(&chunk);
            }
            Ok((answer.status(), answer.headers().clone(), body))
        };
        self.in_time(answer).await
    }

    /// Waits for `answer`, but no longer than the timeout.
    pub(super) async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::time::timeout(self.timeout, answer).await.map_err(|_| Failure::Timeout(self.timeout))?
    }

    /// The client; a new one if the certificates have changed.
    fn client(&self) -> Result<Client, Failure> {
        let config = self.tls.as_ref().map(|tls| tls.current());
        let mut current = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((with, client)) = &*current
            && config.as_ref().is_none_or(|config| Arc::ptr_eq(config, with))
        {
            return Ok(client.clone());
        }
        let config = config.map_or_else(|| tls::nobody().map(Arc::new), Ok)?;
        // Whatever proxy Keystone is behind need not speak HTTP/2.
        let mut spoken = ClientConfig::clone(&config);
        spoken.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Neither a proxy nor a redirect may see tokens and passwords.
        let client = Client::builder().tls_backend_preconfigured(spoken).no_proxy().redirect(Policy::none());
        let client = client.connect_timeout(self.timeout).build()?;
        *current = Some((config, client.clone()));
        Ok(client)
    }
}
