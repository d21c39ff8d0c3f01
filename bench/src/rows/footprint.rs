//! Startup time and memory of the services.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use proto::{cinder::v1::GetVolumeRequest, glance::v1::GetImageRequest, nova::v1::GetInstanceRequest};

use super::{create, create_volume, get_image};
use crate::{
    bench::Bench,
    figures::{Finding, Goal, median},
    process::{self, Watch},
    sample,
    world::{self, World},
};

const ROW: &str = "footprint";

/// How long a service stays idle before its memory is measured.
const IDLE: Duration = Duration::from_secs(2);

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let glance_url = bench.world.database("footprint_glance").await?;
    let nova_url = bench.world.database("footprint_nova").await?;
    let cinder_url = bench.world.database("footprint_cinder").await?;
    let services = create::services(bench, &glance_url, &nova_url, 1).await?;
    let id = create::create_one(&services.instances, 1).await?.id;
    let cinder = World::cinder(&cinder_url, &services.glance)?;
    let volume_id = create_volume::create_one(&world::volumes(&cinder).await?, 1).await?.id;
    drop((services, cinder));

    let (mut glance_ms, mut nova_ms, mut cinder_ms) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.plan.pairs {
        bench.progress.step("footprint · start");
        let began = Instant::now();
        let glance = bench.world.glance(&glance_url)?;
        let image = GetImageRequest { id: sample::image_id(1), revision: 0 };
        world::images(&glance).await?.of(0).get_image(image).await?;
        glance_ms.push(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        let nova = World::nova(&nova_url, &glance)?;
        world::instances(&nova).await?.of(0).get_instance(GetInstanceRequest { id: id.clone() }).await?;
        nova_ms.push(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        let cinder = World::cinder(&cinder_url, &glance)?;
        let volume = GetVolumeRequest { id: volume_id.clone(), revision: 0 };
        world::volumes(&cinder).await?.of(0).get_volume(volume).await?;
        cinder_ms.push(began.elapsed().as_secs_f64() * 1e3);
    }
    for (service, times) in [("glance-svc", glance_ms), ("nova-api-svc", nova_ms), ("cinder-svc", cinder_ms)]
    {
        let name = format!("{service}: from start to the first answer");
        bench.note(Finding::value(ROW, name, "ms", median(times)).with_goal(Goal::AtMost(100.0)));
    }
    memory(bench, [&glance_url, &nova_url, &cinder_url]).await
}

async fn memory(bench: &mut Bench, [glance_url, nova_url, cinder_url]: [&str; 3]) -> anyhow::Result<()> {
    let glance = bench.world.glance(glance_url)?;
    let nova = World::nova(nova_url, &glance)?;
    let cinder = World::cinder(cinder_url, &glance)?;
    let services = [("glance-svc", &glance), ("nova-api-svc", &nova), ("cinder-svc", &cinder)];
    tokio::time::sleep(IDLE).await;
    for (name, service) in services {
        let idle = process::resident_mib(service.pid())?;
        note(bench, format!("{name}: memory, idle"), idle, 30.0);
    }
    let shape = bench.plan.shape(64);
    bench.progress.step("footprint · memory under load");
    get_image::read(shape, &Watch::client(), &world::images(&glance).await?, 1).await?;
    let instances = world::instances(&nova).await?;
    let created = Arc::new(AtomicU64::new(0));
    create::create(shape, &Watch::client(), &instances, 1, &created).await?;
    create_volume::create(shape, &Watch::client(), &world::volumes(&cinder).await?, &created).await?;
    for (name, service) in services {
        let peak = process::peak_mib(service.pid())?;
        note(bench, format!("{name}: memory, largest at 64 in flight"), peak, 80.0);
    }
    Ok(())
}

fn note(bench: &mut Bench, name: String, value: f64, goal: f64) {
    bench.note(Finding::value(ROW, name, "MiB", value).with_goal(Goal::AtMost(goal)));
}
