//! What an instance is when it has been created.

use chassis::{on_both_databases, testing::TestDb};
use proto::{
    glance::v1::Image,
    nova::v1::{CreateInstanceRequest, Flavor, InstanceView, ListInstancesRequest, instance::State},
};

use crate::{
    glance::map,
    support::{Nova, made_by, of},
};

on_both_databases!(
    an_instance_carries_everything,
    what_was_created_is_what_is_read_and_listed,
    a_minimal_image_makes_an_instance_too,
    the_name_is_taken_without_the_blanks_around_it,
    a_flavor_with_every_number_is_copied,
    ids_are_taken_in_either_case,
    a_request_without_a_caller_creates_for_nobody,
);

fn ubuntu() -> Image {
    Image {
        name: "ubuntu".to_owned(),
        disk_format: "qcow2".to_owned(),
        container_format: "bare".to_owned(),
        min_ram: 512,
        min_disk: 5,
        size: Some(2_000_000),
        revision: 7,
        properties: map(&[
            ("os_type", "linux"),
            ("architecture", "x86_64"),
            ("vm_mode", "hvm"),
            ("root_device_name", "/dev/vda"),
            ("auto_disk_config", "True"),
            ("hw_disk_bus", "ide"),
        ]),
        ..Image::default()
    }
}

async fn an_instance_carries_everything(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.add(ubuntu());
    let metadata = map(&[("role", "web"), ("empty", "")]);
    let request = CreateInstanceRequest { metadata: metadata.clone(), ..of(&image) };
    let answer = nova.create(made_by("carol", "shop", request)).await.unwrap();
    assert_eq!((answer.requested_count, answer.view()), (1, InstanceView::Full));
    let [instance] = answer.instances.as_slice() else { panic!("one instance was asked for") };

    assert_eq!(instance.reservation_id, answer.reservation_id);
    assert!(instance.reservation_id.starts_with("r-"));
    assert_eq!((instance.name.as_str(), instance.hostname.as_str()), ("web", "web"));
    assert_eq!((instance.project_id.as_str(), instance.user_id.as_str()), ("shop", "carol"));
    assert_eq!((&instance.image_id, instance.image_revision), (&image.id, 7));
    assert_eq!((instance.state(), instance.launch_index), (State::Building, 0));
    assert_eq!((instance.kernel_id.as_str(), instance.ramdisk_id.as_str()), ("", ""));
    assert_eq!((instance.os_type.as_str(), instance.architecture.as_str()), ("linux", "x86_64"));
    assert_eq!((instance.vm_mode.as_str(), instance.root_device_name.as_str()), ("hvm", "/dev/vda"));
    assert!(instance.auto_disk_config);
    assert_eq!(instance.metadata, metadata);
    assert_eq!(instance.truncated_keys, [""; 0]);
    assert!(instance.create_time.is_some());
    assert_eq!(instance.update_time, instance.create_time);
    let expected = Flavor {
        id: "2".to_owned(),
        name: "m1.small".to_owned(),
        memory_mb: 2048,
        vcpus: 1,
        root_gb: 20,
        rxtx_factor: Some(1.0),
        instance_type_id: 2,
        ..Flavor::default()
    };
    assert_eq!(instance.flavor, Some(expected));
    let expected = map(&[
        ("image_architecture", "x86_64"),
        ("image_auto_disk_config", "True"),
        ("image_base_image_ref", &image.id),
        ("image_container_format", "bare"),
        ("image_disk_format", "qcow2"),
        ("image_hw_disk_bus", "ide"),
        ("image_min_disk", "20"),
        ("image_min_ram", "512"),
        ("image_os_type", "linux"),
        ("image_root_device_name", "/dev/vda"),
        ("image_vm_mode", "hvm"),
        ("instance_type_ephemeral_gb", "0"),
        ("instance_type_flavorid", "2"),
        ("instance_type_id", "2"),
        ("instance_type_memory_mb", "2048"),
        ("instance_type_name", "m1.small"),
        ("instance_type_root_gb", "20"),
        ("instance_type_rxtx_factor", "1.0"),
        ("instance_type_swap", "0"),
        ("instance_type_vcpu_weight", ""),
        ("instance_type_vcpus", "1"),
    ]);
    assert_eq!(instance.system_metadata, expected);
}

