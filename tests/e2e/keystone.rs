//! Callers by their tokens, with OpenStack's own Keystone.

use chassis::testing::TestDb;
use harness::{identity::PASSWORD, keystone::Keystone, service::Service};
use tempfile::TempDir;

use crate::{limits::until_measured, terminal::Terminal};

mod away;
mod clients;
mod nova;
mod once;
mod scopes;
mod tls;
mod tokens;

/// A Keystone, and a glance-svc that is in its catalogue.
struct Cloud {
    keystone: Keystone,
    glance: Service,
    _db: TestDb,
    _data: TempDir,
}

impl Cloud {
    /// Starts both; the service has `more` arguments.
    fn start(more: &[&str]) -> Self {
        let (keystone, db, data) =
            (Keystone::start().unwrap(), TestDb::sqlite(), tempfile::tempdir().unwrap());
        let glance = start_glance(&keystone, &db, &data, "127.0.0.1:0", more);
        keystone.publish("image", &glance.endpoint()).unwrap();
        Self { keystone, glance, _db: db, _data: data }
    }
}

fn start_glance(keystone: &Keystone, db: &TestDb, data: &TempDir, listen: &str, more: &[&str]) -> Service {
    start_glance_as(&keystone.arguments("glance"), db, data, listen, more)
}

/// As [`start_glance`], known to Keystone as `known` says.
fn start_glance_as(known: &[String], db: &TestDb, data: &TempDir, listen: &str, more: &[&str]) -> Service {
    let data = format!("file:{}", data.path().display());
    let own =
        ["--listen", listen, "--database-url", &db.url, "--data-url", &data, "--admin-listen", "127.0.0.1:0"];
    let arguments = own.iter().chain(more).copied().chain(known.iter().map(String::as_str));
    Service::start("glance-svc", arguments).unwrap()
}

/// A terminal of a user in the project of that name, who has a password and no more.
fn terminal(keystone: &Keystone, user: &str, project: &str) -> Terminal {
    Terminal::with([
        ("OS_AUTH_URL", &keystone.url()),
        ("OS_USERNAME", user),
        ("OS_PASSWORD", PASSWORD),
        ("OS_PROJECT_NAME", project),
        ("OS_USER_DOMAIN_NAME", "Default"),
        ("OS_PROJECT_DOMAIN_NAME", "Default"),
        ("OS_IDENTITY_API_VERSION", "3"),
    ])
}

/// The status of an answer, and all of it in lower case but for its body.
fn get(service: &Service, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let answer = harness::http::call(service.address(), "GET", path, headers, "").unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{answer}")), answer)
}

/// What a service has counted of its questions, once it is so many.
fn until_asked(service: &Service, outcome: &str, count: usize) {
    until_measured(service, &format!("imprint_keystone_questions_total{{outcome=\"{outcome}\"}} {count}\n"));
}
