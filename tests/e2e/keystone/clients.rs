//! OpenStack's clients, as their users run them.

use serde_json::{Deserializer, Value, json};

use super::{Cloud, terminal};
use crate::terminal::Terminal;

/// What everybody does with images.
const SESSION: &str = "\
openstack image create --disk-format raw --container-format bare --file data.img --property a=b o1 -f json
openstack image set --property k=v o1
openstack image list -f json
openstack image show o1 -f json
openstack image save --file back.img o1";

#[test]
fn who_has_a_password_works_in_its_project() {
    let cloud = Cloud::start(&[]);
    let owner = terminal(&cloud.keystone, "demo", "demo");
    let data: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    owner.write("data.img", &data);
    let printed = owner.run(SESSION);
    let answers: Vec<Value> = Deserializer::from_str(&printed).into_iter().map(Result::unwrap).collect();
    let [created, listed, shown] = answers.as_slice() else { panic!("{printed}") };
    assert_eq!([&created["status"], &created["size"]], [&json!("active"), &json!(data.len())]);
    assert_eq!(listed[0]["ID"], created["id"]);
    assert_eq!([&shown["properties"]["a"], &shown["properties"]["k"]], ["b", "v"]);
    let projects = owner.json("openstack token issue -f json");
    assert_eq!(shown["owner"], projects["project_id"], "Keystone says whose it is");
    assert!(owner.read("back.img") == data);

    // A reader reads, and somebody in another project sees nothing.
    let id = created["id"].as_str().unwrap();
    let reader = terminal(&cloud.keystone, "demo_reader", "demo");
    assert_eq!(reader.json(&format!("openstack image show {id} -f json"))["id"], id);
    assert!(reader.fail(&format!("openstack image delete {id}")).contains("not permitted"));
    let other = terminal(&cloud.keystone, "alt_demo", "alt_demo");
    assert!(other.fail(&format!("openstack image show {id}")).contains("No Image found"));
    assert_eq!(other.json("openstack image list -f json"), json!([]));

    // An operator sees all, and who owns it deletes it.
    let operator = terminal(&cloud.keystone, "admin", "admin");
    assert_eq!(operator.json(&format!("openstack image show {id} -f json"))["id"], id);
    owner.run(&format!("openstack image delete {id}"));
    assert_eq!(owner.json("openstack image list -f json"), json!([]));
}

#[test]
fn an_application_credential_is_as_good() {
    let cloud = Cloud::start(&[]);
    let owner = terminal(&cloud.keystone, "demo", "demo");
    let credential =
        owner.json("openstack application credential create --role reader --secret s3cret robot -f json");
    let id = credential["id"].as_str().unwrap_or_else(|| credential["ID"].as_str().unwrap());
    let robot = Terminal::with([
        ("OS_AUTH_TYPE", "v3applicationcredential"),
        ("OS_AUTH_URL", &cloud.keystone.url()),
        ("OS_APPLICATION_CREDENTIAL_ID", id),
        ("OS_APPLICATION_CREDENTIAL_SECRET", "s3cret"),
        ("OS_IDENTITY_API_VERSION", "3"),
    ]);
    assert_eq!(robot.json("openstack image list -f json"), json!([]));
    let create = "openstack image create --disk-format raw --container-format bare o1";
    assert!(robot.fail(create).contains("not permitted"), "its role is that of a reader");
}
