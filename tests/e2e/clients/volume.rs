//! OpenStack's clients on volumes, against cinder-svc and the glance-svc that it calls: the command `openstack`, and
//! openstacksdk.

use std::process::Command;

use harness::{program, service::Service, tools, workspace};
use serde_json::{Deserializer, Value, json};

use crate::{clients::Catalogue, terminal::Terminal, world::start_cinder};
use chassis::testing::TestDb;

/// An image catalogue and a volume service.
struct Volumes {
    cinder: Service,
    _db: TestDb,
    catalogue: Catalogue,
}

impl Volumes {
    fn start() -> Self {
        let (catalogue, db) = (Catalogue::start(), TestDb::sqlite());
        let cinder = start_cinder(&db.url, &catalogue.glance.endpoint(), "none");
        Self { cinder, _db: db, catalogue }
    }

    /// A terminal with a `clouds.yaml` that names both services, with and without the project in the path.
    fn terminal(&self) -> Terminal {
        let terminal = Terminal::with([]);
        let (image, volume) = (self.catalogue.glance.endpoint(), self.cinder.endpoint());
        let cloud = |token: &str, path: &str| {
            let volume = format!("{volume}{path}");
            json!({
                "auth_type": "admin_token", "auth": {"endpoint": &volume, "token": token},
                "image_endpoint_override": &image, "block_storage_endpoint_override": &volume,
                "identity_api_version": "3",
            })
        };
        let clouds = json!({"clouds": {
            "alice": cloud("alice:demo:member", "/v3"),
            "in_project": cloud("alice:demo:member", "/v3/demo"),
            "root": cloud("root:admin:admin", "/v3"),
        }});
        // JSON is YAML.
        terminal.write("clouds.yaml", clouds.to_string());
        terminal
    }
}

/// What everybody does with volumes.
const SESSION: &str = "\
image create --disk-format raw --container-format bare --file data.img --property os_distro=debian \
--property hw_disk_bus=ide i1 -f json
volume create --size 1 --image i1 --property a=b --bootable v1 -f json
volume set --property k=v --name v1b --image-property hw_disk_bus=scsi --image-property new=1 v1
volume unset --property a --image-property new v1b
volume set --size 2 --read-only v1b
volume show v1b -f json
volume list --name v1b --long -f json
volume list --property k=v -f json
volume list --property k=w -f json
volume snapshot create --volume v1b s1 -f json
volume snapshot set --property x=y --name s1b s1
volume snapshot show s1b -f json
volume snapshot list -f json
volume create --snapshot s1b v2 -f json
volume show v2 -f json
volume create --source v1b v3 -f json
volume show v3 -f json
volume delete v2 v3
volume snapshot delete s1b
volume delete v1b
volume list -f json";

/// Runs the session in one start of the client, and checks what it prints.
fn check_session(cloud: &str) {
    let volumes = Volumes::start();
    let terminal = volumes.terminal();
    terminal.write("data.img", "data");
    terminal.write("session", SESSION);
    // It always exits with 1, so that only standard error tells of failures.
    let printed = terminal.run(&format!("OS_CLOUD={cloud} openstack < session || true"));
    let answers: Vec<Value> = Deserializer::from_str(&printed).into_iter().map(Result::unwrap).collect();
    let [image, created, shown, named, with_v, with_w, taken, snapshot, snapshots, _, copy, _, clone, left] =
        answers.as_slice()
    else {
        panic!("{printed}")
    };
    assert_eq!([&created["status"], &created["type"]], ["available", "__DEFAULT__"]);
    assert_eq!((&shown["name"], &shown["size"]), (&json!("v1b"), &json!(2)));
    assert_eq!(shown["properties"], json!({"k": "v", "readonly": "True"}));
    let remembered = &shown["volume_image_metadata"];
    let from = (&image["id"], &json!("debian"));
    assert_eq!((&remembered["image_id"], &remembered["os_distro"]), from);
    assert_eq!((&remembered["hw_disk_bus"], remembered.get("new")), (&json!("scsi"), None));
    assert_eq!([&named[0]["ID"], &with_v[0]["ID"]], [&created["id"], &created["id"]]);
    assert_eq!((with_w, left), (&json!([]), &json!([])));
    assert_eq!((&taken["volume_id"], &snapshot["properties"]), (&created["id"], &json!({"x": "y"})));
    assert_eq!(snapshots[0]["Name"], "s1b");
    for copied in [copy, clone] {
        assert_eq!(&copied["volume_image_metadata"], remembered);
        assert_eq!(copied["size"], 2);
    }
}

