//! A token as Keystone describes it, and the caller that sends it.

use axum::http::{HeaderMap, HeaderValue};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::caller::{ADMIN, Actor, Caller, Error, IdentityHeaders, Secret};

/// The role of services (`service_token_roles` of OpenStack's middleware).
const SERVICE: &str = "service";

/// Headers with the user, project and roles that a service calls on behalf of when it has no token of theirs any more, such
/// as in a job that outlives the token. They are ignored unless the caller is a service or an admin.
pub const ON_BEHALF_OF: [&str; 3] =
    ["x-on-behalf-of-user-id", "x-on-behalf-of-project-id", "x-on-behalf-of-roles"];

/// A valid token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) expires: DateTime<Utc>,
    pub(super) actor: Actor,
    /// In lower case.
    pub(super) roles: Vec<String>,
    pub(super) is_admin: bool,
}

/// Keystone's answer about a token.
#[derive(Deserialize)]
pub(super) struct Answer {
    token: Described,
}

#[derive(Deserialize)]
struct Described {
    expires_at: DateTime<Utc>,
    issued_at: DateTime<Utc>,
    user: Named,
    project: Option<Named>,
    system: Option<System>,
    #[serde(default)]
    roles: Vec<Role>,
    /// Whether an admin of this project is an admin of the whole cloud; absent unless Keystone has an admin project.
    is_admin_project: Option<bool>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct Role {
    name: String,
}

#[derive(Deserialize)]
struct System {
    #[serde(default)]
    all: bool,
}

impl Answer {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// How long the token lasted when it was issued, by Keystone's clock.
    pub(super) fn lifetime(&self) -> std::time::Duration {
        (self.token.expires_at - self.token.issued_at).to_std().unwrap_or_default()
    }

    /// The token. Roles count in a project and in the whole system, not in a domain: nothing here belongs to a domain.
    pub(super) fn token(self) -> Token {
        let Described { expires_at: expires, user, project, system, roles, is_admin_project, .. } =
            self.token;
        let is_of_the_system = system.is_some_and(|system| system.all);
        let counts = project.is_some() || is_of_the_system;
        let roles = roles.into_iter().filter(|_| counts).map(|role| role.name.to_lowercase());
        let is_of_the_cloud = |role: &String| role != ADMIN || is_admin_project != Some(false);
        let roles: Vec<_> = roles.filter(is_of_the_cloud).collect();
        let is_admin = roles.iter().any(|role| role == ADMIN);
        let project_id = project.map(|project| project.id).unwrap_or_default();
        Token { expires, actor: Actor { user_id: user.id, project_id }, roles, is_admin }
    }
}

impl Token {
    /// Whether it is a service's.
    pub(super) fn is_service(&self) -> bool {
        self.roles.iter().any(|role| role == SERVICE)
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> u64 {
        let texts = self.roles.iter().chain([&self.actor.user_id, &self.actor.project_id]);
        texts.map(|text| text.len() as u64 + 24).sum::<u64>() + 256
    }

    /// Who sends a request with this token: its user, or the user on whose behalf a service calls, who is an admin only if
    /// the service is one, too.
    pub(super) fn caller(&self, value: &HeaderValue, headers: &HeaderMap) -> Result<Caller, Error> {
        let may_name = self.is_service() || self.is_admin;
        if may_name && ON_BEHALF_OF.iter().any(|name| headers.contains_key(*name)) {
            let caller = IdentityHeaders::read(headers, ON_BEHALF_OF)?.caller();
            return Ok(Caller { is_admin: caller.is_admin && self.is_admin, ..caller });
        }
        let token = Some(Secret(value.clone()));
        Ok(Caller { actor: self.actor.clone(), roles: self.roles.clone(), is_admin: self.is_admin, token })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;
    use serde_json::{Value, json};

    use super::*;

    fn token(more: &Value) -> Token {
        let mut token = json!({
            "methods": ["password"], "user": {"id": "u", "name": "alice", "domain": {"id": "default"}},
            "expires_at": "2026-01-01T01:00:00.000000Z", "issued_at": "2026-01-01T00:00:00.000000Z",
        });
        for (name, value) in more.as_object().unwrap() {
            token[name] = value.clone();
        }
        let answer = Answer::read(json!({"token": token}).to_string().as_bytes()).unwrap();
        assert_eq!(answer.lifetime().as_secs(), 3600);
        answer.token()
    }

    fn caller(token: &Token, headers: &[(&'static str, &'static str)]) -> Result<Caller, Error> {
        let headers = headers.iter();
        let headers = headers
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        token.caller(&HeaderValue::from_static("secret"), &headers)
    }

    #[test]
    fn roles_count_in_a_project_and_in_the_whole_system() {
        let roles = json!([{"id": "1", "name": "Admin"}, {"id": "2", "name": "member"}]);
        let project = json!({"id": "p", "name": "demo", "domain": {"id": "default"}});
        for (scope, project_id, is_admin, is_member) in [
            (json!({"project": project, "roles": roles}), "p", true, true),
            (json!({"project": project, "roles": roles, "is_admin_project": true}), "p", true, true),
            (json!({"project": project, "roles": roles, "is_admin_project": false}), "p", false, true),
            (json!({"system": {"all": true}, "roles": roles}), "", true, true),
            (json!({"system": {"all": false}, "roles": roles}), "", false, false),
            (json!({"domain": {"id": "default"}, "roles": roles}), "", false, false),
            (json!({"roles": roles}), "", false, false),
            (json!({}), "", false, false),
        ] {
            let caller = caller(&token(&scope), &[]).unwrap();
            assert_eq!((caller.actor.user_id.as_str(), caller.actor.project_id.as_str()), ("u", project_id));
            assert_eq!((caller.is_admin, caller.is_member()), (is_admin, is_member), "{scope}");
            assert_eq!(caller.has_role("admin"), is_admin, "it may be handed on: {scope}");
        }
    }

    #[test]
    fn headers_name_nobody_but_for_a_service() {
        let with = |role: &str| token(&json!({"project": {"id": "p"}, "roles": [{"name": role}]}));
        let said = [("x-on-behalf-of-project-id", "q"), ("x-on-behalf-of-roles", "member,admin")];
        let user = caller(&with("member"), &said).unwrap();
        assert!(user.is_of("p") && !user.is_admin && user.token.is_some());
        let user = caller(&with("service"), &[("x-project-id", "q"), ("x-roles", "admin")]).unwrap();
        assert!(user.is_of("p") && !user.is_admin);
        let service = caller(&with("service"), &said).unwrap();
        assert!(service.is_of("q") && service.has_role("member") && !service.is_admin);
        assert!(service.token.is_none(), "it is the service's own");
        assert!(caller(&with("admin"), &said).unwrap().is_admin);
    }

    #[test]
    fn a_token_does_not_show() {
        let shown = format!("{:?}", caller(&Token::default(), &[]).unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
