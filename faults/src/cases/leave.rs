//! Clients that leave before they are answered, or whose deadline passes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::id::Id;
use proto::{
    glance::v1::{
        CreateImageMemberRequest, CreateImageRequest, DeleteImageMemberRequest, Image,
        UpdateImagePropertiesRequest, image::Visibility, image_service_client::ImageServiceClient,
    },
    nova::v1::{CreateInstanceRequest, instance_service_client::InstanceServiceClient},
};
use sqlx::{Connection as _, PgConnection};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tonic::{Request, transport::Channel};

use super::{Case, goes_on, under_load};
use crate::{table::Table, world::World};

/// How many clients leave.
const LEAVERS: usize = 24;

/// Maximum time that one of them waits, in microseconds.
const LONGEST: u128 = 6000;

pub(super) async fn run(times: usize, table: &mut Table) -> anyhow::Result<()> {
    let (mut world, load) = under_load().await?;
    let mut images = ImageServiceClient::connect(world.glance[0].service.endpoint()).await?;
    let shared = Image { name: "shared".into(), visibility: Visibility::Shared.into(), ..Image::default() };
    let made = images.create_image(CreateImageRequest { image: Some(shared) }).await?;
    let image_id = made.into_inner().id;
    let (mut left, mut idle) = (0, 0);
    for number in 0..times {
        let is_over = Arc::new(AtomicBool::new(false));
        let leavers = leavers(&world, &image_id, &is_over).await?;
        let images = ImageServiceClient::connect(world.glance[0].service.endpoint()).await?;
        let removing = tokio::spawn(remove(images, image_id.clone(), number, Arc::clone(&is_over)));
        sleep(Duration::from_secs(3)).await;
        is_over.store(true, Ordering::Relaxed);
        left += leavers.join_all().await.into_iter().sum::<usize>();
        removing.await??;
        idle += idle_for_a_second(&world).await?;
        world.nova[0].crash()?;
        world.glance[0].crash()?;
        let count = load.ledger.count();
        anyhow::ensure!(goes_on(&load, count).await.is_some(), "the load does not continue after a crash");
    }
    let outcome = load.end().await;
    let audit = world.audit(&outcome).await?;
    let back = back(&world).await?;
    table.note(
        Case::Leave,
        format!(
            "{left} requests left, {times} × SIGKILL of both, {} creates acknowledged: {audit}; {back} removed \
             members back, {idle} sessions idle in a transaction",
            outcome.acknowledged.len()
        ),
        "everything acknowledged is kept, none twice, none half, no session left in a transaction",
        audit.is_clean() && back + idle == 0 && left > 0,
    );
    Ok(())
}

/// Clients that leave at random; returns how often each did.
async fn leavers(world: &World, image_id: &str, is_over: &Arc<AtomicBool>) -> anyhow::Result<JoinSet<usize>> {
    let instances = InstanceServiceClient::connect(world.nova[0].service.endpoint()).await?;
    let images = ImageServiceClient::connect(world.glance[0].service.endpoint()).await?;
    let image = world.image().await?;
    let mut leavers = JoinSet::new();
    for number in 0..LEAVERS {
        let (mut instances, mut images) = (instances.clone(), images.clone());
        let (image, image_id, is_over) = (image.clone(), image_id.to_owned(), Arc::clone(is_over));
        leavers.spawn(async move {
            let mut left = 0;
            while !is_over.load(Ordering::Relaxed) {
                let id = Id::random().to_string();
                let moment = moment();
                let gone = match number % 3 {
                    0 => {
                        timeout(moment, instances.create_instance(creation(&image, id, None))).await.is_err()
                    }
                    // The service enforces the deadline, and says so.
                    1 => instances.create_instance(creation(&image, id, Some(moment))).await.is_err(),
                    _ => {
                        timeout(moment, images.update_image_properties(change(&image_id, id))).await.is_err()
                    }
                };
                left += usize::from(gone);
            }
            left
        });
    }
    Ok(leavers)
}

fn moment() -> Duration {
    Duration::from_micros(u64::try_from(Id::random().as_uuid().as_u128() % LONGEST).unwrap_or(0))
}

fn creation(image: &str, request_id: String, deadline: Option<Duration>) -> Request<CreateInstanceRequest> {
    let mut request = Request::new(CreateInstanceRequest {
        name: "left".to_owned(),
        image_id: image.to_owned(),
        flavor_id: "1".to_owned(),
        request_id,
        ..CreateInstanceRequest::default()
    });
    if let Some(deadline) = deadline {
        request.set_timeout(deadline);
    }
    request
}

fn change(image_id: &str, value: String) -> UpdateImagePropertiesRequest {
    let set = [("left".to_owned(), value)].into();
    UpdateImagePropertiesRequest { image_id: image_id.to_owned(), set, ..Default::default() }
}

/// Adds members and removes them, one after the other, all acknowledged.
async fn remove(
    mut images: ImageServiceClient<Channel>,
    image_id: String,
    number: usize,
    is_over: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    for round in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let member_id = format!("gone-{number}-{round}");
        let added = CreateImageMemberRequest { image_id: image_id.clone(), member_id: member_id.clone() };
        images.create_image_member(added).await?;
        images
            .delete_image_member(DeleteImageMemberRequest { image_id: image_id.clone(), member_id })
            .await?;
    }
    Ok(())
}

/// How many removed members have come back.
async fn back(world: &World) -> anyhow::Result<i64> {
    let mut connection = PgConnection::connect(&world.url("glance")).await?;
    let count = "SELECT COUNT(*) FROM image_members WHERE member_id LIKE 'gone-%'";
    Ok(sqlx::query_scalar(count).fetch_one(&mut connection).await?)
}

/// How many sessions have been idle in a transaction for more than a second: a busy machine makes transactions last, but
/// no session of theirs idle.
async fn idle_for_a_second(world: &World) -> anyhow::Result<i64> {
    let mut connection = PgConnection::connect(&world.url("postgres")).await?;
    let count = "SELECT COUNT(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' \
                 AND state_change < clock_timestamp() - INTERVAL '1 second'";
    Ok(sqlx::query_scalar(count).fetch_one(&mut connection).await?)
}
