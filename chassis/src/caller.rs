//! Who is calling, according to the trusted proxy in front of the services or, for development, a token.

use std::net::SocketAddr;

use axum::http::{HeaderMap, HeaderValue};
use clap::ValueEnum;

mod token;

use token::Token;

use crate::status::{Code, Description};
use common::{text, violations::Violations};

/// The role that may do everything (Glance's policy, `context_is_admin`).
const ADMIN: &str = "admin";

/// Roles of a member of a project (Glance's policy, `PROJECT_MEMBER`; a manager is a member).
const MEMBERS: [&str; 2] = ["member", "manager"];

/// Roles that may read what a project owns (Nova's policy, `PROJECT_READER`; a member is a reader).
const READERS: [&str; 3] = ["reader", "member", "manager"];

/// The user and the project that did something, as history keeps them; empty where the request named none.
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
}

/// Why a caller cannot be identified.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The headers make no sense.
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
    /// A browser sends it on behalf of somebody else's page, and the service trusts everybody.
    #[error("a page of {0:?} must not call this service, which believes everybody (--identity development)")]
    ForeignOrigin(String),
}

/// A service that trusts everybody must not be reachable by everybody.
#[derive(Debug, thiserror::Error)]
#[error(
    "with --identity development everybody who reaches {0} is believed: listen on 127.0.0.1, use --identity proxy, \
     or say --allow-remote-development if this is wanted"
)]
pub struct Exposed(SocketAddr);

impl Identity {
    /// Whether a service that identifies its callers this way may listen on `address`: always on loopback, elsewhere
    /// only if it does not trust everybody, or if that is `allowed`.
    pub fn check(self, address: SocketAddr, allowed: bool) -> Result<(), Exposed> {
        if self == Self::Proxy {
            return Ok(());
        }
        if !allowed && !address.ip().to_canonical().is_loopback() {
            return Err(Exposed(address));
        }
        tracing::warn!(%address, "--identity development: everybody who reaches this address is believed");
        Ok(())
    }

    /// Reads the caller from the headers of a request, or from gRPC's metadata.
    pub fn caller(self, headers: &HeaderMap) -> Result<Caller, Error> {
        let said = Said::read(headers)?;
        let token = match self {
            Self::Development if said.is_nobody() => token(headers)?,
            _ => None,
        };
        let said = match &token {
            Some(Token::Caller { user_id, project_id, roles }) => {
                Said { user_id, project_id, roles: Some(roles) }
            }
            Some(Token::Operator) | None => said,
        };
        if said.is_nobody() && self == Self::Proxy {
            return Err(Error::Unauthenticated);
        }
        let roles = said.roles();
        let is_admin = said.is_nobody() || roles.iter().any(|role| role == ADMIN);
        let actor = Actor { user_id: said.user_id.to_owned(), project_id: said.project_id.to_owned() };
        Ok(Caller { actor, roles, is_admin })
    }
}

/// What the headers say about a caller.
#[derive(Clone, Copy)]
struct Said<'a> {
    user_id: &'a str,
    project_id: &'a str,
    /// None if the header is absent, which is not the same as a header without roles.
    roles: Option<&'a str>,
}

impl<'a> Said<'a> {
    /// Reads the headers, each of which may occur only once: with two, nobody knows which one the gateway set.
    fn read(headers: &'a HeaderMap) -> Result<Self, Violations> {
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
        let user_id = read("x-user-id", text::optional_name).unwrap_or_default();
        let project_id = read("x-project-id", text::optional_name).unwrap_or_default();
        let roles = read("x-roles", |roles| roles.split(',').try_for_each(text::optional_name));
        violations.check()?;
        Ok(Self { user_id, project_id, roles })
    }

    /// Whether they name neither a project nor a role.
    fn is_nobody(&self) -> bool {
        self.project_id.is_empty() && self.roles().is_empty()
    }

    /// The roles, in lower case. A proxy that sends none, but names a project, vouches for a member of it.
    fn roles(&self) -> Vec<String> {
        let untold = if self.project_id.is_empty() { "" } else { MEMBERS[0] };
        let roles = self.roles.unwrap_or(untold).split(',').map(str::trim).filter(|role| !role.is_empty());
        roles.map(str::to_lowercase).collect()
    }
}

/// What the token of a request says, if it has one.
fn token(headers: &HeaderMap) -> Result<Option<Token>, Error> {
    let token = once(headers, "x-auth-token").map_err(Error::BadToken)?;
    token.map(|token| Token::parse(token.as_bytes()).map_err(Error::BadToken)).transpose()
}

/// A header that may occur only once.
fn once<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a HeaderValue>, String> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() { Err("must be given once".to_owned()) } else { Ok(value) }
}