#[test]
fn everybody_works_with_volumes() {
    check_session("alice");
}

#[test]
fn the_path_may_name_the_project() {
    check_session("in_project");
}

#[test]
fn operators_manage_volume_types() {
    let volumes = Volumes::start();
    let terminal = volumes.terminal();
    let root = |line: &str| terminal.run(&format!("openstack --os-cloud root volume {line}"));
    let created = root("type create --description fast --property multiattach='<is> True' ssd -f json");
    let created: Value = serde_json::from_str(&created).unwrap();
    assert_eq!([&created["name"], &created["description"]], ["ssd", "fast"]);
    root("type set --property volume_backend_name=lvm ssd");
    let shown: Value = serde_json::from_str(&root("type show ssd -f json")).unwrap();
    let specs = json!({"multiattach": "<is> True", "volume_backend_name": "lvm"});
    assert_eq!(shown["properties"], specs);
    let alice = |line: &str| terminal.run(&format!("openstack --os-cloud alice volume {line}"));
    let volume: Value = serde_json::from_str(&alice("create --size 1 --type ssd v1 -f json")).unwrap();
    assert_eq!((&volume["type"], &volume["multiattach"]), (&json!("ssd"), &json!(true)));
    let listed: Value = serde_json::from_str(&alice("type list -f json")).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    alice("delete v1");
    root("type unset --property volume_backend_name ssd");
    root("type delete ssd");
}

#[test]
fn the_block_storage_proxy_works() {
    let volumes = Volumes::start();
    let script = workspace::root().join("tests/e2e/clients/volume_proxy.py");
    let mut python = Command::new(tools::clients_python().unwrap());
    // Isolated: no settings of whoever runs the tests.
    python.arg("-I").arg(script).arg(volumes.cinder.endpoint()).env_clear();
    assert_eq!(program::run(&mut python).unwrap(), "done\n");
}

#[test]
fn cinder_works_with_volumes() {
    let volumes = Volumes::start();
    let terminal = Terminal::with([]);
    let endpoint = format!("{}/v3", volumes.cinder.endpoint());
    let cinder = |line: &str| {
        let caller = "--os-auth-type noauth --os-user-id alice --os-project-id demo";
        let service = format!("--os-endpoint {endpoint} --os-volume-api-version 3.71");
        terminal.run(&format!("cinder {caller} {service} {line}"))
    };
    cinder("create --name v1 1");
    cinder("extend v1 2");
    let shown = cinder("show v1");
    assert!(
        shown.contains("| available ") && shown.contains("| size                         | 2 "),
        "{shown}"
    );
    cinder("image-metadata v1 set os_distro=debian hw_disk_bus=scsi");
    cinder("image-metadata v1 unset hw_disk_bus");
    let remembered = cinder("image-metadata-show v1");
    assert!(remembered.contains("| os_distro ") && !remembered.contains("hw_disk_bus"), "{remembered}");
    assert!(cinder("list --image_metadata os_distro=debian").contains("| v1 "));
    let uploading = cinder("upload-to-image v1 i1");
    assert!(uploading.contains("| image_name "), "{uploading}");
    cinder("snapshot-create --name s1 v1");
    assert!(cinder("snapshot-list").contains("| s1 "));
    cinder("snapshot-delete s1");
    cinder("delete v1");
    assert!(!cinder("list").contains("| v1 "));
}
