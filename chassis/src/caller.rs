//! Who is calling, according to the trusted proxy in front of the services, to Keystone, or, for development, to a token
//! itself.

use std::{fmt, net::SocketAddr, sync::Arc};

use axum::http::{HeaderMap, HeaderValue};
use clap::ValueEnum;

#[cfg(test)]
mod tests;
mod token;

use token::Token;

use crate::status::{Code, Description, RETRY_AFTER};
use common::{text, violations::Violations};

/// The role that may do everything (Glance's policy, `context_is_admin`).
pub(crate) const ADMIN: &str = "admin";

/// The metadata of an error that says where to get a token.
pub(crate) const AUTH_URL: &str = "auth_url";

/// Roles of a member of a project (Glance's policy, `PROJECT_MEMBER`; a manager is a member).
const MEMBERS: [&str; 2] = ["member", "manager"];

/// Roles that may read what a project owns (Nova's policy, `PROJECT_READER`; a member is a reader).
const READERS: [&str; 3] = ["reader", "member", "manager"];

/// The user and the project that did something, as recorded in history; empty where the request named none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actor {
    /// `x-user-id`, at most 255 characters.
    pub user_id: String,
    /// `x-project-id`, at most 255 characters.
    pub project_id: String,
}

/// Who is calling and what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user and the project.
    pub actor: Actor,
    /// `x-roles`: the roles of the user in the project, in lower case, each at most 255 characters.
    pub roles: Vec<String>,
    /// Whether the caller is an operator, who sees and may do everything.
    pub is_admin: bool,
    /// The caller's token, if Keystone validated it, to be passed on to other services.
    pub token: Option<Secret>,
}

/// The value of a header that must not be shown or logged.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secret(pub HeaderValue);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// Where the caller's identity comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Identity {
    /// `x-user-id`, `x-project-id` and `x-roles`, else an `x-auth-token` of the form USER:PROJECT:ROLE,ROLE; a
    /// request without any of these, or with the token `x` or `notused`, is an operator's, and one with any other
    /// token is refused. For machines that only their own users can reach.
    #[default]
    Development,
    /// `x-user-id`, `x-project-id` and `x-roles` from a trusted proxy; a request without them is refused.
    Proxy,
    /// `x-auth-token`, validated by Keystone (`--keystone-url`); a request without a valid token is refused, and a
    /// proxy's headers are ignored.
    Keystone,
}

/// Why a caller cannot be identified.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The headers are malformed.
    #[error(transparent)]
    Invalid(#[from] Violations),
    /// The request names no project and no roles.
    #[error("who is calling? x-project-id and x-roles must be set by the proxy in front of this service")]
    Unauthenticated,
    /// The token is not a development token.
    #[error(
        "X-Auth-Token {0}: it must be USER:PROJECT:ROLE,ROLE (percent-encoded or not), or x or notused for an operator"
    )]
    BadToken(String),
    /// There is no Keystone token, or an invalid one.
    #[error("{problem}: get a token at {auth_url}")]
    Token {
        /// What is wrong.
        problem: &'static str,
        /// Where Keystone is.
        auth_url: Arc<str>,
    },
    /// Keystone is unavailable, and the token is not in the cache.
    #[error("Keystone is not available to validate the token; try again")]
    KeystoneUnavailable,
    /// A browser sends the request on behalf of a foreign page, and the service trusts everybody.
    #[error("a page of {0:?} must not call this service, which believes everybody (--identity development)")]
    ForeignOrigin(String),
}

/// A service that trusts everybody must not be reachable by everybody.
#[derive(Debug, thiserror::Error)]
#[error(
    "with --identity development everybody who reaches {0} is believed: listen on 127.0.0.1, use --identity proxy \
     or keystone, or say --allow-remote-development if this is wanted"
)]
pub struct Exposed(SocketAddr);

impl Identity {
    /// Whether a service that identifies its callers this way may listen on `address`: always on loopback, elsewhere
    /// only if it does not trust everybody, or if that is `allowed`.
    pub fn check(self, address: SocketAddr, allowed: bool) -> Result<(), Exposed> {
        if self != Self::Development {
            return Ok(());
        }
        if !allowed && !address.ip().to_canonical().is_loopback() {
            return Err(Exposed(address));
        }
        tracing::warn!(%address, "--identity development: everybody who reaches this address is believed");
        Ok(())
    }

    /// Reads the caller from the headers of a request, or from gRPC's metadata. With Keystone, headers identify nobody: only
    /// Keystone knows whose a token is.
    pub fn caller(self, headers: &HeaderMap) -> Result<Caller, Error> {
        if self == Self::Keystone {
            return Err(Error::Unauthenticated);
        }
        let claimed = IdentityHeaders::read(headers, IDENTITY_HEADERS)?;
        let token = match self {
            Self::Development if claimed.is_nobody() => token(headers)?,
            _ => None,
        };
        let claimed = match &token {
            Some(Token::Caller { user_id, project_id, roles }) => {
                IdentityHeaders { user_id, project_id, roles: Some(roles) }
            }
            Some(Token::Operator) | None => claimed,
        };
        if claimed.is_nobody() && self == Self::Proxy {
            return Err(Error::Unauthenticated);
        }
        let caller = claimed.caller();
        Ok(Caller { is_admin: claimed.is_nobody() || caller.is_admin, ..caller })
    }
}

