//! Lists filtered by what instances were made from: merged from many records, and equal to a plain filter of all instances.

use std::collections::BTreeSet;

use chassis::{on_both_databases, testing::TestDb};
use proto::nova::v1::{CreateInstanceRequest, Instance, ListInstancesRequest};

use crate::{
    glance::map,
    support::{Nova, of, several},
};

on_both_databases!(
    every_page_of_every_list_is_what_a_plain_filter_finds,
    a_list_goes_on_behind_the_instances_that_are_looked_at_first,
);

fn pages(page_size: i32, filter: &str, order_by: &str) -> ListInstancesRequest {
    ListInstancesRequest {
        page_size,
        filter: filter.to_owned(),
        order_by: order_by.to_owned(),
        ..ListInstancesRequest::default()
    }
}

/// A filter and what passes it.
type Case<'a> = (&'a str, Box<dyn Fn(&Instance) -> bool>);

/// More records than a page is long, some with few instances, some with many, in mixed order of creation.
async fn with_many_records(nova: &Nova) {
    let images: Vec<_> = (0..24)
        .map(|number: usize| {
            let bus = ["ide", "virtio", "scsi"][number % 3];
            nova.glance.with(&[("hw_disk_bus", bus), ("number", &number.to_string())])
        })
        .collect();
    for round in 0..3 {
        for (number, image) in images.iter().enumerate() {
            if (number + round) % 4 != 0 {
                let flavor_id = if round == 1 { "3" } else { "2" }.to_owned();
                let name = format!("web{}", number % 2);
                nova.create(CreateInstanceRequest { name, flavor_id, ..of(image) }).await.unwrap();
            }
        }
    }
    nova.create(CreateInstanceRequest { name: "batch".to_owned(), ..several(&images[4], 20) }).await.unwrap();
}

async fn every_page_of_every_list_is_what_a_plain_filter_finds(db: TestDb) {
    let nova = Nova::start(db).await;
    with_many_records(&nova).await;
    let all = nova.walk(pages(1000, "", "")).await;
    let of_image = format!("image_id = {} AND system_metadata.image_hw_disk_bus = ide", all[30].image_id);
    let has = |key: &'static str, value: &'static str| {
        move |instance: &Instance| instance.system_metadata[key] == value
    };
    let is_virtio = has("image_hw_disk_bus", "virtio");
    let image_id = all[30].image_id.clone();
    let cases: [Case<'_>; 6] = [
        ("system_metadata.image_hw_disk_bus = virtio", Box::new(is_virtio)),
        (
            "system_metadata.image_hw_disk_bus = virtio AND system_metadata.instance_type_flavorid = 3",
            Box::new(move |it| is_virtio(it) && it.system_metadata["instance_type_flavorid"] == "3"),
        ),
        (
            "system_metadata.image_hw_disk_bus = virtio AND name = web1",
            Box::new(move |it| is_virtio(it) && it.name == "web1"),
        ),
        (
            "system_metadata.image_hw_disk_bus = virtio AND project_id = demo AND image_revision = 1",
            Box::new(is_virtio),
        ),
        (
            &of_image,
            Box::new(move |it| it.image_id == image_id && it.system_metadata["image_hw_disk_bus"] == "ide"),
        ),
        ("image_revision = 2", Box::new(|_| false)),
    ];
    for (filter, passes) in &cases {
        let expected: Vec<_> = all.iter().filter(|instance| passes(instance)).cloned().collect();
        for size in [1, 7, 1000] {
            assert_eq!(nova.walk(pages(size, filter, "")).await, expected, "{size} of {filter}");
        }
        // A batch has one time, and its ids the other order.
        let oldest_first = nova.walk(pages(7, filter, "create_time, id")).await;
        let by_time = |it: &Instance| it.create_time.map(|time| (time.seconds, time.nanos));
        assert!(oldest_first.is_sorted_by_key(|it| (by_time(it), it.id.clone())), "{filter}");
        let ids = |instances: &[Instance]| instances.iter().map(|it| it.id.clone()).collect::<BTreeSet<_>>();
        assert_eq!(ids(&oldest_first), ids(&expected), "{filter}");
    }
}

/// The first instances, of which there are more than a list looks at before it asks the records, are of no interest.
async fn a_list_goes_on_behind_the_instances_that_are_looked_at_first(db: TestDb) {
    let nova = Nova::start(db).await;
    let (wanted, other) = (nova.glance.with(&[("bus", "ide")]), nova.glance.with(&[("bus", "scsi")]));
    let last = nova.create_one(of(&wanted)).await;
    for _ in 0..2 {
        nova.create(several(&other, 600)).await.unwrap();
    }
    let first = nova.create_one(CreateInstanceRequest { metadata: map(&[("a", "1")]), ..of(&wanted) }).await;
    let found = nova.walk(pages(1, "system_metadata.image_bus = ide", "")).await;
    assert_eq!(found, [first, last]);
}
