//! Identifies callers by their tokens, which are validated by Keystone, OpenStack's identity service
//! (`GET /v3/auth/tokens`).
//!
//! An answer is cached until the token expires, up to a maximum: a revoked token works for that long. Concurrent requests
//! with the same token share one question, which continues if those that asked it leave. While Keystone is unavailable,
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

/// Most questions that are under way or wait for others; whoever brings another token is told to come again.
const MOST_QUESTIONS: usize = 1024;

/// The header of a caller's token.
pub const AUTH_TOKEN: &str = "x-auth-token";
/// The header of the token of the service that calls for somebody.
pub const SERVICE_TOKEN: &str = "x-service-token";

/// Keystone, as a service asks it; copies share what they know.
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
    /// Questions that are under way.
    asking: Mutex<HashMap<Key, watch::Receiver<Option<Verdict>>>>,
}

/// What is known of a token; `Err` if it is not valid.
type Verdict = Result<Result<Arc<Token>, Rejected>, Away>;

/// Keystone does not know the token, or it has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rejected;

/// Keystone gives no answer that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Away;

impl Keystone {
    /// Who sends a request with these headers, if nobody has to be asked.
    pub(crate) fn known(&self, headers: &HeaderMap) -> Option<Result<Caller, Error>> {
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
        let known = self.0.cache.get(&Key::of(tokens.user, is_for_another))?;
        Some(self.caller(&tokens, known, headers))
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
        let known = self.check(tokens.user, is_for_another).await?;
        self.caller(&tokens, known, &headers)
    }

    fn caller(
        &self,
        tokens: &Tokens<'_>,
        known: Result<Arc<Token>, Rejected>,
        headers: &HeaderMap,
    ) -> Result<Caller, Error> {
        let token = known.map_err(|Rejected| self.refuse(INVALID))?;
        token.caller(tokens.user, headers)
    }

    fn refuse(&self, problem: &'static str) -> Error {
        Error::Token { problem, auth_url: Arc::clone(&self.0.auth_url) }
    }

    /// What is known of a token, or else what Keystone says of it. Of a caller for whom a service calls, it may have
    /// expired a while ago: Keystone knows how long (`[token] allow_expired_window`).
    async fn check(
        &self,
        token: &HeaderValue,
        may_be_expired: bool,
    ) -> Result<Result<Arc<Token>, Rejected>, Error> {
        let key = Key::of(token, may_be_expired);
        if let Some(known) = self.0.cache.get(&key) {
            return Ok(known);
        }
        let mut answer = self.ask(key, token.clone(), may_be_expired);
        let verdict = match answer.wait_for(Option::is_some).await {
            Ok(verdict) => verdict.clone().unwrap_or(Err(Away)),
            // There are too many questions, or whoever asked has panicked.
            Err(_) => Err(Away),
        };
        verdict.map_err(|Away| Error::KeystoneAway)
    }

    /// The answer to come to a question about a token, which others may have asked.
    fn ask(&self, key: Key, token: HeaderValue, may_be_expired: bool) -> watch::Receiver<Option<Verdict>> {
        let mut asking = self.0.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = asking.get(&key) {
            return answer.clone();
        }
        let (told, answer) = watch::channel(None);
        if asking.len() >= MOST_QUESTIONS {
            return answer;
        }
        asking.insert(key, answer.clone());
        let question = Question { keystone: self.clone(), key };
        // A task of its own: whoever asked first may leave.
        tokio::spawn(async move {
            let verdict = question.keystone.0.question(&token, may_be_expired).await;
            if let Ok(known) = &verdict {
                question.keystone.0.cache.keep(key, known.clone());
            }
            told.send_replace(Some(verdict));
            drop(question);
        });
        answer
    }

    /// What a caller is told whose token another service does not take any more.
    #[must_use]
    pub fn revoked(&self) -> Error {
        self.refuse(INVALID)
    }

    /// The token of this service itself, for calls to others.
    pub async fn own_token(&self) -> Result<HeaderValue, Unavailable> {
        Ok(self.0.login.token(&self.0.api).await.map_err(|Away| Unavailable)?.value)
    }
}

/// The service has no token of its own, and gets none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Keystone gives this service no token")]
pub struct Unavailable;

impl Inner {
    /// Asks Keystone about a token; once more if it is our own token that is not valid any more.
    async fn question(&self, token: &HeaderValue, may_be_expired: bool) -> Verdict {
        let answer = async {
            match self.try_once(token, may_be_expired).await {
                Err(api::Failure::NotUs) => self.try_once(token, may_be_expired).await,
                answer => answer,
            }
        };
        let verdict = self.api.in_time(answer).await;
        METRICS.asked(&verdict);
        verdict.map_err(|failure| {
            tracing::warn!(
                error = &failure as &dyn std::error::Error,
                "Keystone cannot be asked about a token"
            );
            Away
        })
    }

    async fn try_once(
        &self,
        token: &HeaderValue,
        may_be_expired: bool,
    ) -> Result<Result<Arc<Token>, Rejected>, api::Failure> {
        let own = self.login.token(&self.api).await.map_err(|Away| api::Failure::NoToken)?;
        let answer = self.api.validate(token, &own.value, may_be_expired).await;
        if let Err(api::Failure::NotUs) = answer {
            self.login.forget(&own).await;
        }
        let Some(token) = answer? else { return Ok(Err(Rejected)) };
        let is_valid = may_be_expired || token.expires > common::clock::now();
        Ok(if is_valid { Ok(Arc::new(token)) } else { Err(Rejected) })
    }
}

/// A question that is under way, until it is dropped.
struct Question {
    keystone: Keystone,
    key: Key,
}

impl Drop for Question {
    fn drop(&mut self) {
        self.keystone.0.asking.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

const INVALID: &str = "X-Auth-Token is not valid, or not any more";
const SERVICE_INVALID: &str = "X-Service-Token is not valid, or not any more";

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
