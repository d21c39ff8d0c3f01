use proptest::prelude::*;

use super::{super::together::LOCAL_LIMIT, *};
use crate::instance::block_device::check_local;

const IMAGE: &str = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11";
const OTHER: &str = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f12";

fn volume(source: NewSource) -> NewBlockDevice {
    NewBlockDevice {
        source: Some(source),
        destination: Some(Destination::Volume),
        ..NewBlockDevice::default()
    }
}

fn root(source: NewSource) -> NewBlockDevice {
    NewBlockDevice { boot_index: Some(0), ..volume(source) }
}

fn blank(size_gib: i32) -> NewBlockDevice {
    NewBlockDevice { size_gib, ..volume(NewSource::Blank(true)) }
}

fn local(device: NewBlockDevice) -> NewBlockDevice {
    NewBlockDevice { destination: Some(Destination::Local), ..device }
}

fn image() -> NewSource {
    NewSource::Image(IMAGE.to_owned())
}

fn existing(id: &str) -> NewSource {
    NewSource::Volume(id.to_owned())
}

/// The fields that are wrong, without the name of the list, for up to `count` instances of that image.
fn wrong(devices: Vec<NewBlockDevice>, image_id: Option<&str>, count: usize) -> Vec<String> {
    let mut violations = Violations::default();
    check(devices, image_id.map(|id| id.parse().unwrap()), count, &mut violations);
    let listed = violations.listed();
    listed.iter().map(|one| one.field.trim_start_matches("block_device_mapping").to_owned()).collect()
}

#[test]
fn disks_that_go_together_are_accepted() {
    let at = |boot_index, device| NewBlockDevice { boot_index: Some(boot_index), ..device };
    let snapshot = || NewSource::Snapshot(OTHER.to_owned());
    let swap = NewBlockDevice { guest_format: "swap".to_owned(), ..local(blank(0)) };
    for (devices, image_id) in [
        (vec![root(image())], None),
        (vec![root(existing(IMAGE)), blank(1), local(blank(1)), swap], None),
        (vec![at(1, volume(snapshot())), root(snapshot()), at(-1, blank(1))], None),
        (vec![local(root(image())), volume(existing(OTHER))], Some(IMAGE)),
        (vec![at(1, volume(existing(OTHER)))], Some(IMAGE)),
    ] {
        assert_eq!(wrong(devices.clone(), image_id, 1), [""; 0], "{devices:?}");
    }
}

#[test]
fn each_rule_names_its_field() {
    let with = |change: fn(&mut NewBlockDevice), mut device: NewBlockDevice| {
        change(&mut device);
        vec![root(existing(OTHER)), device]
    };
    for (devices, field) in [
        (with(|device| device.source = None, blank(1)), "[1].source"),
        (with(|device| device.source = Some(NewSource::Blank(false)), blank(1)), "[1].blank"),
        (with(|device| device.destination = None, blank(1)), "[1].destination"),
        (with(|_| {}, local(volume(existing(IMAGE)))), "[1].destination"),
        (with(|_| {}, local(volume(image()))), "[1].destination"),
        (with(|_| {}, volume(NewSource::Image("jammy".to_owned()))), "[1].image_id"),
        (with(|_| {}, blank(0)), "[1].volume_size_gib"),
        (with(|_| {}, blank(-1)), "[1].volume_size_gib"),
        (with(|device| device.size_gib = 1, volume(existing(IMAGE))), "[1].volume_size_gib"),
        (with(|device| device.volume_type = "fast".to_owned(), volume(existing(IMAGE))), "[1].volume_type"),
        (with(|device| device.volume_type = "fast".to_owned(), local(blank(1))), "[1].volume_type"),
        (with(|device| device.guest_format = "ext4".to_owned(), blank(1)), "[1].guest_format"),
        (with(|device| device.disk_bus = "pci".to_owned(), blank(1)), "[1].disk_bus"),
        (with(|device| device.device_type = "tape".to_owned(), blank(1)), "[1].device_type"),
        (with(|device| device.device_name = "vd b".to_owned(), blank(1)), "[1].device_name"),
        (with(|device| device.tag = "a/b".to_owned(), blank(1)), "[1].tag"),
        (with(|device| device.tag = "x".repeat(61), blank(1)), "[1].tag"),
        (with(|device| device.boot_index = Some(0), volume(image())), "[1].boot_index"),
        (with(|device| device.boot_index = Some(2), blank(1)), ""),
        (with(|_| {}, volume(existing(OTHER))), "[1].volume_id"),
        (vec![blank(1)], "image_id"),
        (vec![NewBlockDevice { boot_index: Some(0), ..blank(1) }], "[0].boot_index"),
    ] {
        assert!(wrong(devices.clone(), None, 1).contains(&field.to_owned()), "{field}: {devices:?}");
    }
}

