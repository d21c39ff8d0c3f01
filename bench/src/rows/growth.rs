//! Reading and creating instances while their number grows.

use std::sync::{Arc, atomic::AtomicU64};

use anyhow::ensure;
use proto::{
    glance::v1::UpdateImagePropertiesRequest,
    nova::v1::{Drift, GetInstanceRequest, ListDriftRequest, ListInstancesRequest},
};

use super::{
    create::{self, Services},
    loader::{Loader, Place, jump},
};
use crate::{
    bench::Bench,
    figures::{Finding, Goal, GrowthPoint, Run, median_of},
    load::{Shape, drive},
    process::Watch,
    sample::{self, PROPERTIES},
    world::{self, Instances},
};

const ROW: &str = "growth";

/// Images that the first instances are created from.
const IMAGES: usize = 100;

/// Instances of each image that the service creates, of which the others are copies.
const OF_EACH: usize = 5;

/// Number of instances to read, and of positions at which pages begin.
const PLACES: i32 = 10_000;

/// From this number of instances on, nothing may become much slower.
const BASE: u64 = 100_000;

/// A filter that one in ten instances matches.
const FILTER: &str = "system_metadata.image_hw_disk_bus = ide";

/// Goal for the first page of [`FILTER`], in milliseconds.
const FIND_GOAL_MS: f64 = 10.0;

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let glance = bench.world.database("growth_glance").await?;
    let nova = bench.world.database("growth_nova").await?;
    let services = create::services(bench, &glance, &nova, IMAGES).await?;
    for image in 1..=IMAGES {
        for _ in 0..OF_EACH {
            create::create_one(&services.instances, image).await?;
        }
    }
    drift(&services).await?;
    let mut loader = Loader::new(&nova, "instances", "instance_id").await?;
    let empty = loader.vacuum().await?;
    let mut count = 10_000;
    let mut base = None;
    while count <= bench.plan.max_instances {
        loader.grow_to(bench, i64::try_from(count)?).await?;
        let grown = loader.vacuum().await? - empty;
        let places: Arc<[Place]> = loader.places(PLACES).await?.into();
        let point = point(bench, &services, count, grown, &places).await?;
        compare(bench, &point, base.as_ref());
        if count == BASE {
            base = Some(point.clone());
        }
        bench.growth.push(point);
        count *= 10;
    }
    drop(services);
    bench.world.drop_databases(&["growth_nova", "growth_glance"]).await
}

/// Measures at one number of instances.
async fn point(
    bench: &mut Bench,
    services: &Services,
    count: u64,
    grown: i64,
    places: &Arc<[Place]>,
) -> anyhow::Result<GrowthPoint> {
    let watch = bench.world.watch(&[("nova-api-svc", &services.nova)])?;
    let (instances, shape) = (&services.instances, bench.plan.shape(1));
    let name = |what| format!("{what}, {count}");
    let gets = bench.repeat(ROW, &name("get"), async || get(shape, &watch, instances, places).await).await?;
    let get_p99_us = p99(&gets);
    let lists =
        bench.repeat(ROW, &name("list"), async || list(shape, &watch, instances, places).await).await?;
    let list_p99_us = p99(&lists);
    let finds = bench.repeat(ROW, &name("find"), async || find(shape, &watch, instances).await).await?;
    let find_p99_us = p99(&finds);
    let drifts =
        bench.repeat(ROW, &name("drift"), async || list_drift(shape, &watch, instances).await).await?;
    let drift_p99_us = p99(&drifts);
    let (shape, watch, acknowledged) =
        (bench.plan.shape(64), services.watch(bench)?, Arc::new(AtomicU64::new(0)));
    let create = async || create::create(shape, &watch, instances, 1, &acknowledged).await;
    let creates = bench.repeat(ROW, &name("create"), create).await?;
    let create_per_second = median_of(&creates, |run| run.per_second);
    #[expect(clippy::cast_precision_loss, reason = "sizes of a benchmark are far below 2^52")]
    let bytes_per_instance = grown as f64 / count as f64;
    Ok(GrowthPoint {
        instances: count,
        get_p99_us,
        list_p99_us,
        find_p99_us,
        drift_p99_us,
        create_per_second,
        bytes_per_instance,
    })
}

/// The image that is changed, so that all of its instances drift.
const DRIFTED: usize = 7;

/// Changes a property of an image that instances were created from.
async fn drift(services: &Services) -> anyhow::Result<()> {
    let request = UpdateImagePropertiesRequest {
        image_id: sample::image_id(DRIFTED),
        set: [("hw_disk_bus".to_owned(), "drifted".to_owned())].into(),
        ..Default::default()
    };
    world::images(&services.glance).await?.of(0).update_image_properties(request).await?;
    Ok(())
}

