//! The data of volumes in a folder: cinder-svc and glance-svc as real programs.

use std::fs;

use chassis::{on_both_databases, testing::TestDb};
use proto::{
    cinder::v1::{Volume, WriteVolumeDataRequest, snapshot, volume::Status, write_volume_data_request::Part},
    glance::v1::image,
};
use tonic::Code;

mod disk;
mod world;

use disk::{MIB, encrypted, noise, qcow2, truncated, with_backing_file};
use world::{World, blank, bytes, copy_of, from_snapshot, of_image, sha512, zeros};

on_both_databases!(
    a_volume_has_the_data_of_its_image,
    images_that_are_not_all_of_a_disk_are_refused,
    images_in_other_formats_are_converted_by_qemu_img,
    qemu_img_reads_no_other_file,
    data_that_is_not_the_images_is_refused,
    a_copy_is_a_volume_of_its_own,
    data_follows_the_operations,
    an_image_is_made_from_a_volume,
    an_upload_goes_on_after_a_crash,
    a_snapshot_keeps_the_data_of_its_moment,
    data_is_read_and_written_as_a_stream,
    a_write_that_breaks_off_changes_nothing,
    a_full_disk_is_an_error_and_space_is_given_back,
    a_folder_that_is_away_is_an_error_and_nothing_is_forgotten,
    what_a_process_that_died_was_doing_is_ended_by_the_next_one,
);

/// Why a volume could not be created.
#[track_caller]
fn failure(volume: &Volume) -> &str {
    assert_eq!(volume.status(), Status::Error, "{volume:?}");
    &volume.last_failure.as_ref().unwrap().reason
}

async fn a_volume_has_the_data_of_its_image(db: TestDb) {
    let world = World::start(db).await;
    let disk = noise(3 * MIB + 512);
    for (format, bytes) in [("raw", disk.clone()), ("iso", disk.clone()), ("qcow2", qcow2(&disk))] {
        let image = world.image(format, &bytes).await;
        let volume = world.created(of_image(&image, 1)).await;
        assert_eq!(volume.status(), Status::Available, "{format}: {volume:?}");
        assert_eq!(volume.image.as_ref().unwrap().id, image);
        let (data, taken) = world.data_of(&volume).await;
        assert_eq!(data.len(), 1024 * MIB);
        assert!(data.starts_with(&disk) && data[disk.len()..].iter().all(|byte| *byte == 0), "{format}");
        assert!(taken < 4 * MIB as u64, "{format}: {taken}");
    }
    let blank = world.created(blank(2)).await;
    let (data, taken) = world.data_of(&blank).await;
    assert_eq!((data.len(), taken), (2048 * MIB, 0));
}

async fn images_that_are_not_all_of_a_disk_are_refused(db: TestDb) {
    let world = World::start(db).await;
    let disk = noise(MIB);
    for (format, bytes, reason) in [
        ("qcow2", encrypted(&disk), "IMAGE_ENCRYPTED"),
        ("qcow2", with_backing_file(&disk), "IMAGE_HAS_BACKING_FILE"),
        ("qcow2", truncated(&disk), "IMAGE_TRUNCATED"),
        ("qcow2", disk.clone(), "IMAGE_FORMAT_MISMATCH"),
        ("raw", qcow2(&disk), "IMAGE_FORMAT_MISMATCH"),
    ] {
        let image = world.image(format, &bytes).await;
        let volume = world.created(of_image(&image, 1)).await;
        assert_eq!(failure(&volume), reason);
    }
    let image = world.image("vmdk", b"KDMV").await;
    let refused = world.create(of_image(&image, 1)).await.unwrap_err();
    assert!(refused.message().contains("only raw, iso and qcow2"), "{refused:?}");
    world.is_empty().await;
}

