//! Images as in real clouds: 30 properties, about 2 KB.

use std::collections::BTreeMap;

use proto::glance::v1::{CreateImageRequest, Image, image::Visibility};
use uuid::Uuid;

/// The flavor of all instances, m1.small.
pub(crate) const FLAVOR: &str = "2";

/// Custom properties of an image.
pub(crate) const PROPERTIES: usize = 30;

/// The same for all images.
const COMMON: [(&str, &str); 21] = [
    ("hw_cpu_cores", "2"),
    ("hw_cpu_sockets", "1"),
    ("hw_cpu_threads", "1"),
    ("hw_machine_type", "q35"),
    ("hw_qemu_guest_agent", "yes"),
    ("hw_rng_model", "virtio"),
    ("hw_scsi_model", "virtio-scsi"),
    ("hw_vif_model", "virtio"),
    ("hw_vif_multiqueue_enabled", "true"),
    ("hw_video_model", "virtio"),
    ("hw_watchdog_action", "reset"),
    ("hypervisor_type", "qemu"),
    ("img_config_drive", "optional"),
    ("license", "Free to use and to pass on under the terms of the licences of its packages"),
    ("maintainer", "Cloud Images Team <cloud-images@example.org>"),
    ("os_admin_user", "cloud-user"),
    ("os_require_quiesce", "yes"),
    ("os_secure_boot", "optional"),
    ("os_shutdown_timeout", "60"),
    ("os_type", "linux"),
    ("release_channel", "stable"),
];

const DISTRIBUTIONS: [&str; 10] =
    ["almalinux", "alpine", "arch", "centos", "debian", "fedora", "opensuse", "rhel", "rocky", "ubuntu"];

/// The id of image number `number`, which SQL can compute: `lpad(to_hex(number), 32, '0')::uuid`.
pub(crate) fn image_id(number: usize) -> String {
    Uuid::from_u128(number as u128).to_string()
}

/// Image number `number`, from 1. There are ten distributions in turn, and one in ten images has the disk bus ide.
pub(crate) fn image(number: usize) -> CreateImageRequest {
    let id = image_id(number);
    let distribution = DISTRIBUTIONS[number % 10];
    let disk_bus = ["ide", "scsi", "scsi", "virtio"][(number / 10 % 10).div_ceil(3)];
    let of_its_own = [
        ("architecture", if number.is_multiple_of(2) { "x86_64" } else { "aarch64" }.to_owned()),
        ("build_id", format!("build-{id}")),
        ("build_number", number.to_string()),
        (
            "description",
            format!("{distribution} for clouds. {}", "It is rebuilt every night. ".repeat(7).trim()),
        ),
        ("hw_disk_bus", disk_bus.to_owned()),
        ("hw_firmware_type", if number.is_multiple_of(3) { "bios" } else { "uefi" }.to_owned()),
        ("os_distro", distribution.to_owned()),
        ("os_version", format!("{}.04", number % 7 + 18)),
        ("source_uri", format!("https://images.example.org/{distribution}/{id}.qcow2")),
    ];
    let common = COMMON.map(|(name, value)| (name, value.to_owned()));
    let properties: BTreeMap<String, String> =
        common.into_iter().chain(of_its_own).map(|(name, value)| (name.to_owned(), value)).collect();
    let image = Image {
        name: format!("{distribution}-{id}"),
        id,
        visibility: Visibility::Public.into(),
        disk_format: "qcow2".to_owned(),
        container_format: "bare".to_owned(),
        size: Some(2_361_393_152),
        min_ram: 512,
        min_disk: 10,
        checksum: "0123456789abcdef0123456789abcdef".to_owned(),
        properties,
        ..Image::default()
    };
    CreateImageRequest { image: Some(image) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_as_many_properties_as_it_says() {
        let buses = (1..=100).map(|number| {
            let properties = image(number).image.unwrap().properties;
            assert_eq!(properties.len(), PROPERTIES);
            properties["hw_disk_bus"].clone()
        });
        assert_eq!(buses.filter(|bus| bus == "ide").count(), 10);
    }
}
