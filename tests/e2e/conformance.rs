//! OpenStack's conformance tests end as docs/compatibility.md says.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use chassis::testing::TestDb;
use harness::{
    identity::{ACCOUNTS, Identity, PASSWORD},
    program,
    service::Service,
    tools, workspace,
};
use serde_json::{Value, json};

/// Where the document lists the tests.
const SECTION: &str = "## OpenStack's conformance tests (Tempest)\n";

/// The prefix of test names that the document omits.
const SUITE: &str = "tempest.api.image.v2.";

/// Outcomes by test; `Err` is Tempest's message.
type Outcomes = BTreeMap<String, Result<(), String>>;

#[test]
fn tempest_ends_as_documented() {
    let db = TestDb::sqlite();
    let data = tempfile::tempdir().unwrap();
    let data_url = format!("file://{}", data.path().display());
    let arguments = ["--listen", "127.0.0.1:0", "--database-url", &db.url, "--data-url", &data_url];
    let glance = Service::start("glance-svc", arguments).unwrap();
    compare(&documented(), &glance.endpoint());
}

/// Runs Tempest against the Image API at `endpoint`, and fails where it does not end as `documented`.
fn compare(documented: &BTreeMap<String, bool>, endpoint: &str) {
    let (outcomes, output) = run_tempest(endpoint);
    let mut differences = Vec::new();
    for (test, outcome) in &outcomes {
        match (documented.get(test), outcome) {
            (Some(true), Err(reason)) => differences.push(format!("{test} does not pass: {reason}")),
            (Some(false), Ok(())) => differences.push(format!("{test} passes")),
            (None, _) => differences.push(format!("{test} is not documented")),
            _ => {}
        }
    }
    let gone = documented.keys().filter(|test| !outcomes.contains_key(*test));
    differences.extend(gone.map(|test| format!("{test} is documented, and there is no such test")));
    assert!(differences.is_empty(), "{}\n\n{output}", differences.join("\n"));
}

/// Whether the tests pass, by the document.
fn documented() -> BTreeMap<String, bool> {
    let document = fs::read_to_string(workspace::root().join("docs/compatibility.md")).unwrap();
    let (_, section) = document.split_once(SECTION).expect("the document has the section");
    let section = section.split("\n## ").next().unwrap_or(section);
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (test, rest) = row.split_once("` | ").expect(row);
        let (outcome, why) = rest.split_once(" |").expect(row);
        let passes = match outcome {
            "passed" => true,
            "not applicable" => false,
            _ => panic!("no such outcome: {row}"),
        };
        assert_eq!(
            passes,
            why.trim_matches(['|', ' ']).is_empty(),
            "only what is not applicable has a reason: {row}"
        );
        (test.to_owned(), passes)
    })
    .collect()
}

/// The outcome of every test against the Image API at `endpoint`, and Tempest's output.
fn run_tempest(endpoint: &str) -> (Outcomes, String) {
    let identity = Identity::start(endpoint).unwrap();
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), &identity);
    // It fails if any test does, including those that are not applicable.
    let Output { stdout, stderr, .. } = tempest(folder.path()).arg("--serial").output().unwrap();
    let listed = program::run(tempest(folder.path()).arg("--list-tests")).unwrap();
    let output = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    (outcomes(&listed, &output), output.into_owned())
}

fn tempest(folder: &Path) -> Command {
    let mut tempest = Command::new(tools::tempest().unwrap());
    tempest.args(["run", "--config-file", "tempest.conf", "--regex", r"^tempest\.api\.image\."]);
    tempest.current_dir(folder);
    tempest
}

fn configure(folder: &Path, identity: &Identity) {
    let settings = format!(
        "[DEFAULT]
        log_file = {folder}/tempest.log
        [auth]
        use_dynamic_credentials = false
        test_accounts_file = {folder}/accounts.yaml
        [identity]
        uri_v3 = {identity}
        [service_available]
        cinder = false
        neutron = false
        nova = false
        swift = false
        # Whoever only reads has a role for that alone.
        [enforce_scope]
        glance = true
        [oslo_concurrency]
        lock_path = {folder}
        # What the tests of lists upload is no more than raw bytes, so they may run where formats are enforced.
        [image]
        container_formats = bare, ovf, ova
        disk_formats = raw
        [image-feature-enabled]
        image_format_enforcement = false
        ",
        folder = folder.display(),
        identity = identity.url(),
    );
    // Indented lines would continue the previous one.
    fs::write(folder.join("tempest.conf"), settings.replace("\n        ", "\n")).unwrap();
    fs::write(folder.join("accounts.yaml"), accounts().to_string()).unwrap();
}

/// The accounts for Tempest, each with only its strongest role: otherwise it might pick the only account of a project that
/// needs two.
fn accounts() -> Value {
    let accounts = ACCOUNTS.iter().map(|account| {
        json!({
            "username": account.user,
            "project_name": account.project,
            "password": PASSWORD,
            "roles": &account.roles[..1],
        })
    });
    accounts.collect()
}

/// Finds each of the tests `listed` in what Tempest printed, or else its class, which may be skipped as a whole.
fn outcomes(listed: &str, output: &str) -> Outcomes {
    let results: BTreeMap<&str, &str> = output.lines().filter_map(result).collect();
    let tests =
        listed.lines().filter(|line| line.starts_with("tempest.")).filter_map(|line| line.split('[').next());
    let ends = tests.map(|test| {
        let (class, _) = test.rsplit_once('.').unwrap();
        let found = results.get(test).or_else(|| results.get(format!("setUpClass ({class})").as_str()));
        (test.strip_prefix(SUITE).unwrap_or(test), found.copied().unwrap_or("it did not run"))
    });
    // A failed cleanup of a class is not a test's outcome, but must not go unnoticed.
    let leftovers = results.iter().filter(|(name, _)| name.starts_with("tearDownClass"));
    let ends = ends.chain(leftovers.map(|(name, outcome)| (*name, *outcome)));
    ends.map(|(name, end)| (name.to_owned(), if end == "ok" { Ok(()) } else { Err(end.to_owned()) }))
        .collect()
}

/// The name and the outcome in a line such as `{0} tempest.api.x.Class.test [0.1s] ... ok`.
fn result(line: &str) -> Option<(&str, &str)> {
    let (name, outcome) = line.strip_prefix("{0} ")?.split_once(" ... ")?;
    Some((name.split(" [").next()?, outcome))
}
