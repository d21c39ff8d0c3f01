//! Identifies callers by their tokens, which are validated by Keystone, OpenStack's identity service
//! (`GET /v3/auth/tokens`).
//!
//! An answer is cached until the token expires, up to a maximum: a revoked token works for that long. Concurrent requests
//! with the same token share one validation, which continues if the callers leave. While Keystone is unavailable,
//! cached tokens keep working until they leave the cache, and nobody else is let in.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use axum::http::{HeaderMap, HeaderValue};
use tokio::sync::watch;

use crate::caller::{Caller, Error, once};

mod api;
mod args;
mod cache;
mod login;
mod metrics;
#[cfg(test)]
mod tests;
mod token;

pub use args::{KeystoneArgs, Misconfigured};
pub use metrics::register as register_metrics;
pub use token::ON_BEHALF_OF;

use api::Api;
use cache::{Cache, Key};
use login::Login;
use metrics::METRICS;
use token::Token;

/// Maximum number of validations in progress or waiting; a caller with yet another token is told to try again.
const MAX_VALIDATIONS: usize = 1024;

/// The header of a caller's token.
pub const AUTH_TOKEN: &str = "x-auth-token";
/// The header of the token of a service that calls on behalf of a caller.
pub const SERVICE_TOKEN: &str = "x-service-token";

/// Validates tokens with Keystone; clones share a cache.
#[derive(Clone)]
pub struct Keystone(Arc<Inner>);

impl fmt::Debug for Keystone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keystone").field("url", &self.0.auth_url).finish_non_exhaustive()
    }
}

struct Inner {
    api: Api,
    login: Login,
    /// Where callers get their tokens.
    auth_url: Arc<str>,
    cache: Cache,
    /// Validations in progress.
    in_progress: Mutex<HashMap<Key, watch::Receiver<Option<Verdict>>>>,
}

/// A token, `Err(Rejected)` if it is not valid, or no answer.
type Verdict = Result<Result<Arc<Token>, Rejected>, NoAnswer>;

/// Keystone does not know the token, or it has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rejected;

/// Keystone gives no usable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NoAnswer;

impl Keystone {
    /// Who sends a request with these headers, if the cache knows.
    pub(crate) fn cached(&self, headers: &HeaderMap) -> Option<Result<Caller, Error>> {
        let tokens = match Tokens::read(headers) {
            Ok(tokens) => tokens,
            Err(problem) => return Some(Err(self.refuse(problem))),
        };
        let is_for_another = match tokens.service {
            None => false,
            Some(service) => match self.0.cache.get(&Key::of(service, false))? {
                Ok(token) => token.is_service(),
                Err(Rejected) => return Some(Err(self.refuse(SERVICE_INVALID))),
            },
        };
        let token = self.0.cache.get(&Key::of(tokens.user, is_for_another))?;
        Some(self.caller(&tokens, token, headers))
    }

    /// Who sends a request with these headers.
    pub(crate) async fn identify(self, headers: HeaderMap) -> Result<Caller, Error> {
        let tokens = Tokens::read(&headers).map_err(|problem| self.refuse(problem))?;
        let is_for_another = match tokens.service {
            None => false,
            Some(service) => {
                let token = self.check(service, false).await?;
                token.map_err(|Rejected| self.refuse(SERVICE_INVALID))?.is_service()
            }
        };
        let token = self.check(tokens.user, is_for_another).await?;
        self.caller(&tokens, token, &headers)
    }

    fn caller(
        &self,
        tokens: &Tokens<'_>,
        token: Result<Arc<Token>, Rejected>,
        headers: &HeaderMap,
    ) -> Result<Caller, Error> {
        let token = token.map_err(|Rejected| self.refuse(INVALID))?;
        token.caller(tokens.user, headers)
    }

    fn refuse(&self, problem: &'static str) -> Error {
        Error::Token { problem, auth_url: Arc::clone(&self.0.auth_url) }
    }

