//! The conversion in both directions, beside the cost of copying the same entries into a map.

use std::{collections::BTreeMap, hint::black_box};

use common::{
    image::{ImageMeta, Properties},
    system_metadata::{image_from_system_metadata, system_metadata_from_image},
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
        group.finish();
    }
}

criterion_group!(benches, conversion);
criterion_main!(benches);
