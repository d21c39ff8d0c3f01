//! glance-svc answers as its API description says, whatever is generated from that.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use chassis::testing::TestDb;
use harness::{identity::ACCOUNTS, service::Service, tools};

/// What Schemathesis does not know by itself: that patches are JSON, that pages are text, and that errors come in
/// three forms, depending on what the caller accepts.
const HOOKS: &str = r#"
from itertools import cycle

import schemathesis

PATCHES = [f"application/openstack-images-v2.{minor}-json-patch" for minor in (0, 1)]
schemathesis.serializer.alias(PATCHES, "application/json")
accepted = cycle(["application/json", "text/html", "text/plain"])

@schemathesis.deserializer("text/html")
def page(context, response):
    return response.text

@schemathesis.hook
def before_call(context, case, kwargs):
    case.headers["Accept"] = next(accepted)
"#;

/// A request may be refused because of the image before it is validated.
const SETTINGS: &str = r#"
hooks = "hooks"

[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "409", "412", "413", "415"]
"#;

/// Two checks do not apply here: in development, a caller without a token is an operator, and a request that matches the
/// document may still not be possible for the image.
const LEFT_OUT: &str = "ignored_auth,positive_data_acceptance";

#[test]
fn the_api_is_as_described() {
    let db = TestDb::sqlite();
    let data = tempfile::tempdir().unwrap();
    let data_url = format!("file://{}", data.path().display());
    let arguments = ["--listen", "127.0.0.1:0", "--database-url", &db.url, "--data-url", &data_url];
    let glance = Service::start("glance-svc", arguments).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hooks.py"), HOOKS).unwrap();
    fs::write(folder.path().join("schemathesis.toml"), SETTINGS).unwrap();
    let Output { status, stdout, stderr } = schemathesis(folder.path(), &glance).output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{said}{errors}");
    assert!(said.contains("Tested: 37"), "calls were left out:\n{said}{errors}");
}

/// Generates calls of every kind, including sequences in which calls use the results of others; always the same ones.
fn schemathesis(folder: &Path, glance: &Service) -> Command {
    let member = ACCOUNTS.iter().find(|account| account.user == "demo").unwrap();
    let mut schemathesis = Command::new(tools::schemathesis().unwrap());
    schemathesis.args(["run", &format!("{}/openapi.json", glance.endpoint())]);
    schemathesis.args(["--header", &format!("X-Auth-Token: {}", member.token())]);
    schemathesis.args([
        "--phases",
        "examples,coverage,fuzzing,stateful",
        "--max-examples",
        "15",
        "--seed",
        "1",
    ]);
    schemathesis.args(["--checks", "all", "--exclude-checks", LEFT_OUT]);
    schemathesis.args(["--generation-with-security-parameters", "false", "--generation-database", "none"]);
    schemathesis.args(["--continue-on-failure", "--no-shrink", "--no-color", "--warnings", "off"]);
    schemathesis.env("PYTHONPATH", folder).current_dir(folder);
    schemathesis
}
