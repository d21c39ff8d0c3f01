//! python-openstackclient's command `openstack`: its commands on images, with every way to authenticate.

use harness::identity::{Identity, PASSWORD};
use serde_json::{Deserializer, Value, json};

use crate::{
    clients::{Catalogue, data, terminal_of},
    terminal::Terminal,
};

const CREATE: &str = "image create --disk-format raw --container-format bare";

/// A terminal with a `clouds.yaml` that names the service in three ways, as in OpenStack's documentation.
fn terminal(catalogue: &Catalogue, identity: &Identity) -> Terminal {
    let terminal = Terminal::with([]);
    let image = catalogue.glance.endpoint();
    let cloud = |auth_type: &str, auth: Value| json!({"auth_type": auth_type, "auth": auth, "image_endpoint_override": &image, "identity_api_version": "3"});
    let account = json!({
        "auth_url": identity.url(), "username": "admin", "password": PASSWORD, "project_name": "admin",
        "user_domain_name": "Default", "project_domain_name": "Default",
    });
    let clouds = json!({"clouds": {
        "none": cloud("none", json!({"endpoint": &image})),
        "token": cloud("admin_token", json!({"endpoint": &image, "token": "x"})),
        // This one finds the service in the catalog.
        "password": {"auth": account, "identity_api_version": "3"},
    }});
    // JSON is YAML.
    terminal.write("clouds.yaml", clouds.to_string());
    terminal
}

/// What everybody does with images.
const SESSION: &str = "\
image create --disk-format raw --container-format bare --file data.img --property a=b --property hw_disk_bus=ide \
--min-disk 1 o1 -f json
image set --property k=v --property a=c o1
image unset --property k o1
image set --name o1b --tag t1 --public o1
image show o1b -f json
image list --property a=c --long -f json
image list --property a=b -f json
image save --file back.img o1b
image delete o1b
image list -f json";

/// Runs the session, which `print` gives to the clients, and checks what they print and save.
fn check_session(print: impl FnOnce(&Terminal) -> String) {
    let catalogue = Catalogue::start();
    let identity = Identity::start(&catalogue.glance.endpoint()).unwrap();
    let terminal = terminal(&catalogue, &identity);
    terminal.write("data.img", data());
    let printed = print(&terminal);
    let answers: Vec<Value> = Deserializer::from_str(&printed).into_iter().map(Result::unwrap).collect();
    let [created, shown, with_c, with_b, left] = answers.as_slice() else { panic!("{printed}") };

    assert_eq!([&created["status"], &created["min_disk"]], [&json!("active"), &json!(1)]);
    assert_eq!([&created["size"], &shown["id"]], [&json!(data().len()), &created["id"]]);
    assert_eq!([&shown["name"], &shown["visibility"]], ["o1b", "public"]);
    assert_eq!(shown["tags"], json!(["t1"]));
    let properties = &shown["properties"];
    assert_eq!([&properties["a"], &properties["hw_disk_bus"]], ["c", "ide"]);
    assert_eq!(properties.get("k"), None);
    assert_eq!([&with_c[0]["Name"], &with_c[0]["Checksum"]], [&shown["name"], &shown["checksum"]]);
    assert_eq!([with_b, left], [&json!([]), &json!([])]);
    assert!(terminal.read("back.img") == data(), "the data differ");
}

/// One start of the client, which reads the session.
fn in_one_go(cloud: &str) {
    check_session(|terminal| {
        terminal.write("session", SESSION);
        // It always exits with 1, so that only standard error tells of failures.
        terminal.run(&format!("OS_CLOUD={cloud} openstack < session || true"))
    });
}

#[test]
fn works_without_a_token() {
    in_one_go("none");
}

#[test]
fn works_with_a_fixed_token() {
    in_one_go("token");
}

#[test]
fn works_with_a_password() {
    // Each command logs in anew.
    check_session(|terminal| {
        SESSION.lines().map(|line| terminal.run(&format!("openstack --os-cloud password {line}"))).collect()
    });
}

