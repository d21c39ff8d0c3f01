//! The flow itself, over real gRPC: register, update, create a volume and instances, read.

use std::collections::BTreeMap;

use proto::{
    cinder::v1::{self as cinder, volume_service_client::VolumeServiceClient},
    glance::v1::{self as glance, image_service_client::ImageServiceClient},
    nova::v1::{self as nova, instance_service_client::InstanceServiceClient},
};
use tonic::Request;

use super::Services;

/// What the demo found along the way.
pub(super) struct Journey {
    /// The image as it was registered.
    pub(super) registered: glance::Image,
    /// The image as the volume and the instance were made from it.
    pub(super) image: glance::Image,
    /// The volume as it is read back.
    pub(super) volume: cinder::Volume,
    /// The instance as it is read back.
    pub(super) instance: nova::Instance,
    /// How many instances the request created.
    pub(super) created: usize,
}

/// Registers an image, changes a property, creates a volume and two instances from it, and reads them back.
pub(super) async fn run(services: &Services) -> anyhow::Result<Journey> {
    let Services { glance, nova, cinder } = services;
    let mut images = ImageServiceClient::connect(format!("http://{glance}")).await?;
    let mut instances = InstanceServiceClient::connect(format!("http://{nova}")).await?;
    let mut volumes = VolumeServiceClient::connect(format!("http://{cinder}")).await?;

    let registered = images.create_image(by_alice(new_image())).await?.into_inner();
    let change = glance::UpdateImagePropertiesRequest {
        image_id: registered.id.clone(),
        set: properties(&[("hw_disk_bus", "virtio")]),
        ..Default::default()
    };
    let image = images.update_image_properties(by_alice(change)).await?.into_inner();

    let create = cinder::CreateVolumeRequest {
        name: "root".to_owned(),
        source: Some(cinder::create_volume_request::Source::ImageId(image.id.clone())),
        ..Default::default()
    };
    let id = volumes.create_volume(by_alice(create)).await?.into_inner().id;
    let read = cinder::GetVolumeRequest { id, ..Default::default() };
    let volume = volumes.get_volume(by_alice(read)).await?.into_inner();

    let create = nova::CreateInstanceRequest {
        name: "web".to_owned(),
        image_id: image.id.clone(),
        flavor_id: "2".to_owned(),
        min_count: 2,
        ..Default::default()
    };
    let created = instances.create_instance(by_alice(create)).await?.into_inner().instances;
    let id = created.first().map(|instance| instance.id.clone()).unwrap_or_default();
    let instance = instances.get_instance(nova::GetInstanceRequest { id }).await?.into_inner();
    Ok(Journey { registered, image, volume, instance, created: created.len() })
}

fn new_image() -> glance::CreateImageRequest {
    let description = "A cloud image whose description is longer than system metadata keeps. ".repeat(5);
    let properties = properties(&[
        ("architecture", "x86_64"),
        ("description", &description),
        ("hw_disk_bus", "ide"),
        ("os_distro", "ubuntu"),
        ("os_type", "linux"),
    ]);
    let image = glance::Image {
        name: "ubuntu-24.04".to_owned(),
        size: Some(2_361_393_152),
        disk_format: "qcow2".to_owned(),
        container_format: "bare".to_owned(),
        min_ram: 512,
        min_disk: 10,
        properties,
        ..Default::default()
    };
    glance::CreateImageRequest { image: Some(image) }
}

fn properties(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn by_alice<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-user-id", "alice".parse().expect("ASCII"));
    request.metadata_mut().insert("x-project-id", "demo".parse().expect("ASCII"));
    request
}
