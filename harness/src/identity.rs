//! A stand-in for Keystone: real OpenStack clients log in, and find the image service in its catalogue.
//!
//! Its tokens spell out the caller (`user:project:role,role`), which the services' development mode understands.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};

/// The password of every account.
pub const PASSWORD: &str = "secret";

/// The accounts: two in one project, of which one may only read, and one in each of two others.
pub const ACCOUNTS: [Account; 4] = [
    Account { user: "admin", project: "admin", roles: &["admin", "manager", "member", "reader"] },
    Account { user: "demo", project: "demo", roles: &["member", "reader"] },
    Account { user: "alt_demo", project: "alt_demo", roles: &["member", "reader"] },
    Account { user: "demo_reader", project: "demo", roles: &["reader"] },
];

/// The header of a token that is issued or to be validated.
const SUBJECT_TOKEN: &str = "x-subject-token";

/// A user and its only project; each name is also the id.
pub struct Account {
    /// The user's name and id.
    pub user: &'static str,
    /// The project's name and id.
    pub project: &'static str,
    /// The roles of the user in the project.
    pub roles: &'static [&'static str],
}

impl Account {
    /// The token of this user in this project with these roles.
    #[must_use]
    pub fn token(&self) -> String {
        format!("{}:{}:{}", self.user, self.project, self.roles.join(","))
    }
}

/// A running stand-in. It ends when dropped.
pub struct Identity {
    address: SocketAddr,
    // An option only because shutting a runtime down takes it by value.
    runtime: Option<Runtime>,
}

impl Identity {
    /// Starts it on a free port, with `image_endpoint` as the image service in its catalogue.
    pub fn start(image_endpoint: &str) -> anyhow::Result<Self> {
        // A thread of its own: a test that waits for a client may block every other thread.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_io().build()?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let catalog = json!([service("identity", &url(address)), service("image", image_endpoint)]);
        let router = router(Arc::new(Catalog { address, services: catalog }));
        runtime.spawn(async { axum::serve(TcpListener::from_std(listener)?, router).await });
        Ok(Self { address, runtime: Some(runtime) })
    }

    /// Where to log in: the URL of its API version 3.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.address)
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropping a runtime waits, and panics in an asynchronous test.
            runtime.shutdown_background();
        }
    }
}

/// The catalogue, and this server's own URL.
struct Catalog {
    address: SocketAddr,
    services: Value,
}

fn router(catalog: Arc<Catalog>) -> Router {
    Router::new()
        .route("/v3", get(version))
        .route("/v3/auth/tokens", post(issue).get(validate))
        .route("/v3/projects/{project}", get(project))
        .with_state(catalog)
}

async fn version(State(catalog): State<Arc<Catalog>>) -> Json<Value> {
    Json(json!({"version": {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": url(catalog.address)}],
        "media-types": [
            {"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"},
        ],
    }}))
}

async fn issue(State(catalog): State<Arc<Catalog>>, Json(request): Json<Value>) -> Response {
    let Some(account) = log_in(&request) else { return unauthorized() };
    (StatusCode::CREATED, [(SUBJECT_TOKEN, account.token())], render(account, &catalog)).into_response()
}

async fn validate(State(catalog): State<Arc<Catalog>>, headers: HeaderMap) -> Response {
    let token = headers.get(SUBJECT_TOKEN).and_then(|token| token.to_str().ok());
    let Some(account) = token.and_then(holder) else { return unauthorized() };
    ([(SUBJECT_TOKEN, account.token())], render(account, &catalog)).into_response()
}

/// Used by `openstack image add project`, which shares an image.
async fn project(Path(id): Path<String>) -> Response {
    let Some(account) = ACCOUNTS.iter().find(|account| account.project == id) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    Json(json!({"project": named(account.project)})).into_response()
}

/// The account of a login, if it exists and may enter the requested project.
fn log_in(request: &Value) -> Option<&'static Account> {
    let text = |pointer: &str| request.pointer(pointer).and_then(Value::as_str);
    let name = |thing: &str| text(&format!("{thing}/name")).or_else(|| text(&format!("{thing}/id")));
    let account = match text("/auth/identity/methods/0")? {
        "password" if text("/auth/identity/password/user/password")? == PASSWORD => {
            let user = name("/auth/identity/password/user")?;
            ACCOUNTS.iter().find(|account| account.user == user)?
        }
        "token" => holder(text("/auth/identity/token/id")?)?,
        _ => return None,
    };
    name("/auth/scope/project").is_none_or(|project| project == account.project).then_some(account)
}

fn holder(token: &str) -> Option<&'static Account> {
    ACCOUNTS.iter().find(|account| account.token() == token)
}

/// The description of an account's token.
fn render(account: &Account, catalog: &Catalog) -> Json<Value> {
    let roles: Vec<Value> = account.roles.iter().map(|role| json!({"id": role, "name": role})).collect();
    Json(json!({"token": {
        "methods": ["password"],
        "audit_ids": ["audit"],
        "issued_at": "2020-01-01T00:00:00.000000Z",
        "expires_at": "9999-12-31T23:59:59.000000Z",
        "is_domain": false,
        "user": named(account.user),
        "project": named(account.project),
        "roles": roles,
        "catalog": catalog.services,
    }}))
}

/// A user or a project, in the only domain.
fn named(id: &str) -> Value {
    json!({"id": id, "name": id, "domain": {"id": "default", "name": "Default"}})
}

fn service(kind: &str, url: &str) -> Value {
    let endpoints = ["public", "internal", "admin"].map(|interface| {
        json!({
            "id": format!("{kind}-{interface}"),
            "interface": interface,
            "region": "RegionOne",
            "region_id": "RegionOne",
            "url": url,
        })
    });
    json!({"id": kind, "type": kind, "name": kind, "endpoints": endpoints})
}

fn unauthorized() -> Response {
    let error = json!({"code": 401, "title": "Unauthorized", "message": "there is no such account or token"});
    (StatusCode::UNAUTHORIZED, Json(json!({"error": error}))).into_response()
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}/v3")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(user: &str, password: &str, project: &str) -> Value {
        let user = json!({"name": user, "domain": {"name": "Default"}, "password": password});
        json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": project, "domain": {"name": "Default"}}},
        }})
    }

    #[tokio::test]
    async fn lives_in_an_asynchronous_test() {
        let identity = Identity::start("http://127.0.0.1:9292").unwrap();
        let address = identity.url().replace("http://", "").replace("/v3", "");
        tokio::net::TcpStream::connect(address).await.unwrap();
    }

    #[test]
    fn who_knows_the_password_enters_the_project_of_the_account() {
        let account = log_in(&password("demo", PASSWORD, "demo")).unwrap();
        assert_eq!(account.token(), "demo:demo:member,reader");
        for (user, word, project) in
            [("demo", "wrong", "demo"), ("demo", PASSWORD, "admin"), ("nobody", PASSWORD, "demo")]
        {
            assert!(log_in(&password(user, word, project)).is_none(), "{user} {word} {project}");
        }
    }

    #[test]
    fn a_token_is_as_good_as_a_password() {
        let with =
            |token: &str| json!({"auth": {"identity": {"methods": ["token"], "token": {"id": token}}}});
        assert_eq!(log_in(&with("demo:demo:member,reader")).unwrap().user, "demo");
        assert!(log_in(&with("demo:demo:admin")).is_none(), "it was never issued");
    }
}
