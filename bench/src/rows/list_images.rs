//! `ListImages` anywhere in many and in very many images, compared with the SQL that returns the same rows.

use std::future::Future;

use anyhow::ensure;
use proto::glance::v1::ListImagesRequest;

use super::{
    get_image,
    pages::{List, PAGE, PAGE_SIZE, Resources},
};
use crate::{
    bench::Bench,
    sample::PROPERTIES,
    world::{self, Images},
};

const ROW: &str = "list_images";

/// Images that the service writes, of which the others are copies.
const SEEDS: usize = 600;

/// The lists: their names, their filters, and the same in SQL for these tables and images, all of which are public.
const LISTS: [(&str, &str, &str); 2] = [
    (
        "any page",
        "",
        "SELECT i.*, (SELECT json_object_agg(p.name, p.value) FROM image_properties p WHERE p.image_id = i.id)
         FROM images i WHERE NOT os_hidden AND visibility = 'public' AND create_time < :place
         ORDER BY create_time DESC, id DESC LIMIT 100",
    ),
    (
        "any page with two property filters",
        "properties.os_distro = ubuntu AND properties.hw_disk_bus = virtio",
        "SELECT i.*, (SELECT json_object_agg(p.name, p.value) FROM image_properties p WHERE p.image_id = i.id)
         FROM image_properties d JOIN images i ON i.id = d.image_id
         WHERE d.name = 'os_distro' AND substr(d.value, 1, 255) = 'ubuntu' AND d.image_create_time < :place
         AND (SELECT 1 FROM image_properties b
              WHERE b.image_id = d.image_id AND b.name = 'hw_disk_bus' AND b.value = 'virtio') IS NOT NULL
         AND NOT os_hidden AND visibility = 'public'
         ORDER BY d.image_create_time DESC, d.image_id DESC LIMIT 100",
    ),
];

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let database = bench.world.database(ROW).await?;
    let glance = bench.world.glance(&database)?;
    let images = world::images(&glance).await?;
    get_image::fill(&images, SEEDS).await?;
    let watch = bench.world.watch(&[("glance-svc", &glance)])?;
    let lists = LISTS.map(|(name, filter, sql)| (name, ImageList { images: images.clone(), filter }, sql));
    let table = ("images", "image_id");
    Resources { row: ROW, table, database: &database, watch, lists: lists.into() }.measure(bench).await?;
    drop(glance);
    bench.world.drop_databases(&[ROW]).await
}

/// Images that match a filter.
#[derive(Clone)]
struct ImageList {
    images: Images,
    filter: &'static str,
}

impl List for ImageList {
    fn page(
        self,
        worker: usize,
        page_token: String,
    ) -> impl Future<Output = anyhow::Result<String>> + Send + 'static {
        let mut images = self.images.of(worker);
        let filter = self.filter.to_owned();
        let request = ListImagesRequest { page_size: PAGE_SIZE, filter, page_token, ..Default::default() };
        async move {
            let page = images.list_images(request).await?.into_inner();
            let complete = page.images.iter().all(|image| image.properties.len() == PROPERTIES);
            ensure!(complete, "an image without its properties");
            ensure!(page.images.len() == PAGE || page.next_page_token.is_empty(), "a page that is not full");
            Ok(page.next_page_token)
        }
    }
}