    /// A token from the cache, or from Keystone. One that a service passes on may have expired a while ago; how long ago is
    /// up to Keystone (`[token] allow_expired_window`).
    async fn check(
        &self,
        token: &HeaderValue,
        may_be_expired: bool,
    ) -> Result<Result<Arc<Token>, Rejected>, Error> {
        let key = Key::of(token, may_be_expired);
        if let Some(cached) = self.0.cache.get(&key) {
            return Ok(cached);
        }
        let mut answer = self.ask(key, token.clone(), may_be_expired);
        let verdict = match answer.wait_for(Option::is_some).await {
            Ok(verdict) => verdict.clone().unwrap_or(Err(NoAnswer)),
            // There are too many validations, or this one has panicked.
            Err(_) => Err(NoAnswer),
        };
        verdict.map_err(|NoAnswer| Error::KeystoneUnavailable)
    }

    /// The future verdict on a token, which other requests may be waiting for, too.
    fn ask(&self, key: Key, token: HeaderValue, may_be_expired: bool) -> watch::Receiver<Option<Verdict>> {
        let mut in_progress = self.0.in_progress.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = in_progress.get(&key) {
            return answer.clone();
        }
        let (sender, answer) = watch::channel(None);
        if in_progress.len() >= MAX_VALIDATIONS {
            return answer;
        }
        in_progress.insert(key, answer.clone());
        let validation = Validation { keystone: self.clone(), key };
        // A task of its own: the caller that began it may leave.
        tokio::spawn(async move {
            let verdict = validation.keystone.0.validate(&token, may_be_expired).await;
            if let Ok(token) = &verdict {
                validation.keystone.0.cache.keep(key, token.clone());
            }
            sender.send_replace(Some(verdict));
            drop(validation);
        });
        answer
    }

    /// What to tell a caller whose token another service no longer accepts.
    #[must_use]
    pub fn revoked(&self) -> Error {
        self.refuse(INVALID)
    }

    /// The token of this service itself, for calls to others.
    pub async fn own_token(&self) -> Result<HeaderValue, Unavailable> {
        Ok(self.0.login.token(&self.0.api).await.map_err(|NoAnswer| Unavailable)?.value)
    }
}

/// The service has no token of its own, and cannot get one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Keystone does not issue a token to this service")]
pub struct Unavailable;

impl Inner {
    /// Validates a token; again, with a new token of our own, if ours is no longer valid.
    async fn validate(&self, token: &HeaderValue, may_be_expired: bool) -> Verdict {
        let answer = async {
            match self.try_once(token, may_be_expired).await {
                Err(api::Failure::Unauthorized) => self.try_once(token, may_be_expired).await,
                answer => answer,
            }
        };
        let verdict = self.api.in_time(answer).await;
        METRICS.validated(&verdict);
        verdict.map_err(|failure| {
            tracing::warn!(error = &failure as &dyn std::error::Error, "Keystone cannot validate a token");
            NoAnswer
        })
    }

    async fn try_once(
        &self,
        token: &HeaderValue,
        may_be_expired: bool,
    ) -> Result<Result<Arc<Token>, Rejected>, api::Failure> {
        let own = self.login.token(&self.api).await.map_err(|NoAnswer| api::Failure::NoToken)?;
        let answer = self.api.validate(token, &own.value, may_be_expired).await;
        if let Err(api::Failure::Unauthorized) = answer {
            self.login.forget(&own).await;
        }
        let Some(token) = answer? else { return Ok(Err(Rejected)) };
        let is_valid = may_be_expired || token.expires > common::clock::now();
        Ok(if is_valid { Ok(Arc::new(token)) } else { Err(Rejected) })
    }
}

/// A validation in progress, until it is dropped.
struct Validation {
    keystone: Keystone,
    key: Key,
}

impl Drop for Validation {
    fn drop(&mut self) {
        self.keystone.0.in_progress.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

const INVALID: &str = "X-Auth-Token is not valid, or no longer valid";
const SERVICE_INVALID: &str = "X-Service-Token is not valid, or no longer valid";

/// The tokens of a request.
struct Tokens<'a> {
    user: &'a HeaderValue,
    service: Option<&'a HeaderValue>,
}

impl<'a> Tokens<'a> {
    fn read(headers: &'a HeaderMap) -> Result<Self, &'static str> {
        let user = once(headers, AUTH_TOKEN).map_err(|_| "X-Auth-Token must be given once")?;
        let user = user.filter(|token| !token.is_empty()).ok_or("there is no X-Auth-Token")?;
        let service = once(headers, SERVICE_TOKEN).map_err(|_| "X-Service-Token must be given once")?;
        Ok(Self { user, service })
    }
}