async fn images_in_other_formats_are_converted_by_qemu_img(db: TestDb) {
    let world = World::with_qemu_img(db).await;
    let disk = noise(3 * MIB);
    for (format, driver, options) in [
        ("vmdk", "vmdk", None),
        ("vmdk", "vmdk", Some("subformat=streamOptimized")),
        ("vhd", "vpc", None),
        ("vhd", "vpc", Some("subformat=fixed")),
        ("vhdx", "vhdx", None),
        ("vdi", "vdi", None),
    ] {
        let image = world.image(format, &world.converted(&disk, driver, options)).await;
        let volume = world.created(of_image(&image, 1)).await;
        assert_eq!(volume.status(), Status::Available, "{format} {options:?}: {volume:?}");
        let (data, taken) = world.data_of(&volume).await;
        assert_eq!(data.len(), 1024 * MIB);
        assert!(data.starts_with(&disk) && data[disk.len()..].iter().all(|byte| *byte == 0), "{format}");
        assert!(taken < 4 * MIB as u64, "{format}: {taken}");
        world.delete(&volume).await;
    }
    world.is_empty().await;
}

async fn qemu_img_reads_no_other_file(db: TestDb) {
    let world = World::with_qemu_img(db).await;
    let disk = noise(MIB);
    // Sectors of 512 bytes: 2 GiB.
    let mut large = world.converted(&disk, "vmdk", None);
    large[12..20].copy_from_slice(&(4_u64 << 20).to_le_bytes());
    let mut garbage = world.converted(&disk, "vhdx", None);
    garbage[64 * 1024..].fill(7);
    let flat = b"# Disk DescriptorFile\ncreateType=\"monolithicFlat\"\nRW 8 FLAT \"/etc/passwd\" 0\n";
    for (format, bytes, reason) in [
        ("vmdk", flat.to_vec(), "IMAGE_HAS_DATA_FILE"),
        ("vmdk", disk.clone(), "IMAGE_FORMAT_MISMATCH"),
        ("vhd", disk, "IMAGE_FORMAT_MISMATCH"),
        ("vmdk", large, "VOLUME_SMALLER_THAN_VIRTUAL_SIZE"),
        ("vhdx", garbage, "IMAGE_DAMAGED"),
    ] {
        let volume = world.created(of_image(&world.image(format, &bytes).await, 1)).await;
        assert_eq!(failure(&volume), reason, "{format}");
    }
    world.is_empty().await;
}

async fn data_that_is_not_the_images_is_refused(db: TestDb) {
    let world = World::start(db).await;
    let image = world.image("raw", &noise(MIB)).await;
    let file = world.file_of_image();
    let mut bytes = fs::read(&file).unwrap();
    bytes[MIB / 2] ^= 1;
    fs::write(&file, bytes).unwrap();
    let volume = world.created(of_image(&image, 1)).await;
    assert_eq!(failure(&volume), "IMAGE_HASH_MISMATCH");
    world.is_empty().await;
}

async fn a_copy_is_a_volume_of_its_own(db: TestDb) {
    let world = World::start(db).await;
    let disk = noise(MIB);
    let source = world.created(of_image(&world.image("raw", &disk).await, 1)).await;
    let copy = world.created(copy_of(&source, 2)).await;
    world.delete(&source).await;
    let (data, taken) = world.data_of(&copy).await;
    assert_eq!(data.len(), 2048 * MIB);
    assert!(data.starts_with(&disk) && taken < 2 * MIB as u64);
    world.delete(&copy).await;
    world.is_empty().await;
}

async fn data_follows_the_operations(db: TestDb) {
    let world = World::start(db).await;
    let (first, second) = (noise(MIB), noise(2 * MIB));
    let volume = world.created(of_image(&world.image("raw", &first).await, 1)).await;
    let extended = world.extend(&volume, 3).await;
    assert_eq!((extended.size_gib, extended.status()), (3, Status::Available));
    assert_eq!(world.data_of(&volume).await.0.len(), 3072 * MIB);

    let reimaged = world.reimage(&volume, &world.image("qcow2", &qcow2(&second)).await).await;
    assert_eq!(reimaged.last_failure, None);
    assert!(world.data_of(&volume).await.0.starts_with(&second));

    // What cannot be done leaves data and image as they were.
    let bad = world.image("qcow2", &encrypted(&first)).await;
    let failed = world.reimage(&volume, &bad).await;
    assert_eq!(failed.last_failure.as_ref().unwrap().reason, "IMAGE_ENCRYPTED");
    assert_eq!((failed.status(), &failed.image), (Status::Available, &reimaged.image));
    assert!(world.data_of(&volume).await.0.starts_with(&second));
    assert_eq!(world.folders().len(), 1);

    world.delete(&volume).await;
    world.is_empty().await;
}

