//! The token of the service itself: issued for a password or an application credential, and renewed before it expires.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use axum::http::HeaderValue;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{
    NoAnswer,
    api::{Api, Failure},
    metrics::METRICS,
};

/// How long after a failed login the next one is tried.
const PAUSE: Duration = Duration::from_secs(1);

/// What the service logs in with.
#[derive(Debug, Clone)]
pub(super) enum Credentials {
    Password { user: Named, password: SecretSource, project: Named },
    ApplicationCredential { id: String, secret: SecretSource },
}

/// A name, and the name of its domain.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) domain: String,
}

/// A secret: itself, or a file that holds it, which is read again each time.
#[derive(Clone)]
pub(super) enum SecretSource {
    Value(String),
    File(PathBuf),
}

impl std::fmt::Debug for SecretSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("…")
    }
}

impl SecretSource {
    /// The secret, without the end of its last line.
    pub(super) fn read(&self) -> std::io::Result<String> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::File(path) => Ok(std::fs::read_to_string(path)?.trim_end_matches(['\r', '\n']).to_owned()),
        }
    }
}

impl Named {
    fn json(&self) -> Value {
        json!({"name": self.name, "domain": {"name": self.domain}})
    }
}

impl Credentials {
    /// The body of the login (`POST /v3/auth/tokens`).
    fn request(&self) -> std::io::Result<Value> {
        Ok(match self {
            Self::Password { user, password, project } => {
                let mut user = user.json();
                user["password"] = json!(password.read()?);
                json!({"auth": {
                    "identity": {"methods": ["password"], "password": {"user": user}},
                    "scope": {"project": project.json()},
                }})
            }
            // It belongs to a project.
            Self::ApplicationCredential { id, secret } => {
                let credential = json!({"id": id, "secret": secret.read()?});
                json!({"auth": {"identity": {
                    "methods": ["application_credential"], "application_credential": credential,
                }}})
            }
        })
    }
}

/// The token of the service.
#[derive(Debug, Clone)]
pub(super) struct OwnToken {
    pub(super) value: HeaderValue,
    renew: Instant,
}

pub(super) struct Login {
    credentials: Credentials,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    own: Option<OwnToken>,
    failed: Option<Instant>,
}

impl Login {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self { credentials, state: Mutex::default() }
    }

    /// The token, or a new one if it is due for renewal; concurrent callers wait for the same login.
    pub(super) async fn token(&self, api: &Api) -> Result<OwnToken, NoAnswer> {
        let mut state = self.state.lock().await;
        if let Some(own) = state.own.as_ref().filter(|own| Instant::now() < own.renew) {
            return Ok(own.clone());
        }
        if state.failed.is_some_and(|failed| failed.elapsed() < PAUSE) {
            return Err(NoAnswer);
        }
        let got = self.get(api).await;
        METRICS.logged_in(got.is_ok());
        match got {
            Ok(own) => {
                *state = State { own: Some(own.clone()), failed: None };
                Ok(own)
            }
            Err(failure) => {
                let error = &failure as &dyn std::error::Error;
                tracing::error!(error, "Keystone does not issue a token to this service");
                state.failed = Some(Instant::now());
                Err(NoAnswer)
            }
        }
    }

    async fn get(&self, api: &Api) -> Result<OwnToken, Failure> {
        let request = self.credentials.request().map_err(Failure::Credentials)?;
        let (value, lifetime) = api.log_in(&request).await?;
        // After four fifths of its lifetime: calls that use it take a while, and other services validate it.
        Ok(OwnToken { value, renew: Instant::now() + lifetime / 5 * 4 })
    }

    /// Keystone no longer accepts this token.
    pub(super) async fn forget(&self, own: &OwnToken) {
        let mut state = self.state.lock().await;
        if state.own.as_ref().is_some_and(|current| current.value == own.value) {
            state.own = None;
        }
    }
}