impl Caller {
    /// An operator.
    #[must_use]
    pub const fn admin(actor: Actor) -> Self {
        Self { actor, roles: Vec::new(), is_admin: true }
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
            Self::ForeignOrigin(origin) => Description::new(Code::PermissionDenied, "FOREIGN_ORIGIN")
                .with("origin", text::clip(origin, 100)),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let headers = headers.iter();
        headers
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_proxy_is_believed() {
        let said = headers(&[("x-user-id", "u"), ("x-project-id", "p"), ("x-roles", "Reader, member")]);
        for identity in [Identity::Development, Identity::Proxy] {
            let caller = identity.caller(&said).unwrap();
            assert_eq!(caller.roles, ["reader", "member"]);
            assert!(caller.is_of("p") && caller.is_member() && !caller.is_admin);
        }
        let reader = headers(&[("x-project-id", "p"), ("x-roles", "reader")]);
        assert!(!Identity::Proxy.caller(&reader).unwrap().is_member());
        let untold = headers(&[("x-project-id", "p")]);
        assert!(Identity::Proxy.caller(&untold).unwrap().is_member());
    }

    #[test]
    fn who_believes_everybody_is_not_reached_by_everybody() {
        for (address, may) in [
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("10.0.0.1:1", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(Identity::Development.check(address, false).is_ok(), may, "{address}");
            Identity::Development.check(address, true).unwrap();
            Identity::Proxy.check(address, false).unwrap();
        }
    }

    #[test]
    fn an_empty_header_of_roles_is_no_role() {
        for empty in ["", " ", ",", " , "] {
            let said = headers(&[("x-project-id", "p"), ("x-roles", empty)]);
            for identity in [Identity::Development, Identity::Proxy] {
                let caller = identity.caller(&said).unwrap();
                assert!(!caller.is_reader() && !caller.is_admin, "{caller:?}");
            }
            let nobody = headers(&[("x-user-id", "u"), ("x-roles", empty)]);
            assert!(matches!(Identity::Proxy.caller(&nobody), Err(Error::Unauthenticated)));
        }
        let token = headers(&[("x-auth-token", "u:p:")]);
        assert!(!Identity::Development.caller(&token).unwrap().is_reader());
    }

    #[test]
    fn a_header_that_is_there_twice_is_refused() {
        for name in ["x-user-id", "x-project-id", "x-roles"] {
            let mut said = headers(&[("x-user-id", "u"), ("x-project-id", "p"), ("x-roles", "reader")]);
            said.append(name, HeaderValue::from_static("admin"));
            for identity in [Identity::Development, Identity::Proxy] {
                let refused = identity.caller(&said).unwrap_err();
                assert!(refused.to_string().contains(name), "{refused}");
            }
        }
        let mut tokens = headers(&[("x-auth-token", "u:p:member")]);
        tokens.append("x-auth-token", HeaderValue::from_static("u:p:admin"));
        assert!(matches!(Identity::Development.caller(&tokens), Err(Error::BadToken(_))));
    }

    #[test]
    fn each_role_has_a_limit_and_not_all_of_them() {
        let many = vec!["r".repeat(100); 30].join(",");
        let mut said = headers(&[("x-project-id", "p")]);
        said.insert("x-roles", HeaderValue::try_from(format!("{many},member")).unwrap());
        assert!(Identity::Proxy.caller(&said).unwrap().is_member());
        said.insert("x-roles", HeaderValue::try_from(format!("member,{}", "r".repeat(256))).unwrap());
        assert!(matches!(Identity::Proxy.caller(&said), Err(Error::Invalid(_))));
    }

    #[test]
    fn a_token_counts_in_development_only() {
        let token = headers(&[("x-auth-token", "u:p:admin,member")]);
        let caller = Identity::Development.caller(&token).unwrap();
        assert_eq!((caller.actor.user_id.as_str(), caller.project()), ("u", Some("p")));
        assert!(caller.is_admin);
        assert!(matches!(Identity::Proxy.caller(&token), Err(Error::Unauthenticated)));
        for both in ["u:p:admin", "nonsense"] {
            let both = headers(&[("x-auth-token", both), ("x-project-id", "q")]);
            let caller = Identity::Development.caller(&both).unwrap();
            assert!(caller.is_of("q") && !caller.is_admin);
        }
    }

    #[test]
    fn nobody_is_an_operator_in_development_only() {
        for nobody in [headers(&[]), headers(&[("x-auth-token", "notused")]), headers(&[("x-user-id", "u")])]
        {
            assert!(Identity::Development.caller(&nobody).unwrap().is_admin);
            assert!(Identity::Proxy.caller(&nobody).is_err());
        }
        for nonsense in ["", "nonsense", "u:p", "u::", "u:p:r:s"] {
            let nonsense = headers(&[("x-auth-token", nonsense), ("x-user-id", "u")]);
            let refused = Identity::Development.caller(&nonsense);
            assert!(matches!(refused, Err(Error::BadToken(_))), "{refused:?}");
        }
        let outsider = headers(&[("x-auth-token", "u::reader")]);
        assert!(!Identity::Development.caller(&outsider).unwrap().is_admin);
    }
}
