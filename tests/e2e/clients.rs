//! OpenStack's own clients, as their users run them, against glance-svc.

use chassis::testing::TestDb;
use harness::{identity::PASSWORD, service::Service};
use tempfile::TempDir;

use crate::{terminal::Terminal, world::start_glance};

mod flow;
mod glance;
mod openstack;
mod other;
mod sdk;
mod sharing;
mod volume;

/// glance-svc alone, on a database and a data folder of its own.
struct Catalogue {
    glance: Service,
    _db: TestDb,
    _data: TempDir,
}

impl Catalogue {
    fn start() -> Self {
        Self::on(TestDb::sqlite())
    }

    fn on(db: TestDb) -> Self {
        let data = tempfile::tempdir().unwrap();
        let glance = start_glance(&db.url, data.path(), "127.0.0.1:0");
        Self { glance, _db: db, _data: data }
    }
}

/// A terminal with `glance` for an operator, with the URL of the image service and a dummy token.
fn operators_terminal(glance: &Service) -> Terminal {
    Terminal::with([("OS_IMAGE_URL", &glance.endpoint()), ("OS_AUTH_TOKEN", "x")])
}

/// A terminal of a user who logs in at `auth_url`; the project has the same name.
fn terminal_of(user: &str, auth_url: &str) -> Terminal {
    Terminal::with([
        ("OS_AUTH_URL", auth_url),
        ("OS_USERNAME", user),
        ("OS_PASSWORD", PASSWORD),
        ("OS_PROJECT_NAME", user.trim_end_matches("_reader")),
        ("OS_USER_DOMAIN_NAME", "Default"),
        ("OS_PROJECT_DOMAIN_NAME", "Default"),
        ("OS_IDENTITY_API_VERSION", "3"),
    ])
}

/// Image data: larger than the chunks that clients send, with no two chunks alike.
fn data() -> Vec<u8> {
    (0..300_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}
