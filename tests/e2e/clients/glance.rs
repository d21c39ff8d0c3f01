//! python-glanceclient's command `glance`: every command on images.

use crate::{
    clients::{Catalogue, data, operators_terminal, terminal_of},
    terminal::{Table, Terminal},
};
use harness::identity::Identity;

/// The command that the article is about, as it stands there.
const ARTICLES_COMMAND: &str = "glance image-update {image_id} --property {key}={value}";

/// The formats that an image with data must have.
const FORMATS: &str = "--disk-format raw --container-format bare";

/// Runs a command that makes an image, and gives its id.
fn create(terminal: &Terminal, arguments: &str) -> String {
    let created = terminal.table(&format!("glance image-create {arguments}"));
    created.value("id").to_owned()
}

fn show(terminal: &Terminal, id: &str) -> Table {
    terminal.table(&format!("glance image-show {id}"))
}

#[test]
fn an_image_is_registered_changed_and_deleted() {
    let catalogue = Catalogue::start();
    let terminal = operators_terminal(&catalogue.glance);
    let line = format!("glance image-create --name g1 {FORMATS} --property a=b --property hw_disk_bus=ide");
    let created = terminal.table(&line);
    let id = created.value("id");
    let expected =
        [("name", "g1"), ("status", "queued"), ("a", "b"), ("visibility", "shared"), ("size", "None")];
    for (attribute, value) in expected {
        assert_eq!(created.value(attribute), value, "{attribute}");
    }
    assert_eq!(show(&terminal, id).column(1), created.column(1));

    let update = |arguments: &str| terminal.table(&format!("glance image-update {id} {arguments}"));
    let updated = update("--property k=v --property a=c");
    assert_eq!([updated.value("k"), updated.value("a"), updated.value("hw_disk_bus")], ["v", "c", "ide"]);
    let updated = update("--remove-property k");
    assert_eq!(updated.find("k"), None);
    let updated = update("--name 'g1 b' --min-disk 1 --min-ram 512 --visibility public --protected False");
    let changed = ["name", "min_disk", "min_ram", "visibility"].map(|attribute| updated.value(attribute));
    assert_eq!(changed, ["g1 b", "1", "512", "public"]);
    assert_eq!(show(&terminal, id).value("a"), "c");

    assert_eq!(terminal.run(&format!("glance image-delete {id}")), "");
    assert!(terminal.table("glance image-list").column(0).is_empty());
}

#[test]
fn the_articles_command_changes_a_property() {
    let catalogue = Catalogue::start();
    let terminal = operators_terminal(&catalogue.glance);
    let id = create(&terminal, "--name ubuntu --property hw_disk_bus=ide --property os_type=linux");
    for (key, value) in [("hw_disk_bus", "virtio"), ("description", "'A cloud image = small, \"fast\"'")] {
        let line =
            ARTICLES_COMMAND.replace("{image_id}", &id).replace("{key}", key).replace("{value}", value);
        assert_eq!(terminal.table(&line).value(key), value.trim_matches('\''));
    }
    let shown = show(&terminal, &id);
    assert_eq!([shown.value("hw_disk_bus"), shown.value("os_type")], ["virtio", "linux"]);
}

#[test]
fn data_come_back_as_they_went() {
    let catalogue = Catalogue::start();
    let terminal = operators_terminal(&catalogue.glance);
    terminal.write("data.img", data());
    let size = data().len().to_string();
    let with_file = format!("--name g2 {FORMATS} --file data.img --property os_type=linux");
    let created = terminal.table(&format!("glance image-create {with_file}"));
    assert_eq!([created.value("status"), created.value("size")], ["active", &size]);
    assert_eq!([created.value("os_hash_algo"), created.value("os_type")], ["sha512", "linux"]);
    let md5 = terminal.run("md5sum data.img");
    assert_eq!(created.value("checksum"), md5.split(' ').next().unwrap());

    let id = create(&terminal, FORMATS);
    assert_eq!(terminal.run(&format!("glance image-upload --file data.img {id}")), "");
    terminal.run(&format!("glance image-download --file back.img {id}"));
    // Compared like this, so that a failure does not print both.
    assert!(terminal.read("back.img") == data(), "the data differ");

    let piped = format!("glance image-create --name piped {FORMATS} < data.img");
    let id = terminal.table(&piped).value("id").to_owned();
    terminal.run(&format!("glance image-download {id} > piped.img"));
    assert!(terminal.read("piped.img") == data(), "the data differ");
}

#[test]
fn images_are_listed_by_what_they_have() {
    let catalogue = Catalogue::start();
    let terminal = operators_terminal(&catalogue.glance);
    create(&terminal, "--name one --property a=c --tags red");
    create(&terminal, "--name two --property a=c --property b=d");
    create(&terminal, "--name three --property a=d --hidden True --visibility public");
    for (arguments, names) in [
        ("", &["one", "two"][..]),
        ("--property-filter a=c --limit 1", &["one"]),
        ("--property-filter a=c --property-filter b=d", &["two"]),
        // Every image on a page of its own.
        ("--page-size 1 --sort name:desc", &["two", "one"]),
        ("--tag red", &["one"]),
        ("--hidden True", &["three"]),
        ("--visibility public --hidden", &["three"]),
    ] {
        let listed = terminal.table(&format!("glance image-list {arguments}"));
        assert_eq!(listed.column(1), names, "glance image-list {arguments}");
    }
}