async fn an_image_is_made_from_a_volume(db: TestDb) {
    let world = World::start(db).await;
    let source = world.image("raw", &noise(MIB)).await;
    let volume = world.created(of_image(&source, 1)).await;
    let image = world.begin_upload(&volume).await;
    let uploaded = world.settled(&volume).await;
    assert_eq!((uploaded.status(), uploaded.last_failure), (Status::Available, None));
    assert_eq!(uploaded.image, volume.image);
    let image = world.get_image(&image).await;
    let (data, _) = world.data_of(&volume).await;
    assert_eq!((image.status(), image.os_hash_value), (image::Status::Active, sha512(&data)));
    // It is as good as any other.
    let copy = world.created(of_image(&image.id, 1)).await;
    assert_eq!((copy.status(), copy.image.unwrap().id), (Status::Available, image.id));
}

async fn an_upload_goes_on_after_a_crash(db: TestDb) {
    let mut world = World::start(db).await;
    let volume = world.created(of_image(&world.image("raw", &noise(MIB)).await, 1)).await;
    let image = world.begin_upload(&volume).await;
    world.crash_while_uploading().await;
    let uploaded = world.settled(&volume).await;
    assert_eq!((uploaded.status(), uploaded.last_failure), (Status::Available, None));
    let (data, _) = world.data_of(&volume).await;
    let image = world.get_image(&image).await;
    assert_eq!((image.status(), image.os_hash_value), (image::Status::Active, sha512(&data)));
    assert_eq!(world.files_of_images().len(), 2, "the source, and the image that was made");
}

async fn a_snapshot_keeps_the_data_of_its_moment(db: TestDb) {
    let world = World::start(db).await;
    let (first, second) = (noise(MIB), noise(2 * MIB));
    let volume = world.created(of_image(&world.image("raw", &first).await, 1)).await;
    let snapshot = world.snapshot(&volume).await;
    assert_eq!(snapshot.status(), snapshot::Status::Available, "{snapshot:?}");
    assert_eq!(snapshot.image, volume.image);
    world.reimage(&volume, &world.image("qcow2", &qcow2(&second)).await).await;
    let copy = world.created(from_snapshot(&snapshot, 2)).await;
    assert_eq!(copy.image, volume.image);
    let (data, taken) = world.data_of(&copy).await;
    assert!(data.len() == 2048 * MIB && data.starts_with(&first) && taken < 2 * MIB as u64);

    let reverted = world.revert(&volume, &snapshot).await;
    assert_eq!((reverted.status(), &reverted.image), (Status::Available, &volume.image));
    let (data, _) = world.data_of(&volume).await;
    assert!(data.starts_with(&first) && data[MIB..].iter().all(|byte| *byte == 0));
    world.has_folders(3).await;
    world.delete_snapshot(&snapshot).await;
    world.delete(&volume).await;
    world.delete(&copy).await;
    world.is_empty().await;
}

async fn data_is_read_and_written_as_a_stream(db: TestDb) {
    let world = World::start(db).await;
    let (first, second) = (noise(MIB), noise(MIB + 77));
    let volume = world.created(of_image(&world.image("raw", &first).await, 1)).await;
    assert_eq!(world.read(&volume, 5, 100).await.unwrap(), [(0, first[5..105].to_vec())]);
    let behind = world.read(&volume, MIB - 3, 10).await.unwrap();
    assert_eq!(behind, [(0, first[MIB - 3..].to_vec()), (7, Vec::new())]);

    let mut parts = vec![zeros(3 * MIB)];
    parts.extend(second.chunks(100_000).map(bytes));
    let mut all = vec![0; 3 * MIB];
    all.extend_from_slice(&second);
    parts.last_mut().unwrap().sha512 = sha512(&all);
    let written = world.write(&volume, parts).await.unwrap();
    assert_eq!((written.status(), &written.image), (Status::Available, &None), "the data is not the image's");
    assert_eq!(written.image_properties, [].into());
    let read = world.read(&volume, 0, 4 * MIB).await.unwrap();
    assert_eq!(read[0], (3 * MIB, Vec::new()));
    assert_eq!(read[1..].iter().flat_map(|(_, bytes)| bytes).count(), MIB);
    assert!(world.data_of(&volume).await.0.starts_with(&all));
    world.has_folders(1).await;

    let refused = world.read(&volume, 1024 * MIB + 1, 0).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    assert_eq!(world.read(&volume, 1024 * MIB, 0).await.unwrap(), []);
}

