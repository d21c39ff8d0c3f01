//! `ListImages` anywhere in many and in very many images, compared with the SQL that returns the same rows.

use std::sync::Arc;

use anyhow::ensure;
use proto::glance::v1::ListImagesRequest;

use super::{
    get_image,
    loader::{Loader, Place, jump},
};
use crate::{
    bench::{Bench, Case},
    ceiling::pgbench::Pgbench,
    figures::{Finding, Goal, Run, median_of},
    load::{Shape, drive},
    process::Watch,
    sample::PROPERTIES,
    world::{self, Images},
};

const ROW: &str = "list_images";

/// Images that the service writes, of which the others are copies.
const SEEDS: usize = 600;

/// Images on a page.
const PAGE: usize = 100;

/// Where pages begin, spread over the whole list.
const PLACES: i32 = 5_000;

/// Images in the smaller list.
const FEWER: u64 = 10_000;

/// The lists: their names, their filters, and the same in SQL as one would write it by hand for these tables and images, all
/// of which are public; `:place` is where the page begins.
const LISTS: [(&str, &str, &str); 2] = [
    (
        "any page",
        "",
        "FROM images i WHERE NOT os_hidden AND visibility = 'public' AND create_time < :place
         ORDER BY create_time DESC, id DESC LIMIT 100",
    ),
    (
        "any page with two property filters",
        "properties.os_distro = ubuntu AND properties.hw_disk_bus = virtio",
        "FROM image_properties d JOIN images i ON i.id = d.image_id
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
    let mut loader = Loader::new(&database, "images", "image_id").await?;
    let watch = bench.world.watch(&[("glance-svc", &glance)])?;
    let mut fewer = Vec::new();
    for count in [FEWER, bench.plan.max_images] {
        if count == FEWER && !fewer.is_empty() {
            break;
        }
        loader.grow_to(bench, i64::try_from(count)?).await?;
        loader.vacuum().await?;
        let places: Arc<[Place]> = loader.places(PLACES).await?.into();
        for (index, (name, filter, sql)) in LISTS.into_iter().enumerate() {
            let list =
                List { images: images.clone(), watch: watch.clone(), filter, places: Arc::clone(&places) };
            let latency =
                list.latency(bench, &format!("{name} of {count}"), fewer.get(index).copied()).await?;
            fewer.push(latency);
            let script = script(count, sql);
            let pgbench = Pgbench::new(&script, &in_order(&database), bench.world.server()?)?;
            for in_flight in [1, 16] {
                let shape = bench.plan.shape(in_flight);
                let case = Case {
                    row: ROW,
                    name: format!("{name} of {count}, {in_flight} in flight"),
                    unit: "pages/s",
                    ceiling: "pgbench, the same rows",
                    goal: Some(0.5),
                };
                bench
                    .compare(case, async || list.read(shape).await, async || pgbench.run(shape).await)
                    .await?;
            }
        }
    }
    drop(glance);
    bench.world.drop_databases(&[ROW]).await
}

/// A list, read at random positions.
struct List {
    images: Images,
    watch: Watch,
    filter: &'static str,
    places: Arc<[Place]>,
}

impl List {
    /// p99 with one request in flight, compared with that of the smaller list.
    async fn latency(&self, bench: &mut Bench, name: &str, fewer: Option<f64>) -> anyhow::Result<f64> {
        let shape = bench.plan.shape(1);
        let runs = bench.repeat(ROW, name, async || self.read(shape).await).await?;
        let p99 = median_of(&runs, |run| run.latency_us.p99) / 1e3;
        let finding = Finding::value(ROW, format!("p99 of {name}"), "ms", p99).with_runs(runs);
        bench.note(match fewer {
            Some(fewer) => finding.against("p99 of 10000", fewer).with_goal(Goal::RatioAtMost(1.5)),
            None => finding,
        });
        Ok(p99)
    }

    async fn read(&self, shape: Shape) -> anyhow::Result<Run> {
        let filter = self.filter.to_owned();
        let first = ListImagesRequest { page_size: PAGE_SIZE, filter, ..Default::default() };
        let token = self.images.of(0).list_images(first.clone()).await?.into_inner().next_page_token;
        let tokens =
            self.places.iter().map(|place| jump(&token, place)).collect::<anyhow::Result<Arc<[_]>>>()?;
        let images = self.images.clone();
        drive(shape, &self.watch, move |turn| {
            let mut images = images.of(turn.worker);
            let page_token = tokens[(turn.worker * 331 + turn.number) % tokens.len()].clone();
            let request = ListImagesRequest { page_token, ..first.clone() };
            async move {
                let page = images.list_images(request).await?.into_inner();
                let complete = page.images.iter().all(|image| image.properties.len() == PROPERTIES);
                ensure!(complete, "an image without its properties");
                ensure!(
                    page.images.len() == PAGE || page.next_page_token.is_empty(),
                    "a page that is not full"
                );
                Ok(())
            }
        })
        .await
    }
}

/// [`PAGE`], for requests.
const PAGE_SIZE: i32 = 100;

/// A page that begins anywhere among `count` images.
fn script(count: u64, list: &str) -> String {
    let list = list.replace('\n', " ").replace(":place", PLACE);
    format!(
        "\\set n random(1, {count})
SELECT i.*, (SELECT json_object_agg(p.name, p.value) FROM image_properties p WHERE p.image_id = i.id) {list};
"
    )
}

/// The database, with sessions that read ranges in order as the service's do; by default, PostgreSQL would collect whole
/// ranges.
fn in_order(database: &str) -> String {
    format!("{database}?options=-c%20enable_bitmapscan%3Doff%20-c%20random_page_cost%3D1.1%20-c%20jit%3Doff")
}

/// When copy `:n` was registered.
const PLACE: &str = "'2020-01-01 00:00:00+00'::timestamptz + :n * interval '1 second'";
