//! `GetImage`, compared with a server that only answers; and whether a second replica serves stale reads.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use anyhow::ensure;
use harness::service::Service;
use prost::Message as _;
use proto::glance::v1::{GetImageRequest, UpdateImagePropertiesRequest};

use crate::{
    bench::{Bench, Case},
    ceiling::server,
    figures::{Finding, Goal, Run},
    load::{Shape, drive},
    process::Watch,
    sample::{self, PROPERTIES},
    world::{self, Images},
};

const ROW: &str = "get_image";

/// Images of the case that reads many.
const MANY: usize = 1_000;

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let database = bench.world.database(ROW).await?;
    let glance = bench.world.glance(&database)?;
    let images = world::images(&glance).await?;
    fill(&images, MANY).await?;
    let echo = echo(bench, &images).await?;
    let (watch, echo_watch) =
        (bench.world.watch(&[("glance-svc", &glance)])?, Watch::client().and("echo", echo.pid()));
    let echoes = world::images(&echo).await?;
    for in_flight in [1, 16, 64] {
        let shape = bench.plan.shape(in_flight);
        let case = case(format!("one image, {in_flight} in flight"), (in_flight == 64).then_some(0.7));
        let ours = async || read(shape, &watch, &images, 1).await;
        bench.compare(case, ours, async || read(shape, &echo_watch, &echoes, 1).await).await?;
    }
    let shape = bench.plan.shape(64);
    let ours = async || read(shape, &watch, &images, MANY).await;
    let case = case(format!("{MANY} images in turn, 64 in flight"), None);
    bench.compare(case, ours, async || read(shape, &echo_watch, &echoes, 1).await).await?;
    read_after_write(bench, &database, &glance).await
}

fn case(name: String, goal: Option<f64>) -> Case {
    Case { row: ROW, name, unit: "requests/s", ceiling: "bare tonic echo", goal }
}

/// Registers images 1 to `count`.
pub(super) async fn fill(images: &Images, count: usize) -> anyhow::Result<()> {
    for number in 1..=count {
        images.of(number).create_image(sample::image(number)).await?;
    }
    Ok(())
}

async fn echo(bench: &Bench, images: &Images) -> anyhow::Result<Service> {
    let image = images.of(0).get_image(GetImageRequest { id: sample::image_id(1), revision: 0 }).await?;
    let file = bench.world.file("image.bin");
    fs::write(&file, image.into_inner().encode_to_vec())?;
    server::start("echo", &[("--answer", &file)])
}

/// Reads images 1 to `count` in turn.
pub(super) async fn read(shape: Shape, watch: &Watch, images: &Images, count: usize) -> anyhow::Result<Run> {
    let images = images.clone();
    let ids: Arc<[String]> = (1..=count).map(sample::image_id).collect();
    drive(shape, watch, move |turn| {
        let mut images = images.of(turn.worker);
        let id = ids[(turn.worker * 61 + turn.number) % ids.len()].clone();
        async move {
            let image = images.get_image(GetImageRequest { id: id.clone(), revision: 0 }).await?.into_inner();
            ensure!(image.id == id && image.properties.len() == PROPERTIES, "the wrong image");
            Ok(())
        }
    })
    .await
}

/// Changes an image through one replica while 64 readers of another one check that they see what was acknowledged.
async fn read_after_write(bench: &mut Bench, database: &str, first: &Service) -> anyhow::Result<()> {
    let second = bench.world.glance(database)?;
    let (writers, readers) = (world::images(first).await?, world::images(&second).await?);
    let (acknowledged, stop) = (Arc::new(AtomicI64::new(1)), Arc::new(AtomicBool::new(false)));
    let stale = Arc::new(AtomicU64::new(0));
    let writer = tokio::spawn(keep_writing(writers, Arc::clone(&acknowledged), Arc::clone(&stop)));
    let watch = bench.world.watch(&[("glance-svc", &second)])?;
    let counted = Arc::clone(&stale);
    let request = move |turn: crate::load::Turn| {
        let (mut readers, acknowledged, stale) =
            (readers.of(turn.worker), Arc::clone(&acknowledged), Arc::clone(&counted));
        async move {
            let least = acknowledged.load(Ordering::SeqCst);
            let image = readers
                .get_image(GetImageRequest { id: sample::image_id(1), revision: 0 })
                .await?
                .into_inner();
            stale.fetch_add(u64::from(image.revision < least), Ordering::SeqCst);
            Ok(())
        }
    };
    let run = drive(bench.plan.shape(64), &watch, request).await?;
    stop.store(true, Ordering::SeqCst);
    let changes = writer.await??;
    ensure!(changes > 0, "nothing was changed meanwhile");
    let stale = u32::try_from(stale.load(Ordering::SeqCst))?;
    let name = format!("stale reads of {} at one replica, {changes} changes through another", run.requests);
    bench.note(
        Finding::value(ROW, name, "reads", stale.into()).with_runs(vec![run]).with_goal(Goal::AtMost(0.0)),
    );
    Ok(())
}

/// Updates image 1 until told to stop; returns the number of updates.
async fn keep_writing(
    images: Images,
    acknowledged: Arc<AtomicI64>,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<u64> {
    let mut writes = 0;
    while !stop.load(Ordering::SeqCst) {
        let change = UpdateImagePropertiesRequest {
            image_id: sample::image_id(1),
            set: [("build_number".to_owned(), format!("again-{writes}"))].into(),
            ..Default::default()
        };
        let image = images.of(0).update_image_properties(change).await?.into_inner();
        acknowledged.store(image.revision, Ordering::SeqCst);
        writes += 1;
    }
    Ok(writes)
}
