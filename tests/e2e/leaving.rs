//! Clients that leave at any moment, or whose deadline passes: nothing that others were told is lost by it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use chassis::{on_both_databases, testing::TestDb};
use proto::{
    glance::v1::{self as glance, image_service_client::ImageServiceClient},
    nova::v1::{self as nova, instance_service_client::InstanceServiceClient},
};
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use tokio::{task::JoinSet, time::timeout};
use tonic::transport::Channel;

use crate::world::{World, create};

mod calls;

use calls::{Calls, Targets};

on_both_databases!(what_is_acknowledged_is_kept_whoever_leaves);

/// How many requests are left on each database, of all writing calls in turn; more by the environment.
const LEFT: u64 = 1200;

/// How many clients leave, and how many stay.
const LEAVERS: u64 = 12;
const STAYERS: u64 = 3;

#[expect(clippy::disallowed_methods, reason = "how a longer run is asked for")]
fn left() -> u64 {
    std::env::var("LEFT").ok().map_or(LEFT, |left| left.parse().expect("LEFT is a number"))
}

/// A number that looks like chance, and is the same each time.
fn chance(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32
}

async fn what_is_acknowledged_is_kept_whoever_leaves(db: TestDb) {
    let mut world = World::start_with(db, "none").await;
    let targets = Arc::new(targets(&world).await);
    let calls = Calls::new(&world, Arc::clone(&targets)).await;
    let (numbers, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));

    let mut stayers = JoinSet::new();
    for number in 0..STAYERS {
        let (images, instances) = (world.images().await, world.instances().await);
        let stayer = Stayer { number, images, instances, image: targets.shared.clone() };
        stayers.spawn(stayer.run(Arc::clone(&is_over)));
    }
    let mut leavers = JoinSet::new();
    for _ in 0..LEAVERS {
        leavers.spawn(leave(calls.clone(), Arc::clone(&numbers)));
    }
    leavers.join_all().await;
    is_over.store(true, Ordering::Relaxed);
    let kept: BTreeSet<String> = stayers.join_all().await.into_iter().flatten().collect();
    assert!(kept.len() > 10, "somebody was told something meanwhile");

    assert_eq!(missing(&world, &kept).await, BTreeSet::new(), "before the services end");
    nobody_is_idle_in_a_transaction(&world).await;
    world.nova.kill().unwrap();
    world.glance.kill().unwrap();
    assert_eq!(missing(&world, &kept).await, BTreeSet::new(), "after both were killed");
}

async fn targets(world: &World) -> Targets {
    let shared = glance::Image {
        name: "shared".into(),
        size: Some(1),
        visibility: glance::image::Visibility::Shared.into(),
        ..glance::Image::default()
    };
    let mut images = Vec::new();
    for _ in 0..8 {
        let request = glance::CreateImageRequest { image: Some(shared.clone()) };
        images.push(world.images().await.create_image(request).await.unwrap().into_inner().id);
    }
    let image = world.image(&[("hw_disk_bus", "virtio")]).await;
    let made = world.instances().await.create_instance(create(&image, 16)).await.unwrap().into_inner();
    let instances = made.instances.into_iter().map(|instance| instance.id).collect();
    Targets { shared: images.remove(0), images, image: image.id, instances }
}

/// Leaves one request after the other: after up to 8 ms, whatever is under way then, or by a deadline of as much.
async fn leave(calls: Calls, numbers: Arc<AtomicU64>) {
    loop {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        if number >= left() {
            return;
        }
        let moment = Duration::from_micros(chance(number) % 8192);
        if number.is_multiple_of(3) {
            calls.make(number, Some(moment)).await;
        } else {
            // What this test varies; nothing waits for anything with it.
            let _ = timeout(moment, calls.make(number, None)).await;
        }
    }
}

/// Who waits for every answer, and believes it.
struct Stayer {
    number: u64,
    images: ImageServiceClient<Channel>,
    instances: InstanceServiceClient<Channel>,
    image: String,
}

impl Stayer {
    /// Writes until it is over; the names of what it was told that there is.
    async fn run(mut self, is_over: Arc<AtomicBool>) -> Vec<String> {
        let mut kept = Vec::new();
        for round in 0.. {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let name = format!("kept-{}-{round}", self.number);
            let image = glance::Image { name: name.clone(), size: Some(1), ..glance::Image::default() };
            let made = self.images.create_image(glance::CreateImageRequest { image: Some(image) }).await;
            let image_id = made.expect("an image is made").into_inner().id;
            kept.push(format!("image {name}"));
            let (member_id, gone) =
                (format!("member-{}-{round}", self.number), format!("gone-{}-{round}", self.number));
            for member_id in [member_id.clone(), gone.clone()] {
                let request = glance::CreateImageMemberRequest { image_id: self.image.clone(), member_id };
                self.images.create_image_member(request).await.expect("a member is added");
            }
            kept.push(format!("member {member_id}"));
            let request = glance::DeleteImageMemberRequest { image_id: self.image.clone(), member_id: gone };
            self.images.delete_image_member(request).await.expect("a member is removed");
            let request = nova::CreateInstanceRequest {
                name: name.clone(),
                image_id,
                flavor_id: "1".into(),
                request_id: name.clone(),
                ..nova::CreateInstanceRequest::default()
            };
            self.instances.create_instance(request).await.expect("an instance is made");
            kept.push(format!("instance {name}"));
        }
        kept
    }
}

/// What others do not see of what there should be, and what they see of what should be gone.
async fn missing(world: &World, kept: &BTreeSet<String>) -> BTreeSet<String> {
    const IMAGES: &str = "SELECT 'image ' || name FROM images WHERE name LIKE 'kept-%' \
                          UNION ALL SELECT 'member ' || member_id FROM image_members";
    const INSTANCES: &str = "SELECT 'instance ' || name FROM instances WHERE name LIKE 'kept-%'";
    let mut seen = names(world.glance_url(), IMAGES).await;
    seen.extend(names(world.nova_url(), INSTANCES).await);
    let lost = kept.difference(&seen).cloned();
    lost.chain(seen.iter().filter(|name| name.starts_with("member gone-")).cloned()).collect()
}

async fn names(url: &str, sql: &'static str) -> BTreeSet<String> {
    if url.starts_with("sqlite") {
        let mut other = SqliteConnection::connect(url).await.unwrap();
        return sqlx::query_scalar(sql).fetch_all(&mut other).await.unwrap().into_iter().collect();
    }
    let mut other = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar(sql).fetch_all(&mut other).await.unwrap().into_iter().collect()
}

/// Transactions of jobs that go on are soon over.
async fn nobody_is_idle_in_a_transaction(world: &World) {
    const IDLE: &str = "SELECT pid || ': ' || query FROM pg_stat_activity \
                        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    for url in [world.glance_url(), world.nova_url()].into_iter().filter(|url| !url.starts_with("sqlite")) {
        let ended = async { while !names(url, IDLE).await.is_empty() {} };
        timeout(Duration::from_secs(20), ended).await.expect("a session stays idle in a transaction");
    }
}
