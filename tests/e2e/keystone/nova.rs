//! nova-api-svc hands on the caller's token, and works on as itself where nobody has one any more.

use chassis::testing::TestDb;
use harness::{keystone::Keystone, service::Service};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{get, start_glance};
use crate::world::grpcurl_with;

struct Both {
    keystone: Keystone,
    glance: Service,
    nova: Service,
    dbs: [TestDb; 2],
    data: TempDir,
}

impl Both {
    fn start() -> Self {
        let (keystone, dbs) = (Keystone::start().unwrap(), [TestDb::sqlite(), TestDb::sqlite()]);
        let data = tempfile::tempdir().unwrap();
        let glance = start_glance(&keystone, &dbs[0], &data, "127.0.0.1:0", &[]);
        let own = [
            "--listen",
            "127.0.0.1:0",
            "--database-url",
            &dbs[1].url,
            "--glance-endpoint",
            &glance.endpoint(),
        ];
        // glance-svc asks Keystone, too.
        let patient = ["--glance-timeout-ms", "60000", "--compute", "none"];
        let known = keystone.arguments("nova");
        let nova = Service::start(
            "nova-api-svc",
            own.into_iter().chain(patient).chain(known.iter().map(String::as_str)),
        );
        Self { glance, nova: nova.unwrap(), keystone, dbs, data }
    }

    fn call(service: &Service, token: &str, method: &str, data: &Value) -> Result<Value, String> {
        let output = grpcurl_with(&[&format!("x-auth-token: {token}")], service, method, data);
        if !output.status.success() {
            return Err(String::from_utf8(output.stderr).unwrap());
        }
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    }

    fn image(&self, token: &str) -> String {
        let image = json!({"image": {"name": "i", "size": 1, "properties": {"hw_disk_bus": "virtio"}}});
        let made = Self::call(&self.glance, token, "glance.v1.ImageService/CreateImage", &image).unwrap();
        made["id"].as_str().unwrap().to_owned()
    }

    fn instance(&self, token: &str, image: &str) -> Result<Value, String> {
        let create = json!({"name": "web", "image_id": image, "flavor_id": "1"});
        Self::call(&self.nova, token, "nova.v1.InstanceService/CreateInstance", &create)
    }
}

#[test]
fn an_image_is_read_with_the_token_of_whoever_asks() {
    let both = Both::start();
    let [owner, other] = ["demo", "alt_demo"].map(|user| both.keystone.token(user, user).unwrap());
    let image = both.image(&owner);
    let made = both.instance(&owner, &image).unwrap();
    let project = made["instances"][0]["projectId"].as_str().unwrap().to_owned();
    let shown = Both::call(&both.glance, &owner, "glance.v1.ImageService/GetImage", &json!({"id": image}));
    assert_eq!(shown.unwrap()["owner"], project.as_str());
    let refused = both.instance(&other, &image).unwrap_err();
    assert!(refused.contains("IMAGE_NOT_FOUND"), "{refused}");
    let refused = both.instance("nonsense", &image).unwrap_err();
    assert!(refused.contains(&both.keystone.url()), "{refused}");
}

#[test]
fn many_creates_are_few_questions() {
    let both = Both::start();
    let owner = both.keystone.token("demo", "demo").unwrap();
    let image = both.image(&owner);
    for _ in 0..5 {
        both.instance(&owner, &image).unwrap();
    }
    // Each service about the caller's token, and glance-svc about nova-api-svc's.
    assert_eq!(both.keystone.calls("GET /v3/auth/tokens"), 3);
}

#[test]
fn a_job_outlives_the_token_of_who_asked() {
    let mut both = Both::start();
    let owner = both.keystone.token("demo", "demo").unwrap();
    let made = both.instance(&owner, &both.image(&owner)).unwrap();
    let id = made["instances"][0]["id"].as_str().unwrap().to_owned();

    both.glance.kill().unwrap();
    let snapshot = json!({"id": id, "name": "kept"});
    let left = Both::call(&both.nova, &owner, "nova.v1.InstanceService/SnapshotInstance", &snapshot);
    assert!(left.unwrap_err().contains("GLANCE_UNAVAILABLE"));
    both.keystone.revoke(&owner).unwrap();
    let address = both.glance.address().to_string();
    both.glance = start_glance(&both.keystone, &both.dbs[0], &both.data, &address, &[]);

    let again = both.keystone.token("demo", "demo").unwrap();
    let instance = || {
        let asked = json!({"id": id});
        Both::call(&both.nova, &again, "nova.v1.InstanceService/GetInstance", &asked).unwrap()
    };
    while instance().get("task").is_some() {}
    let (status, answer) = get(&both.glance, "/v2/images?name=kept", &[("x-auth-token", &again)]);
    assert_eq!(status, 200, "{answer}");
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let kept = &serde_json::from_str::<Value>(body).unwrap()["images"][0];
    assert_eq!(kept["owner"], made["instances"][0]["projectId"], "{answer}");
    // The service did it, on behalf of who asked.
    let history = json!({"image_id": kept["id"]});
    let history =
        Both::call(&both.glance, &again, "glance.v1.ImageService/ListImageRevisions", &history).unwrap();
    let by = history["revisions"].as_array().unwrap().last().unwrap();
    assert_eq!([&by["userId"], &by["projectId"]], [&made["instances"][0]["userId"], &kept["owner"]]);
}
