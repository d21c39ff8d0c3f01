//! What a token is for: a project, a domain, the whole system, or nothing yet.

use chassis::testing::TestDb;
use harness::{http, keystone::Keystone};
use serde_json::{Value, json};

use super::{Cloud, get, start_glance_as, terminal};

/// Registers an image and gives the status of the answer, and its body.
fn register(cloud: &Cloud, token: &str) -> (u16, Value) {
    let headers = [("x-auth-token", token), ("content-type", "application/json")];
    let body = r#"{"name": "n", "disk_format": "raw", "container_format": "bare"}"#;
    let answer = http::call(cloud.glance.address(), "POST", "/v2/images", &headers, body).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (status, serde_json::from_str(body).unwrap_or_default())
}

#[test]
fn a_role_counts_in_a_project_and_in_the_whole_system() {
    let cloud = Cloud::start(&[]);
    let operator = terminal(&cloud.keystone, "admin", "admin");
    operator.run("openstack role add --domain Default --user admin admin");
    let (status, image) = register(&cloud, &cloud.keystone.token("demo", "demo").unwrap());
    assert_eq!(status, 201, "{image}");
    let path = format!("/v2/images/{}", image["id"].as_str().unwrap());

    let system = cloud.keystone.token_for("admin", &json!({"system": {"all": true}})).unwrap();
    assert_eq!(get(&cloud.glance, &path, &[("x-auth-token", &system)]).0, 200);
    // An operator without a project may register an image that no project owns.
    let (status, unowned) = register(&cloud, &system);
    assert_eq!((status, &unowned["owner"]), (201, &Value::Null), "{unowned}");
    for scope in [json!({"domain": {"id": "default"}}), json!("unscoped")] {
        let token = cloud.keystone.token_for("admin", &scope).unwrap();
        let headers = [("x-auth-token", token.as_str())];
        assert_eq!(get(&cloud.glance, &path, &headers).0, 404, "{scope}");
        assert_eq!(get(&cloud.glance, "/v2/images", &headers).0, 403, "{scope}");
        assert_eq!(register(&cloud, &token).0, 403, "{scope}");
    }
}

#[test]
fn a_service_logs_in_with_an_application_credential() {
    let (keystone, db, data) = (Keystone::start().unwrap(), TestDb::sqlite(), tempfile::tempdir().unwrap());
    let owner = terminal(&keystone, "glance", "service");
    let credential = owner.json("openstack application credential create --secret s3cret own -f json");
    let id = credential["id"].as_str().unwrap_or_else(|| credential["ID"].as_str().unwrap());
    let known = keystone.arguments_of_credential(id, "s3cret").unwrap();
    let glance = start_glance_as(&known, &db, &data, "127.0.0.1:0", &[]);
    let token = keystone.token("demo", "demo").unwrap();
    assert_eq!(get(&glance, "/v2/images", &[("x-auth-token", &token)]).0, 200);
    assert_eq!(get(&glance, "/v2/images", &[("x-auth-token", "nonsense")]).0, 401);
}