async fn a_write_that_breaks_off_changes_nothing(db: TestDb) {
    let world = World::start(db).await;
    let disk = noise(MIB);
    let volume = world.created(of_image(&world.image("raw", &disk).await, 1)).await;
    let wrong = WriteVolumeDataRequest { sha512: sha512(b"other"), ..bytes(b"some") };
    for (parts, code) in [
        (vec![wrong], Code::InvalidArgument),
        (vec![zeros(1024 * MIB), bytes(b"one byte too many")], Code::ResourceExhausted),
        (
            vec![bytes(b"some"), WriteVolumeDataRequest { part: Some(Part::Zeros(-1)), ..bytes(b"") }],
            Code::Aborted,
        ),
    ] {
        let refused = world.write(&volume, parts).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused:?}");
    }
    world.leave_while_writing(&volume).await;
    let after = world.settled(&volume).await;
    assert_eq!((after.status(), &after.image), (Status::Available, &volume.image));
    assert!(world.data_of(&volume).await.0.starts_with(&disk));
    world.has_folders(1).await;
}

async fn a_full_disk_is_an_error_and_space_is_given_back(db: TestDb) {
    let world = World::start(db).await;
    let image = world.image("raw", &noise(4 * MIB)).await;
    world.limit_files(&(2 * MIB).to_string());
    let volume = world.created(of_image(&image, 1)).await;
    assert_eq!(failure(&volume), "DATA_STORE_FULL");
    world.is_empty().await;
    world.limit_files("unlimited");
    let volume = world.created(of_image(&image, 1)).await;
    assert_eq!(volume.status(), Status::Available);
}

async fn a_folder_that_is_away_is_an_error_and_nothing_is_forgotten(db: TestDb) {
    let world = World::start(db).await;
    let image = world.image("raw", &noise(MIB)).await;
    let volume = world.created(of_image(&image, 1)).await;
    let elsewhere = world.folder().with_extension("elsewhere");
    fs::rename(world.folder(), &elsewhere).unwrap();
    fs::create_dir(world.folder()).unwrap();
    let other = world.created(of_image(&image, 1)).await;
    assert_eq!(failure(&other), "DATA_STORE_UNAVAILABLE");
    // Deleting needs no data: what it leaves is removed once the folder is back.
    world.delete(&volume).await;
    assert_eq!(world.folders(), Vec::<String>::new());
    fs::remove_dir(world.folder()).unwrap();
    fs::rename(&elsewhere, world.folder()).unwrap();
    world.is_empty().await;
}

async fn what_a_process_that_died_was_doing_is_ended_by_the_next_one(db: TestDb) {
    let mut world = World::start(db).await;
    let image = world.image("raw", &noise(MIB)).await;
    let kept = world.created(of_image(&image, 1)).await;
    // The data of the image is still to arrive when the process is killed.
    world.hold_up_image();
    let created = world.create(of_image(&image, 1)).await.unwrap();
    let reimaged = world.begin_reimage(&kept, &image).await;
    assert_eq!((created.status(), reimaged.status()), (Status::Creating, Status::Available));
    while world.folders().len() < 3 {
        tokio::task::yield_now().await;
    }
    world.crash().await;
    let (created, reimaged) = (world.settled(&created).await, world.settled(&kept).await);
    assert_eq!(failure(&created), "TASK_LOST");
    assert_eq!((reimaged.status(), &reimaged.image), (Status::Available, &kept.image));
    assert_eq!(reimaged.last_failure.unwrap().reason, "TASK_LOST");
    world.has_folders(1).await;
    world.delete(&created).await;
    world.delete(&kept).await;
    world.is_empty().await;
}
