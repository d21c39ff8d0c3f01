//! Instances are shelved while nova-api-svc does not learn that their images were registered, or crashes; then some are
//! deleted, and the others cannot be unshelved at once.

use std::time::{Duration, Instant};

use common::id::Id;
use proto::{
    glance::v1::{GetImageRequest, ListImagesRequest, image_service_client::ImageServiceClient},
    nova::v1::{
        CreateInstanceRequest, DeleteInstanceRequest, GetInstanceRequest, Instance,
        ReportInstanceStateRequest, ShelveInstanceRequest, UnshelveInstanceRequest, instance::State,
        instance_service_client::InstanceServiceClient, instance_task::State as TaskState,
        report_instance_state_request::Result as Outcome,
    },
};
use tokio::{task::JoinSet, time::sleep};
use tonic::{Code, Response, transport::Channel};

use super::{Case, PATIENCE, insist};
use crate::{
    proxy::{Proxy, Weather},
    table::Table,
    world::World,
};

/// Number of instances that are shelved at once.
const INSTANCES: i32 = 24;

type Instances = InstanceServiceClient<Channel>;

/// What was observed.
#[derive(Debug, Default)]
struct Observed {
    shelved: usize,
    lost: usize,
    restless: usize,
}

pub(super) async fn run(rounds: usize, table: &mut Table) -> anyhow::Result<()> {
    let mut world = World::start(1).await?;
    let network = Proxy::start(world.glance[0].address).await?;
    world.add_nova(&network.endpoint(), &["--glance-timeout-ms", "500"])?;
    let mut observed = Observed::default();
    for number in 0..rounds {
        let weather = if number.is_multiple_of(2) { Weather::Unheard } else { Weather::Fair };
        round(&mut world, &network, weather, &mut observed).await?;
    }
    let left = shelved_images(&world).await?;
    let Observed { shelved, lost, restless } = observed;
    table.note(
        Case::Shelve,
        format!(
            "{} × SIGKILL, {shelved} instances put away and not brought back at once: {lost} disks lost, {left} images \
             left to nobody",
            2 * rounds
        ),
        "every disk kept until its instance is back, no image orphaned",
        shelved > 0 && lost + left + restless == 0,
    );
    Ok(())
}

async fn round(
    world: &mut World,
    network: &Proxy,
    weather: Weather,
    observed: &mut Observed,
) -> anyhow::Result<()> {
    let instances = running(world).await?;
    network.set(weather);
    put_away(world, &instances).await?;
    network.set(Weather::Fair);
    let client = world.clients()?.remove(0);
    let mut shelved = Vec::new();
    for (number, instance) in instances.iter().enumerate() {
        let now = get(&client, &instance.id).await?;
        let is_registered = match &now.task {
            Some(task) => has_image(world, &task.snapshot_image_id).await?,
            None => false,
        };
        // The agent has finished the task, has not, or has nothing left to do.
        match now.task.as_ref().map(proto::nova::v1::InstanceTask::state) {
            Some(TaskState::Shelving) if number % 4 == 0 => delete(&client, &now.id).await?,
            Some(TaskState::Shelving) if is_registered => {
                shelved.push(report(&client, &now, Outcome::Succeeded).await?);
            }
            Some(_) => drop(report(&client, &now, Outcome::Failed).await?),
            None => {}
        }
    }
    for instance in &shelved {
        let begun = unshelve(&client, &instance.id).await?;
        report(&client, &begun, Outcome::Failed).await?;
    }
    tokio::task::block_in_place(|| world.nova[0].crash())?;
    observed.restless += usize::from(!world.comes_to_rest().await?);
    for instance in &shelved {
        let now = get(&client, &instance.id).await?;
        let image_id = now.system_metadata.get("shelved_image_id").cloned().unwrap_or_default();
        let is_there = now.state() == State::ShelvedOffloaded && has_image(world, &image_id).await?;
        observed.shelved += 1;
        observed.lost += usize::from(!is_there);
        let begun = unshelve(&client, &now.id).await?;
        report(&client, &begun, Outcome::Succeeded).await?;
    }
    observed.restless += usize::from(!world.comes_to_rest().await?);
    Ok(())
}

