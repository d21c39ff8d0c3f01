//! `ListVolumes` anywhere in many and in very many volumes, compared with the SQL that returns the same rows.

use std::future::Future;

use anyhow::ensure;
use proto::cinder::v1::ListVolumesRequest;

use super::{
    create_volume, get_image,
    pages::{List, PAGE, PAGE_SIZE, Resources},
};
use crate::{
    bench::Bench,
    sample::PROPERTIES,
    world::{self, Volumes, World},
};

const ROW: &str = "list_volumes";

/// Images that volumes are created from.
const IMAGES: usize = 100;

/// Volumes of each image that the service creates, of which the others are copies.
const OF_EACH: usize = 5;

/// The lists: their names, their filters, and the same in SQL for these tables.
const LISTS: [(&str, &str, &str); 2] = [
    (
        "any page",
        "",
        "SELECT v.*, t.name, r.*,
                (SELECT json_object_agg(m.key, m.value) FROM volume_metadata m WHERE m.volume_id = v.id)
         FROM volumes v JOIN records r ON r.id = v.record_id JOIN volume_types t ON t.id = v.volume_type_id
         WHERE v.create_time < :place
         ORDER BY v.create_time DESC, v.id DESC LIMIT 100",
    ),
    (
        "any page with a filter on image properties",
        "image_properties.hw_disk_bus = virtio",
        "SELECT v.*, t.name, r.*,
                (SELECT json_object_agg(m.key, m.value) FROM volume_metadata m WHERE m.volume_id = v.id)
         FROM volumes v JOIN records r ON r.id = v.record_id JOIN volume_types t ON t.id = v.volume_type_id
         WHERE (SELECT e.value FROM record_entries e WHERE e.record_id = v.record_id AND e.key = 'hw_disk_bus')
               = 'virtio' AND v.create_time < :place
         ORDER BY v.create_time DESC, v.id DESC LIMIT 100",
    ),
];

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let images = bench.world.database("list_volumes_glance").await?;
    let database = bench.world.database(ROW).await?;
    let glance = bench.world.glance(&images)?;
    get_image::fill(&world::images(&glance).await?, IMAGES).await?;
    let cinder = World::cinder(&database, &glance)?;
    let volumes = world::volumes(&cinder).await?;
    for image in 1..=IMAGES {
        for _ in 0..OF_EACH {
            create_volume::create_one(&volumes, image).await?;
        }
    }
    let watch = bench.world.watch(&[("cinder-svc", &cinder)])?;
    let lists = LISTS.map(|(name, filter, sql)| (name, VolumeList { volumes: volumes.clone(), filter }, sql));
    let table = ("volumes", "volume_id");
    Resources { row: ROW, table, database: &database, watch, lists: lists.into() }.measure(bench).await?;
    drop((cinder, glance));
    bench.world.drop_databases(&[ROW, "list_volumes_glance"]).await
}

/// Volumes that match a filter.
#[derive(Clone)]
struct VolumeList {
    volumes: Volumes,
    filter: &'static str,
}

impl List for VolumeList {
    fn page(
        self,
        worker: usize,
        page_token: String,
    ) -> impl Future<Output = anyhow::Result<String>> + Send + 'static {
        let mut volumes = self.volumes.of(worker);
        let filter = self.filter.to_owned();
        let request = ListVolumesRequest { page_size: PAGE_SIZE, filter, page_token, ..Default::default() };
        async move {
            let page = volumes.list_volumes(request).await?.into_inner();
            let complete = page.volumes.iter().all(|volume| volume.image_properties.len() == PROPERTIES);
            ensure!(complete, "a volume without the properties of its image");
            ensure!(page.volumes.len() == PAGE || page.next_page_token.is_empty(), "a page that is not full");
            Ok(page.next_page_token)
        }
    }
}
