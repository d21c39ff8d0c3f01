//! `CreateInstance` on a new volume, compared with the same from an image.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use anyhow::ensure;
use proto::nova::v1::{
    BlockDeviceMapping, CreateInstanceRequest,
    block_device_mapping::{Destination, Source},
};

use super::{create, get_image};
use crate::{
    bench::{Bench, Case},
    database,
    figures::Run,
    load::{Shape, drive},
    process::Watch,
    sample,
    world::{self, Instances, World},
};

const ROW: &str = "boot_from_volume";

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let images = bench.world.database("boot_glance").await?;
    let volumes = bench.world.database("boot_cinder").await?;
    let database = bench.world.database("boot_nova").await?;
    let glance = bench.world.glance(&images)?;
    get_image::fill(&world::images(&glance).await?, 1).await?;
    let cinder = World::cinder(&volumes, &glance)?;
    let nova = World::nova_with(&database, &glance, &["--cinder-endpoint", &cinder.endpoint()])?;
    let instances = world::instances(&nova).await?;
    let services = [("glance-svc", &glance), ("cinder-svc", &cinder), ("nova-api-svc", &nova)];
    let watch = bench.world.watch(&services)?;
    let (on_volumes, of_images) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    for (in_flight, goal) in [(1, None), (16, Some(0.5))] {
        let shape = bench.plan.shape(in_flight);
        let case = Case {
            row: ROW,
            name: format!("PostgreSQL, {in_flight} in flight"),
            unit: "instances/s",
            ceiling: "the same from an image",
            goal,
        };
        let ours = async || on_new_volumes(shape, &watch, &instances, &on_volumes).await;
        let ceiling = async || create::create(shape, &watch, &instances, 1, &of_images).await;
        bench.compare(case, ours, ceiling).await?;
    }
    let mut connection = database::connect(&volumes).await?;
    let reserved: i64 = sqlx::query_scalar("SELECT COUNT(DISTINCT volume_id) FROM attachments")
        .fetch_one(&mut connection)
        .await?;
    let created = on_volumes.load(Ordering::SeqCst);
    ensure!(
        u64::try_from(reserved)? == created,
        "{created} instances on volumes, {reserved} reserved volumes"
    );
    Ok(())
}

/// Creates instances on volumes of image 1, and adds up in `created` what was acknowledged.
async fn on_new_volumes(
    shape: Shape,
    watch: &Watch,
    instances: &Instances,
    created: &Arc<AtomicU64>,
) -> anyhow::Result<Run> {
    let (instances, created) = (instances.clone(), Arc::clone(created));
    drive(shape, watch, move |turn| {
        let (mut instances, created) = (instances.of(turn.worker), Arc::clone(&created));
        async move {
            let answer = instances.create_instance(request()).await?.into_inner();
            let is_complete = |instance: &proto::nova::v1::Instance| {
                !instance.root_volume_id.is_empty() && instance.system_metadata.len() >= sample::PROPERTIES
            };
            ensure!(answer.instances.iter().all(is_complete), "the root volume or metadata is missing");
            created.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    })
    .await
}

fn request() -> CreateInstanceRequest {
    let root = BlockDeviceMapping {
        source: Some(Source::ImageId(sample::image_id(1))),
        destination: Destination::Volume.into(),
        boot_index: Some(0),
        delete_on_termination: true,
        ..Default::default()
    };
    CreateInstanceRequest {
        image_id: String::new(),
        block_device_mapping: vec![root],
        ..create::request(1, 1)
    }
}