#[test]
fn tags_and_actions() {
    let catalogue = Catalogue::start();
    let terminal = operators_terminal(&catalogue.glance);
    terminal.write("data.img", "data");
    let id = create(&terminal, &format!("{FORMATS} --file data.img"));
    terminal.run(&format!("glance image-tag-update {id} t1\nglance image-tag-update {id} t2"));
    assert_eq!(show(&terminal, &id).value("tags"), r#"["t1", "t2"]"#);
    assert_eq!(terminal.run(&format!("glance image-tag-delete {id} t1")), "");
    assert_eq!(show(&terminal, &id).value("tags"), r#"["t2"]"#);
    let said = terminal.fail(&format!("glance image-tag-delete {id} t1"));
    assert!(said.contains("404"), "{said}");

    assert_eq!(terminal.run(&format!("glance image-deactivate {id}")), "");
    assert_eq!(show(&terminal, &id).value("status"), "deactivated");
    assert_eq!(terminal.run(&format!("glance image-reactivate {id}")), "");
    assert_eq!(show(&terminal, &id).value("status"), "active");
}

#[test]
fn the_service_explains_itself() {
    let catalogue = Catalogue::start();
    let terminal = operators_terminal(&catalogue.glance);
    let explained = terminal.table("glance explain image");
    for (attribute, part) in [("os_hidden", "hidden"), ("min_disk", "GiB"), ("checksum", "MD5")] {
        assert!(explained.value(attribute).contains(part), "{explained:?}");
    }
    let help = terminal.run("glance help image-create");
    for option in ["--min-disk", "--visibility", "community, public", "vhdx", "--property"] {
        assert!(help.contains(option), "{option} is missing in:\n{help}");
    }
}

#[test]
fn errors_are_told_in_a_sentence() {
    let catalogue = Catalogue::start();
    let identity = Identity::start(&catalogue.glance.endpoint()).unwrap();
    let terminal = operators_terminal(&catalogue.glance);
    terminal.write("data.img", "data");
    let id = create(&terminal, &format!("{FORMATS} --file data.img --protected True --visibility public"));
    let nobody = "7d2a1c9e-6c1f-4a52-9d0c-5c5f6f7d0a3a";
    let reader = terminal_of("demo_reader", &identity.url());
    for (terminal, command, said) in [
        (&terminal, format!("image-show {nobody}"), "HTTP 404 Not Found: no image "),
        (&terminal, "image-show nonsense".into(), "HTTP 404 Not Found: no image nonsense"),
        (&terminal, format!("image-upload --file data.img {id}"), "HTTP 409 Conflict: "),
        (&terminal, format!("image-delete {id}"), "You are not permitted to delete the image"),
        (&terminal, format!("image-delete {nobody}"), "No image with an ID of "),
        (&terminal, format!("image-update {id} --disk-format qcow2"), "HTTP 403 Forbidden: disk_format "),
        (&terminal, "image-create --property checksum=1".into(), "HTTP 403 Forbidden: checksum "),
        (&terminal, "image-create --min-ram -1".into(), "HTTP 400 Bad Request: min_ram: "),
        (&terminal, "image-list --visibility x".into(), "HTTP 400 Bad Request: visibility: "),
        (&reader, "image-create --name mine".into(), "HTTP 403 Forbidden: "),
    ] {
        let answer = terminal.fail(&format!("glance {command}"));
        assert!(answer.contains(said), "glance {command}: {answer}");
    }
}

/// The client sends such a token percent-encoded.
#[test]
fn a_token_for_development_names_the_caller() {
    let catalogue = Catalogue::start();
    let with =
        |token| Terminal::with([("OS_IMAGE_URL", &*catalogue.glance.endpoint()), ("OS_AUTH_TOKEN", token)]);
    let owner = with("demo:demo:member,reader");
    let id = create(&owner, "--name mine");
    assert_eq!(show(&owner, &id).value("owner"), "demo");
    for (token, command, said) in [
        ("eve:tea:member,reader", format!("image-delete {id}"), "No image with an ID of "),
        ("demo:demo:reader", format!("image-update --name yours {id}"), "HTTP 403 Forbidden: "),
        ("demo:demo:reader", "image-create --name other".into(), "HTTP 403 Forbidden: "),
        ("nonsense", format!("image-show {id}"), "Invalid OpenStack Identity credentials"),
    ] {
        let answer = with(token).fail(&format!("glance {command}"));
        assert!(answer.contains(said), "{token} glance {command}: {answer}");
    }
    assert_eq!(show(&with("x"), &id).value("name"), "mine");
}

#[test]
fn what_is_not_offered_is_said() {
    let catalogue = Catalogue::start();
    let terminal = operators_terminal(&catalogue.glance);
    let methods = terminal.table("glance import-info");
    assert!(methods.value("import-methods").contains(r#""value": []"#), "{methods:?}");
    terminal.write("data.img", "data");
    let id = create(&terminal, "");
    for (command, said) in [
        (format!("location-add --url http://127.0.0.1/x {id}"), "HTTP 403 Forbidden: "),
        (format!("image-stage --file data.img {id}"), "HTTP 404 Not Found: the import method "),
        (
            format!("image-create-via-import {FORMATS} --file data.img"),
            "Import method 'glance-direct' is not valid",
        ),
        ("stores-info".into(), "Multi Backend support is not enabled"),
    ] {
        let answer = terminal.fail(&format!("glance {command}"));
        assert!(answer.contains(said), "glance {command}: {answer}");
    }
}