async fn what_was_created_is_what_is_read_and_listed(db: TestDb) {
    let nova = Nova::start(db).await;
    let mut image = ubuntu();
    image.properties.insert("long".to_owned(), "x".repeat(300));
    image.properties.insert("control \u{1}\"\\\n".to_owned(), "\u{1}\"\\\n\u{10ffff}".to_owned());
    let image = nova.glance.add(image);
    let metadata = map(&[("größe", "großartig 🎉"), ("quote \" and \\", "tab\tnewline\n")]);
    let request = CreateInstanceRequest { max_count: 3, min_count: 3, metadata, ..of(&image) };
    let created = nova.create(request).await.unwrap().instances;
    for instance in &created {
        assert_eq!(nova.get(&instance.id).await.unwrap(), *instance);
    }
    let mut listed = nova.list(ListInstancesRequest::default()).await.unwrap().instances;
    listed.sort_by_key(|instance| instance.launch_index);
    assert_eq!(listed, created);
}

async fn a_minimal_image_makes_an_instance_too(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let instance = nova.create_one(of(&image)).await;
    let of_image = instance.system_metadata.iter().filter(|(key, _)| key.starts_with("image_"));
    let expected =
        map(&[("image_base_image_ref", &image.id), ("image_min_disk", "20"), ("image_min_ram", "0")]);
    assert!(of_image.eq(&expected));
    assert_eq!(instance.system_metadata.len(), 13);
    assert_eq!(instance.metadata.len(), 0);
    assert_eq!(instance.os_type, "");
    assert_eq!(instance.root_device_name, "");
    assert!(!instance.auto_disk_config);
    assert_eq!(nova.get(&instance.id).await.unwrap(), instance);
}

async fn the_name_is_taken_without_the_blanks_around_it(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let name = "\t My Web_Server.1 \n".to_owned();
    let instance = nova.create_one(CreateInstanceRequest { name, ..of(&image) }).await;
    assert_eq!((instance.name.as_str(), instance.hostname.as_str()), ("My Web_Server.1", "my-web-server-1"));

    // 255 characters, each of four bytes, without one that a host name may have.
    let name = "🎉".repeat(255);
    let instance = nova.create_one(CreateInstanceRequest { name: name.clone(), ..of(&image) }).await;
    assert_eq!(instance.name, name);
    assert_eq!(instance.hostname, format!("Server-{}", instance.id));
}

async fn a_flavor_with_every_number_is_copied(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let flavor = Flavor {
        id: "größe \"x\"".to_owned(),
        name: "n".repeat(255),
        memory_mb: i32::MAX,
        vcpus: i32::MAX,
        root_gb: i32::MAX,
        ephemeral_gb: i32::MAX,
        swap: i32::MAX,
        rxtx_factor: Some(0.1),
        vcpu_weight: Some(0),
        ..Flavor::default()
    };
    let request = proto::nova::v1::CreateFlavorRequest { flavor: Some(flavor) };
    let flavor = nova.flavors().create_flavor(request).await.unwrap().into_inner();
    let instance =
        nova.create_one(CreateInstanceRequest { flavor_id: flavor.id.clone(), ..of(&image) }).await;
    assert_eq!(instance.flavor, Some(Flavor { create_time: None, ..flavor }));
    let remembered = |name: &str| instance.system_metadata[&format!("instance_type_{name}")].clone();
    assert_eq!((remembered("rxtx_factor"), remembered("vcpu_weight")), ("0.1".to_owned(), "0".to_owned()));
    assert_eq!((remembered("id"), remembered("flavorid")), ("6".to_owned(), "größe \"x\"".to_owned()));
    assert_eq!(instance.system_metadata["image_min_disk"], i32::MAX.to_string());
    assert_eq!(nova.get(&instance.id).await.unwrap(), instance);
}

async fn ids_are_taken_in_either_case(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let image_id = image.id.to_uppercase();
    let instance = nova.create_one(CreateInstanceRequest { image_id, ..of(&image) }).await;
    assert_eq!(instance.image_id, image.id);
    assert_eq!(instance.system_metadata["image_base_image_ref"], image.id);
    assert_eq!(nova.get(&instance.id.to_uppercase()).await.unwrap(), instance);
}

async fn a_request_without_a_caller_creates_for_nobody(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let answer = nova.instances().create_instance(of(&image)).await.unwrap().into_inner();
    let instance = &answer.instances[0];
    assert_eq!((instance.project_id.as_str(), instance.user_id.as_str()), ("", ""));
}
