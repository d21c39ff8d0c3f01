//! The conversion in both directions, beside the cost of copying the same entries into a map.

use std::{collections::BTreeMap, hint::black_box};

use common::{
    id::{Id, NIL},
    image::{Image, ImageMeta, Properties},
    system_metadata::{image_from_system_metadata, system_metadata_from_image},
    volume_image_metadata::{VolumeImageMetadata, volume_image_metadata_from_image},
};
use criterion::{Criterion, criterion_group, criterion_main};

fn image(count: usize) -> ImageMeta {
    let properties: Properties =
        (0..count).map(|number| (format!("hw_property_{number:03}"), format!("value-of-{number}"))).collect();
    ImageMeta {
        properties,
        min_ram: Some(512),
        min_disk: Some(10),
        disk_format: Some("qcow2".into()),
        container_format: Some("bare".into()),
    }
}

fn whole(meta: &ImageMeta) -> Image {
    Image {
        id: Id::from(NIL),
        revision: 1,
        name: "jammy".into(),
        status: "ACTIVE",
        size: Some(1 << 30),
        virtual_size: None,
        checksum: Some("ea0c2a3b".into()),
        hash: None,
        meta: meta.clone(),
    }
}

fn conversion(criterion: &mut Criterion) {
    for count in [30, 128] {
        let image = image(count);
        let entries = system_metadata_from_image(&image, None).entries;
        let mut group = criterion.benchmark_group(format!("{count} properties"));
        group.bench_function("copy into a map", |bencher| {
            bencher.iter(|| -> BTreeMap<String, String> {
                black_box(&entries).iter().map(|(key, value)| (key.clone(), value.clone())).collect()
            });
        });
        group.bench_function("image to system metadata", |bencher| {
            bencher.iter(|| system_metadata_from_image(black_box(&image), None));
        });
        group.bench_function("system metadata to image", |bencher| {
            bencher.iter(|| image_from_system_metadata(black_box(&entries)));
        });
        let image = whole(&image);
        let flat = volume_image_metadata_from_image(&image).flat().entries;
        group.bench_function("image to volume", |bencher| {
            bencher.iter(|| volume_image_metadata_from_image(black_box(&image)));
        });
        group.bench_function("volume to flat list", |bencher| {
            let volume = volume_image_metadata_from_image(&image);
            bencher.iter(|| black_box(&volume).flat());
        });
        group.bench_function("flat list to volume", |bencher| {
            bencher.iter(|| VolumeImageMetadata::from_flat(black_box(&flat), 1));
        });
        group.finish();
    }
}

criterion_group!(benches, conversion);
criterion_main!(benches);