#[test]
fn an_image_of_the_request_is_the_first_disk() {
    assert_eq!(wrong(vec![root(existing(OTHER))], Some(IMAGE), 1), ["[0].boot_index"]);
    assert_eq!(wrong(vec![local(root(image()))], Some(OTHER), 1), ["[0].image_id"]);
    assert_eq!(wrong(vec![local(root(image()))], None, 1), ["[0].image_id"]);
}

#[test]
fn there_are_no_more_disks_than_allowed() {
    let blanks = |count| std::iter::repeat_n(blank(1), count).collect::<Vec<_>>();
    assert_eq!(wrong(blanks(DEVICE_LIMIT), Some(IMAGE), 3), [""; 0]);
    assert_eq!(wrong(blanks(DEVICE_LIMIT), Some(IMAGE), 4), [""]);
    assert_eq!(wrong(blanks(DEVICE_LIMIT + 1), Some(IMAGE), 1), [""]);
    let locals = |count| std::iter::repeat_n(local(blank(1)), count).collect::<Vec<_>>();
    assert_eq!(wrong(locals(LOCAL_LIMIT), Some(IMAGE), 1), [""; 0]);
    assert_eq!(wrong(locals(LOCAL_LIMIT + 1), Some(IMAGE), 1), [""]);
    assert_eq!(wrong(vec![volume(existing(OTHER))], Some(IMAGE), 2), ["[0].volume_id"]);
}

#[test]
fn disks_on_the_host_fit_into_the_flavor() {
    let flavor = common::flavor::Flavor {
        instance_type_id: 2,
        flavorid: "2".to_owned(),
        name: "m1.small".to_owned(),
        memory_mb: 2048,
        vcpus: 1,
        root_gb: 20,
        ephemeral_gb: 3,
        swap: 0,
        rxtx_factor: 1.0,
        vcpu_weight: None,
    };
    let swap = || NewBlockDevice { guest_format: "swap".to_owned(), ..local(blank(0)) };
    let fits = |devices| {
        let mut violations = Violations::default();
        let mappings = check(devices, IMAGE.parse().ok(), 1, &mut violations);
        violations.check().unwrap();
        check_local(&mappings, &flavor).is_ok()
    };
    assert!(fits(vec![local(blank(1)), local(blank(2))]));
    assert!(fits(vec![local(blank(0))]));
    assert!(!fits(vec![local(blank(1)), local(blank(3))]));
    assert!(!fits(vec![local(blank(0)), local(blank(0))]));
    assert!(!fits(vec![swap()]));
}

proptest! {
    /// Whatever is accepted has exactly one disk to boot from, and boot indexes without gaps.
    #[test]
    fn boot_indexes_have_no_gaps(indexes in prop::collection::vec(-1..4, 1..5), has_image: bool) {
        let devices: Vec<_> = indexes
            .iter()
            .map(|index| NewBlockDevice { boot_index: Some(*index), ..volume(NewSource::Snapshot(OTHER.to_owned())) })
            .collect();
        let mut taken: Vec<_> = indexes.iter().copied().filter(|index| *index >= 0).collect();
        if has_image {
            taken.push(0);
        }
        taken.sort_unstable();
        let is_right = !taken.is_empty() && taken.iter().copied().eq(0..i32::try_from(taken.len()).unwrap());
        prop_assert_eq!(wrong(devices, has_image.then_some(IMAGE), 1).is_empty(), is_right);
    }
}