/// Lists the instances of the image whose property has drifted.
async fn list_drift(shape: Shape, watch: &Watch, instances: &Instances) -> anyhow::Result<Run> {
    let instances = instances.clone();
    drive(shape, watch, move |turn| {
        let mut instances = instances.of(turn.worker);
        let request = ListDriftRequest {
            image_id: sample::image_id(DRIFTED),
            property: "hw_disk_bus".to_owned(),
            page_size: 100,
            ..Default::default()
        };
        async move {
            let page = instances.list_drift(request).await?.into_inner();
            let image_value = |drift: &Drift| drift.differences[0].image_value.clone();
            let right = page.drifts.iter().all(|drift| image_value(drift).as_deref() == Some("drifted"));
            ensure!(right && page.drifts.len() == 100, "the wrong page");
            Ok(())
        }
    })
    .await
}

fn p99(runs: &[Run]) -> f64 {
    median_of(runs, |run| run.latency_us.p99)
}

/// Reads a figure of a point.
type Figure = fn(&GrowthPoint) -> f64;

/// Records the findings at one number of instances, compared with those at [`BASE`].
fn compare(bench: &mut Bench, point: &GrowthPoint, base: Option<&GrowthPoint>) {
    let count = point.instances;
    let figures: [(&str, Figure); 3] = [
        ("GetInstance, any", |point| point.get_p99_us / 1e3),
        ("ListInstances, any page of 100", |point| point.list_p99_us / 1e3),
        ("ListDrift, a page of 100", |point| point.drift_p99_us / 1e3),
    ];
    for (what, figure) in figures {
        let finding = Finding::value(ROW, format!("p99 of {what} of {count}"), "ms", figure(point));
        bench.note(match base {
            Some(base) => finding.against("p99 of 100000", figure(base)).with_goal(Goal::RatioAtMost(1.5)),
            None => finding,
        });
    }
    let name = format!("p99 of the first page with image_hw_disk_bus=ide of {count}");
    let find = Finding::value(ROW, name, "ms", point.find_p99_us / 1e3);
    bench.note(find.with_goal(Goal::AtMost(FIND_GOAL_MS)));
    let name = format!("CreateInstance into {count}, 64 in flight");
    bench.note(Finding::value(ROW, name, "instances/s", point.create_per_second));
    let name = format!("database with {count}");
    bench.note(Finding::value(ROW, name, "bytes/instance", point.bytes_per_instance));
}

async fn get(
    shape: Shape,
    watch: &Watch,
    instances: &Instances,
    places: &Arc<[Place]>,
) -> anyhow::Result<Run> {
    let (instances, places) = (instances.clone(), Arc::clone(places));
    drive(shape, watch, move |turn| {
        let mut instances = instances.of(turn.worker);
        let id = places[turn.number % places.len()].id.to_string();
        async move {
            let instance = instances.get_instance(GetInstanceRequest { id: id.clone() }).await?.into_inner();
            ensure!(instance.id == id && instance.system_metadata.len() > PROPERTIES, "another instance");
            Ok(())
        }
    })
    .await
}

async fn list(
    shape: Shape,
    watch: &Watch,
    instances: &Instances,
    places: &Arc<[Place]>,
) -> anyhow::Result<Run> {
    let first = ListInstancesRequest { page_size: 100, ..Default::default() };
    let token = instances.of(0).list_instances(first.clone()).await?.into_inner().next_page_token;
    let tokens = places.iter().map(|place| jump(&token, place)).collect::<anyhow::Result<Arc<[_]>>>()?;
    let instances = instances.clone();
    drive(shape, watch, move |turn| {
        let mut instances = instances.of(turn.worker);
        let page_token = tokens[turn.number % tokens.len()].clone();
        let request = ListInstancesRequest { page_token, ..first.clone() };
        async move {
            let page = instances.list_instances(request).await?.into_inner();
            let complete = page.instances.iter().all(|instance| instance.system_metadata.len() > PROPERTIES);
            ensure!(complete, "an instance without its system metadata");
            ensure!(
                page.instances.len() == 100 || page.next_page_token.is_empty(),
                "a page that is not full"
            );
            Ok(())
        }
    })
    .await
}

async fn find(shape: Shape, watch: &Watch, instances: &Instances) -> anyhow::Result<Run> {
    let instances = instances.clone();
    drive(shape, watch, move |turn| {
        let mut instances = instances.of(turn.worker);
        let request =
            ListInstancesRequest { page_size: 100, filter: FILTER.to_owned(), ..Default::default() };
        async move {
            let page = instances.list_instances(request).await?.into_inner();
            let is_ide = |value: &str| value == "ide";
            let right =
                page.instances.iter().all(|instance| is_ide(&instance.system_metadata["image_hw_disk_bus"]));
            ensure!(right && page.instances.len() == 100, "the wrong page");
            Ok(())
        }
    })
    .await
}