/// New instances that are running.
async fn running(world: &World) -> anyhow::Result<Vec<Instance>> {
    let client = world.clients()?.remove(0);
    let request = CreateInstanceRequest {
        name: "fault".to_owned(),
        image_id: world.image().await?,
        flavor_id: "1".to_owned(),
        min_count: INSTANCES,
        request_id: Id::random().to_string(),
        ..CreateInstanceRequest::default()
    };
    let created = insist(|| {
        let (mut client, request) = (client.clone(), request.clone());
        async move { client.create_instance(request).await }
    });
    let mut running = Vec::new();
    for instance in created.await?.instances {
        let request = ReportInstanceStateRequest {
            id: instance.id.clone(),
            seen_state: instance.state,
            state: State::Active.into(),
            request_id: Id::random().to_string(),
            ..ReportInstanceStateRequest::default()
        };
        let reported = insist(|| {
            let (mut client, request) = (client.clone(), request.clone());
            async move { client.report_instance_state(request).await }
        });
        running.push(reported.await?);
    }
    Ok(running)
}

/// Shelves all of them at once, and kills the service in the meantime.
async fn put_away(world: &mut World, instances: &[Instance]) -> anyhow::Result<()> {
    let (client, before) = (world.clients()?.remove(0), shelved_images(world).await?);
    let mut asking = JoinSet::new();
    for instance in instances {
        let request = ShelveInstanceRequest { id: instance.id.clone(), ..ShelveInstanceRequest::default() };
        let mut client = client.clone();
        asking.spawn(async move { client.shelve_instance(request).await.is_ok() });
    }
    let since = Instant::now();
    while shelved_images(world).await? == before && since.elapsed() < PATIENCE {
        sleep(Duration::from_millis(5)).await;
    }
    let random = u64::try_from(Id::random().as_uuid().as_u128() % 100)?;
    sleep(Duration::from_millis(random)).await;
    tokio::task::block_in_place(|| world.nova[0].crash())?;
    while asking.join_next().await.is_some() {}
    Ok(())
}

async fn get(client: &Instances, id: &str) -> anyhow::Result<Instance> {
    insist(|| {
        let (mut client, request) = (client.clone(), GetInstanceRequest { id: id.to_owned() });
        async move { client.get_instance(request).await }
    })
    .await
}

async fn unshelve(client: &Instances, id: &str) -> anyhow::Result<Instance> {
    let request = UnshelveInstanceRequest {
        id: id.to_owned(),
        request_id: Id::random().to_string(),
        ..UnshelveInstanceRequest::default()
    };
    insist(|| {
        let (mut client, request) = (client.clone(), request.clone());
        async move { client.unshelve_instance(request).await }
    })
    .await
}

/// Reports how the task of an instance ended.
async fn report(client: &Instances, observed: &Instance, result: Outcome) -> anyhow::Result<Instance> {
    let request = ReportInstanceStateRequest {
        id: observed.id.clone(),
        seen_state: observed.state,
        seen_task_state: observed.task.as_ref().map_or(0, |task| task.state),
        result: result.into(),
        request_id: Id::random().to_string(),
        ..ReportInstanceStateRequest::default()
    };
    insist(|| {
        let (mut client, request) = (client.clone(), request.clone());
        async move { client.report_instance_state(request).await }
    })
    .await
}

async fn delete(client: &Instances, id: &str) -> anyhow::Result<()> {
    insist(|| {
        let request = DeleteInstanceRequest { id: id.to_owned(), ..DeleteInstanceRequest::default() };
        let mut client = client.clone();
        async move {
            match client.delete_instance(request).await {
                Err(status) if status.code() == Code::NotFound => Ok(Response::new(())),
                deleted => deleted,
            }
        }
    })
    .await
}

async fn has_image(world: &World, id: &str) -> anyhow::Result<bool> {
    let mut images = ImageServiceClient::connect(world.glance[0].service.endpoint()).await?;
    match images.get_image(GetImageRequest { id: id.to_owned(), revision: 0 }).await {
        Ok(_) => Ok(true),
        Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => Ok(false),
        Err(status) => Err(status.into()),
    }
}

/// Number of images of shelved instances.
async fn shelved_images(world: &World) -> anyhow::Result<usize> {
    let mut images = ImageServiceClient::connect(world.glance[0].service.endpoint()).await?;
    let mut request = ListImagesRequest { page_size: 1000, ..ListImagesRequest::default() };
    let mut count = 0;
    loop {
        let page = images.list_images(request.clone()).await?.into_inner();
        count += page.images.iter().filter(|image| image.name.ends_with("-shelved")).count();
        if page.next_page_token.is_empty() {
            return Ok(count);
        }
        request.page_token = page.next_page_token;
    }
}