/// The names of the images that `line` lists.
fn names(terminal: &Terminal, line: &str) -> Vec<String> {
    let listed = terminal.json(line);
    listed.as_array().unwrap().iter().map(|image| image["Name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn needs_no_file_to_know_where_images_are() {
    let catalogue = Catalogue::start();
    let terminal = Terminal::with([("URL", &catalogue.glance.endpoint())]);
    let none = "openstack --os-auth-type none --os-endpoint $URL";
    // With a token, it uses the endpoint as it is, which must include the version.
    let token = "openstack --os-auth-type admin_token --os-token x --os-endpoint $URL/v2";
    let created = terminal.json(&format!("{none} image create --property a=b here -f json"));
    let id = created["id"].as_str().unwrap();
    assert_eq!(names(&terminal, &format!("{none} image list -f json")), ["here"]);
    for by in ["here", id] {
        let shown = terminal.json(&format!("{token} image show {by} -f json"));
        assert_eq!([&shown["id"], &shown["properties"]["a"]], [id, "b"]);
    }
}

#[test]
fn everything_that_can_be_set() {
    let catalogue = Catalogue::start();
    let identity = Identity::start(&catalogue.glance.endpoint()).unwrap();
    let terminal = terminal_of("demo", &identity.url());
    terminal.write("data.img", "data");
    let line = format!("openstack {CREATE} --file data.img --private --tag old --property a=b mine -f json");
    let created = terminal.json(&line);
    assert_eq!([&created["owner"], &created["visibility"]], ["demo", "private"]);
    let id = created["id"].as_str().unwrap();
    let line = "image set --min-ram 64 --hidden --protected --community --os-distro ubuntu --tag new";
    terminal.run(&format!("openstack {line} {id}"));
    terminal.run(&format!("openstack image unset --tag old --property a {id}"));
    let shown = terminal.json(&format!("openstack image show {id} -f json"));
    assert_eq!([&shown["min_ram"], &shown["protected"]], [&json!(64), &json!(true)]);
    assert_eq!([&shown["visibility"], &shown["tags"]], [&json!("community"), &json!(["new"])]);
    let properties = &shown["properties"];
    assert_eq!([&properties["os_hidden"], &properties["os_distro"]], [&json!(true), &json!("ubuntu")]);
    assert_eq!(properties.get("a"), None);
    assert_eq!(names(&terminal, "openstack image list --hidden -f json"), ["mine"]);
    assert!(names(&terminal, "openstack image list -f json").is_empty());
}

#[test]
fn an_operator_takes_an_image_out_of_use() {
    let catalogue = Catalogue::start();
    let identity = Identity::start(&catalogue.glance.endpoint()).unwrap();
    let [operator, user] = ["admin", "demo"].map(|user| terminal_of(user, &identity.url()));
    operator.write("data.img", "data");
    operator.run(&format!("openstack {CREATE} --file data.img --public taken -f json"));
    operator.run("openstack image set --deactivate taken");
    let status = |terminal: &Terminal| terminal.run("openstack image show taken -c status -f value");
    assert_eq!(status(&user), "deactivated\n");
    // It takes the error for data, and finds that the checksum is wrong.
    let said = user.fail("openstack image save taken");
    assert!(said.contains("checksum mismatch"), "{said}");
    operator.run("openstack image set --activate taken");
    assert_eq!(user.run("openstack image save taken"), "data");
}

#[test]
fn errors_are_told_in_a_sentence() {
    let catalogue = Catalogue::start();
    let identity = Identity::start(&catalogue.glance.endpoint()).unwrap();
    let [user, reader] = ["demo", "demo_reader"].map(|user| terminal_of(user, &identity.url()));
    user.run("openstack image create --protected mine -f json");
    for (terminal, command, said) in [
        (&user, "image show nope", "No Image found for nope"),
        (&user, "image delete mine", "403 Forbidden: image "),
        (&user, "image set --public mine", "403 Forbidden: not permitted to make an image public"),
        (&user, "image create --property checksum=1 x", "403 Forbidden: checksum "),
        (&reader, "image set --property a=b mine", "403 Forbidden: "),
    ] {
        let answer = terminal.fail(&format!("openstack {command}"));
        assert!(answer.contains(said), "openstack {command}: {answer}");
    }
    assert_eq!(names(&user, "openstack image list -f json"), ["mine"]);
}
