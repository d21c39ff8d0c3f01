//! openstacksdk, the library below `openstack`, Ansible's modules and much else: its proxy of the image service.

use std::process::Command;

use harness::{
    identity::{Identity, PASSWORD},
    program, tools, workspace,
};

use crate::clients::Catalogue;

#[test]
fn the_image_proxy_works() {
    let catalogue = Catalogue::start();
    let identity = Identity::start(&catalogue.glance.endpoint()).unwrap();
    let script = workspace::root().join("tests/e2e/clients/image_proxy.py");
    let mut python = Command::new(tools::clients_python().unwrap());
    // Isolated: no settings of whoever runs the tests.
    python.arg("-I").arg(script).args([&identity.url(), PASSWORD]).env_clear();
    assert_eq!(program::run(&mut python).unwrap(), "done\n");
}
