//! Who is calling: as the trusted proxy in front of the services says, or, for development, as a token says.

use axum::http::HeaderMap;
use clap::ValueEnum;

mod token;

use token::Token;

use crate::{
    status::{Code, Description},
    text,
    violations::Violations,
};

/// Role that may do everything (Glance's policy, `context_is_admin`).
const ADMIN: &str = "admin";

/// Roles of a member of a project (Glance's policy, `PROJECT_MEMBER`; a manager is a member).
const MEMBERS: [&str; 2] = ["member", "manager"];

/// Roles of who may read what a project owns (Nova's policy, `PROJECT_READER`; a member is a reader).
const READERS: [&str; 3] = ["reader", "member", "manager"];

/// The user and the project something was done by, as history keeps it; empty where the request named none.
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
    /// `x-roles`: the roles of the user in the project, in lower case.
    pub roles: Vec<String>,
    /// Whether it is an operator, who sees and may do everything.
    pub is_admin: bool,
}

/// Where callers are known from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Identity {
    /// `x-user-id`, `x-project-id` and `x-roles`, else an `x-auth-token` of the form USER:PROJECT:ROLE,ROLE; a
    /// request without any of these, or with the token `x` or `notused`, is an operator's, and one with another token
    /// is refused. For machines that only their users can reach.
    #[default]
    Development,
    /// `x-user-id`, `x-project-id` and `x-roles` of a trusted proxy; a request without them is refused.
    Proxy,
}

/// Why a caller is not known.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The headers make no sense.
    #[error(transparent)]
    Invalid(#[from] Violations),
    /// The request names no project and no roles.
    #[error("who is calling? x-project-id and x-roles must be set by the proxy in front of this service")]
    Unauthenticated,
    /// The token is none for development.
    #[error(
        "X-Auth-Token {0}: it must be USER:PROJECT:ROLE,ROLE (percent-encoded or not), or x or notused for an operator"
    )]
    BadToken(String),
}

impl Identity {
    /// Reads the caller from the headers of a request, or from gRPC's metadata.
    pub fn caller(self, headers: &HeaderMap) -> Result<Caller, Error> {
        let mut violations = Violations::default();
        let mut read = |name: &str| {
            let value = headers.get(name).map_or(Ok(""), |value| value.to_str());
            let checked = value.map_err(|_| "must be visible ASCII".to_owned()).and_then(|value| {
                text::optional_name(value)?;
                Ok(value)
            });
            violations.take(name, checked).unwrap_or_default()
        };
        let headers_say = (read("x-user-id"), read("x-project-id"), read("x-roles"));
        violations.check()?;
        let token = match (self, headers_say, headers.get("x-auth-token")) {
            (Self::Development, (_, "", ""), Some(token)) => {
                Some(Token::parse(token.as_bytes()).map_err(Error::BadToken)?)
            }
            _ => None,
        };
        let (user_id, project_id, roles) = match &token {
            Some(Token::Caller { user_id, project_id, roles }) => (&**user_id, &**project_id, &**roles),
            Some(Token::Operator) | None => headers_say,
        };
        let is_nobody = project_id.is_empty() && roles.is_empty();
        if is_nobody && self == Self::Proxy {
            return Err(Error::Unauthenticated);
        }
        let roles: Vec<_> = roles.split(',').map(|role| role.trim().to_lowercase()).collect();
        let actor = Actor { user_id: user_id.to_owned(), project_id: project_id.to_owned() };
        Ok(Caller { actor, is_admin: is_nobody || roles.iter().any(|role| role == ADMIN), roles })
    }
}

impl Caller {
    /// An operator.
    #[must_use]
    pub const fn admin(actor: Actor) -> Self {
        Self { actor, roles: Vec::new(), is_admin: true }
    }

    /// The project; none for who has none.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        Some(self.actor.project_id.as_str()).filter(|project| !project.is_empty())
    }

    /// Whether its project is `project`, which is not empty.
    #[must_use]
    pub fn is_of(&self, project: &str) -> bool {
        !project.is_empty() && self.actor.project_id == project
    }

    /// Whether it has that role, written in lower case.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }

    /// Whether it may change what its project owns, and read data; a proxy that tells no roles vouches for
    /// members.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.is_one_of(&MEMBERS)
    }

    /// Whether it may read what its project owns, by a role or as [`Caller::is_member`].
    #[must_use]
    pub fn is_reader(&self) -> bool {
        self.is_one_of(&READERS)
    }

    fn is_one_of(&self, roles: &[&str]) -> bool {
        let is_untold = self.roles.iter().all(String::is_empty);
        self.is_admin || is_untold || roles.iter().any(|role| self.has_role(role))
    }
}

impl Error {
    /// How the error looks in an answer.
    #[must_use]
    pub fn describe(&self) -> Description {
        match self {
            Self::Invalid(violations) => violations.describe(),
            Self::Unauthenticated | Self::BadToken(_) => {
                Description::new(Code::Unauthenticated, "UNAUTHENTICATED")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

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