/// The headers of a caller: its user, project and roles.
pub const IDENTITY_HEADERS: [&str; 3] = ["x-user-id", "x-project-id", "x-roles"];

/// The caller that the headers claim.
#[derive(Clone, Copy)]
pub(crate) struct IdentityHeaders<'a> {
    user_id: &'a str,
    project_id: &'a str,
    /// None if the header is absent, which is not the same as a header without roles.
    roles: Option<&'a str>,
}

impl<'a> IdentityHeaders<'a> {
    /// Reads the headers, each of which may occur only once: of two, there is no telling which one the gateway set.
    pub(crate) fn read(headers: &'a HeaderMap, names: [&'static str; 3]) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let mut read = |name, check: fn(&str) -> Result<(), String>| {
            let value = once(headers, name).and_then(|value| {
                let text = value.map(HeaderValue::to_str).transpose();
                let text = text.map_err(|_| "must be visible ASCII".to_owned())?;
                text.map_or(Ok(()), check)?;
                Ok(text)
            });
            violations.take(name, value).flatten()
        };
        let [user, project, roles] = names;
        let user_id = read(user, text::optional_name).unwrap_or_default();
        let project_id = read(project, text::optional_name).unwrap_or_default();
        let roles = read(roles, |roles| roles.split(',').try_for_each(text::optional_name));
        violations.check()?;
        Ok(Self { user_id, project_id, roles })
    }

    /// The caller.
    pub(crate) fn caller(&self) -> Caller {
        let actor = Actor { user_id: self.user_id.to_owned(), project_id: self.project_id.to_owned() };
        let roles = self.roles();
        let is_admin = roles.iter().any(|role| role == ADMIN);
        Caller { actor, roles, is_admin, token: None }
    }

    /// Whether there is neither a project nor a role.
    fn is_nobody(&self) -> bool {
        self.project_id.is_empty() && self.roles().is_empty()
    }

    /// The roles, in lower case. Without the header, the caller is a member of the project that is named.
    fn roles(&self) -> Vec<String> {
        let default = if self.project_id.is_empty() { "" } else { MEMBERS[0] };
        let roles = self.roles.unwrap_or(default).split(',').map(str::trim).filter(|role| !role.is_empty());
        roles.map(str::to_lowercase).collect()
    }
}

/// The development token of a request, if it has one.
fn token(headers: &HeaderMap) -> Result<Option<Token>, Error> {
    let token = once(headers, "x-auth-token").map_err(Error::BadToken)?;
    token.map(|token| Token::parse(token.as_bytes()).map_err(Error::BadToken)).transpose()
}

/// A header that may occur only once.
pub(crate) fn once<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a HeaderValue>, String> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() { Err("must be given once".to_owned()) } else { Ok(value) }
}

impl Caller {
    /// An operator.
    #[must_use]
    pub const fn admin(actor: Actor) -> Self {
        Self { actor, roles: Vec::new(), is_admin: true, token: None }
    }

    /// The caller as a row has it, on whose behalf something goes on; `roles` are separated by commas. Earlier releases
    /// stored no role for a member whose proxy named none.
    #[must_use]
    pub fn stored(user_id: String, project_id: String, roles: &str) -> Self {
        let roles = if roles.is_empty() && !project_id.is_empty() { MEMBERS[0] } else { roles };
        let roles = roles.split(',').filter(|role| !role.is_empty()).map(str::to_owned).collect();
        Self { actor: Actor { user_id, project_id }, roles, is_admin: false, token: None }
    }

    /// The project; none for a caller without one.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        Some(self.actor.project_id.as_str()).filter(|project| !project.is_empty())
    }

    /// Whether the caller's project is `project`, which is not empty.
    #[must_use]
    pub fn is_of(&self, project: &str) -> bool {
        !project.is_empty() && self.actor.project_id == project
    }

    /// Whether the caller has that role, given in lower case.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }

    /// Whether the caller may change what its project owns, and read data.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.is_one_of(&MEMBERS)
    }

    /// Whether the caller may read what its project owns, by a role or because of [`Caller::is_member`].
    #[must_use]
    pub fn is_reader(&self) -> bool {
        self.is_one_of(&READERS)
    }

    fn is_one_of(&self, roles: &[&str]) -> bool {
        self.is_admin || roles.iter().any(|role| self.has_role(role))
    }
}

impl Error {
    /// How the error looks in an answer.
    #[must_use]
    pub fn describe(&self) -> Description {
        match self {
            Self::Invalid(violations) => Description::invalid(violations),
            Self::Unauthenticated | Self::BadToken(_) => {
                Description::new(Code::Unauthenticated, "UNAUTHENTICATED")
            }
            Self::Token { auth_url, .. } => {
                Description::new(Code::Unauthenticated, "UNAUTHENTICATED").with(AUTH_URL, auth_url)
            }
            Self::KeystoneUnavailable => {
                Description::retry(Code::Unavailable, "KEYSTONE_UNAVAILABLE", RETRY_AFTER)
            }
            Self::ForeignOrigin(origin) => Description::new(Code::PermissionDenied, "FOREIGN_ORIGIN")
                .with("origin", text::clip(origin, 100)),
        }
    }
}
