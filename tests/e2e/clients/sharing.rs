//! What another project may see: nothing, until an image is shared with it; and the same over HTTP and gRPC.

use axum::http::{Method, StatusCode};
use chassis::{on_both_databases, testing::TestDb};
use harness::{identity::Identity, service::Service};
use serde_json::{Value, json};

use crate::{
    clients::{Catalogue, terminal_of},
    http::Http,
    world::grpcurl_with,
};

on_both_databases!(an_image_is_shared_over_http_and_grpc_alike);

const OWNER: &str = "demo:demo:member,reader";
const OTHER: &str = "alt_demo:alt_demo:member,reader";

/// What a call over gRPC gives, or the code and the sentence of its error.
fn grpc(service: &Service, token: &str, method: &str, data: &Value) -> Result<Value, String> {
    let header = format!("x-auth-token: {token}");
    let output = grpcurl_with(&[&header], service, &format!("glance.v1.ImageService/{method}"), data);
    let answer = serde_json::from_slice(&output.stdout);
    answer.map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The other project as it meets an image over either protocol.
struct Other<'a> {
    glance: &'a Service,
    http: Http,
    path: &'a str,
    id: &'a str,
}

impl Other<'_> {
    /// Whether it sees the image, and whether it finds it in its list.
    async fn sees_and_lists(&self) -> (bool, bool) {
        let shown = self.http.get(self.path).await.status;
        let got = grpc(self.glance, OTHER, "GetImage", &json!({"id": self.id}));
        match &got {
            Ok(image) => assert_eq!((shown, &image["id"]), (StatusCode::OK, &json!(self.id))),
            Err(error) => {
                assert_eq!(shown, StatusCode::NOT_FOUND, "{error}");
                assert!(error.contains("Code: NotFound"), "{error}");
            }
        }
        let http = self.http.get("/v2/images").await.json();
        let list = grpc(self.glance, OTHER, "ListImages", &json!({})).unwrap();
        let is_listed = http["images"].to_string().contains(self.id);
        assert_eq!(list.to_string().contains(self.id), is_listed, "{list} {http}");
        (got.is_ok(), is_listed)
    }

    /// Neither protocol lets it change the image, with `status` and `code`.
    async fn cannot_change(&self, status: StatusCode, code: &str) {
        let operations = json!([{"op": "add", "path": "/a", "value": "b"}]);
        assert_eq!(self.http.patch(self.path, &operations).await.status, status);
        let change = json!({"image_id": self.id, "set": {"a": "b"}});
        let error = grpc(self.glance, OTHER, "UpdateImageProperties", &change).unwrap_err();
        assert!(error.contains(&format!("Code: {code}")), "{error}");
    }
}

async fn an_image_is_shared_over_http_and_grpc_alike(db: TestDb) {
    let catalogue = Catalogue::on(db);
    let glance = &catalogue.glance;
    let owner = Http::with_token(glance, OWNER);
    let path = owner.image("secret").await;
    let id = path.rsplit('/').next().unwrap();
    let other = Other { glance, http: Http::with_token(glance, OTHER), path: &path, id };
    let visibility = |value: &str| json!([{"op": "replace", "path": "/visibility", "value": value}]);
    assert_eq!(owner.patch(&path, &visibility("private")).await.status, StatusCode::OK);
    assert_eq!(other.sees_and_lists().await, (false, false));
    other.cannot_change(StatusCode::NOT_FOUND, "NotFound").await;
    let member = json!({"member": "alt_demo"});
    let members = format!("{path}/members");
    assert_eq!(owner.post(&members, &member).await.status, StatusCode::FORBIDDEN, "it is private");

    owner.patch(&path, &visibility("shared")).await;
    assert_eq!(other.sees_and_lists().await, (false, false));
    let shared = owner.post(&members, &member).await;
    assert_eq!((shared.status, &shared.json()["status"]), (StatusCode::OK, &json!("pending")));
    assert_eq!(other.sees_and_lists().await, (true, false));
    let accept = json!({"image_id": id, "member_id": "alt_demo", "status": "ACCEPTED"});
    assert!(grpc(glance, OWNER, "UpdateImageMember", &accept).unwrap_err().contains("PermissionDenied"));
    grpc(glance, OTHER, "UpdateImageMember", &accept).unwrap();
    assert_eq!(other.sees_and_lists().await, (true, true));
    other.cannot_change(StatusCode::FORBIDDEN, "PermissionDenied").await;

    let member = format!("{members}/alt_demo");
    let reject = json!({"status": "rejected"}).to_string();
    let json_type = [("content-type", "application/json")];
    assert_eq!(other.http.send(Method::PUT, &member, json_type, reject).await.status, StatusCode::OK);
    assert_eq!(other.sees_and_lists().await, (true, false));
    assert_eq!(owner.delete(&member).await.status, StatusCode::NO_CONTENT);
    assert_eq!(other.sees_and_lists().await, (false, false));
}

#[test]
fn members_with_the_command_glance() {
    let catalogue = Catalogue::start();
    let identity = Identity::start(&catalogue.glance.endpoint()).unwrap();
    let [owner, other] = ["demo", "alt_demo"].map(|user| terminal_of(user, &identity.url()));
    let created = owner.table("glance image-create --name ours --visibility shared");
    let id = created.value("id");
    let added = owner.table(&format!("glance member-create {id} alt_demo"));
    assert_eq!(
        (added.column(0), added.column(1), added.column(2)),
        (vec![id], vec!["alt_demo"], vec!["pending"])
    );
    assert!(other.table("glance image-list").column(1).is_empty());
    assert_eq!(other.table("glance image-list --member-status pending").column(1), ["ours"]);
    let said = owner.fail(&format!("glance member-update {id} alt_demo accepted"));
    assert!(said.contains("HTTP 403 Forbidden: "), "{said}");
    other.run(&format!("glance member-update {id} alt_demo accepted"));
    assert_eq!(owner.table(&format!("glance member-list --image-id {id}")).column(2), ["accepted"]);
    assert_eq!(other.table("glance image-list").column(1), ["ours"]);
    owner.run(&format!("glance member-delete {id} alt_demo"));
    assert!(other.table("glance image-list").column(1).is_empty());
}

#[test]
fn members_with_the_command_openstack() {
    let catalogue = Catalogue::start();
    let identity = Identity::start(&catalogue.glance.endpoint()).unwrap();
    let [owner, other] = ["demo", "alt_demo"].map(|user| terminal_of(user, &identity.url()));
    let created = owner.json("openstack image create --shared ours -f json");
    let id = created["id"].as_str().unwrap();
    let added = owner.json("openstack image add project ours alt_demo -f json");
    assert_eq!([&added["member_id"], &added["status"]], ["alt_demo", "pending"]);
    let said = other.fail("openstack image show ours");
    assert!(said.contains("No Image found for ours"), "{said}");
    other.run(&format!("openstack image set --accept {id}"));
    assert_eq!(other.run("openstack image list --shared -c Name -f value"), "ours\n");
    let members = owner.json("openstack image member list ours -f json");
    assert_eq!(members, json!([{"Image ID": id, "Member ID": "alt_demo", "Status": "accepted"}]));
    other.run("openstack image set --reject ours");
    assert_eq!(other.run("openstack image list -c Name -f value"), "");
    assert_eq!(owner.run("openstack image remove project ours alt_demo"), "");
    let said = other.fail(&format!("openstack image show {id}"));
    assert!(said.contains("No Image found for "), "{said}");
}
