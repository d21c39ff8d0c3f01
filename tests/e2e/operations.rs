//! Operations on instances, with either service killed in the middle.

use std::time::Duration;

use chassis::{on_both_databases, testing::TestDb};
use proto::{
    glance::v1::{Image, ListImagesRequest},
    nova::v1::{
        ConfirmResizeRequest, CreateFlavorRequest, Flavor, GetInstanceHistoryRequest, GetInstanceRequest,
        Instance, RebuildInstanceRequest, ResizeInstanceRequest, RevertResizeRequest, ShelveInstanceRequest,
        SnapshotInstanceRequest, UnshelveInstanceRequest, UpdateInstanceImagePropertiesRequest,
        flavor_service_client::FlavorServiceClient, instance::State, instance_history_entry::Step,
        instance_service_client::InstanceServiceClient,
    },
};
use tonic::{Code, Status, transport::Channel};

use crate::world::{World, create};

on_both_databases!(
    a_kill_in_the_middle_of_an_operation_leaves_nothing_half_done,
    a_snapshot_whose_service_died_is_finished_by_the_next,
);

/// Times that a service is killed on each database, unless `KILLS` says otherwise.
const KILLS: u64 = 28;

/// What is done in turn; every operation comes once before the first comes again.
const ACTS: [Act; 8] = [
    Act::Edit,
    Act::Snapshot,
    Act::Rebuild,
    Act::Resize,
    Act::EndResize,
    Act::Edit,
    Act::Shelve,
    Act::Unshelve,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Edit,
    Snapshot,
    Rebuild,
    Resize,
    /// Reverts a resize in one round and confirms it in the next.
    EndResize,
    Shelve,
    Unshelve,
}

/// How often services are killed on each database.
#[expect(clippy::disallowed_methods, reason = "how a longer run is asked for")]
fn kills() -> u64 {
    std::env::var("KILLS").ok().map_or(KILLS, |kills| kills.parse().expect("KILLS is a number"))
}

/// How long after the request its service is killed: before, while and after it is written.
fn moment(kill: u64) -> Duration {
    Duration::from_micros(kill.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40 & 0x3FFF)
}

async fn a_kill_in_the_middle_of_an_operation_leaves_nothing_half_done(db: TestDb) {
    let mut world = World::start_with(db, "none").await;
    let images = [world.image(&[("n", "0")]).await, world.image(&[("n", "1")]).await];
    let request = create(&images[0], 1);
    let mut before =
        world.instances().await.create_instance(request).await.unwrap().into_inner().instances.remove(0);
    let mut unshelved = before.clone();
    for kill in 0..kills() {
        let turn = usize::try_from(kill).unwrap();
        let (act, round) = (ACTS[turn % ACTS.len()], turn / ACTS.len());
        let step = Asked {
            act,
            round,
            id: before.id.clone(),
            request_id: format!("r{kill}"),
            images: images.clone(),
        };
        if act == Act::Resize {
            flavor(&world, &format!("f{round}")).await;
        }
        let mut client = world.instances().await;
        let asking = tokio::spawn({
            let step = step.clone();
            async move { step.ask(&mut client).await }
        });
        // The delay is what this test varies; nothing waits for anything with it.
        tokio::time::sleep(moment(kill)).await;
        if kill.is_multiple_of(2) {
            world.crash_nova();
        } else {
            world.glance.kill().unwrap();
            world.revive_glance();
        }
        let acknowledged = asking.await.unwrap().ok();
        let between = get(&world, &before.id).await;
        if acknowledged.is_some() {
            assert_eq!(acknowledged.as_ref(), Some(&between), "{act:?} was acknowledged");
        }
        let after = step.ask_again(&world).await;
        assert_eq!(step.ask_again(&world).await, after, "{act:?} again");
        check(&step, &before, &after, &unshelved);
        if act == Act::Shelve {
            unshelved = before;
        }
        before = after;
    }
    // Whatever still has to be deleted is deleted in the background.
    while world.count("SELECT COUNT(*) FROM image_jobs").await > 0 {
        tokio::task::yield_now().await;
    }
    check_images(&world, &before.id).await;
    check_history(&world, &before).await;
    assert_eq!(world.count("SELECT COUNT(*) FROM instance_tasks WHERE task_state IS NOT NULL").await, 0);
}

/// An operation that is requested again and again.
#[derive(Debug, Clone)]
struct Asked {
    act: Act,
    round: usize,
    id: String,
    request_id: String,
    images: [Image; 2],
}

impl Asked {
    /// Retries until there is an answer: the connection to a killed peer may have to be re-established.
    async fn ask_again(&self, world: &World) -> Instance {
        loop {
            match self.ask(&mut world.instances().await).await {
                Err(status) if status.code() == Code::Unavailable => {}
                answer => return answer.unwrap(),
            }
        }
    }

    async fn ask(&self, client: &mut InstanceServiceClient<Channel>) -> Result<Instance, Status> {
        let (id, request_id) = (self.id.clone(), self.request_id.clone());
        let etag = String::new();
        let answer = match self.act {
            Act::Edit => {
                let set = [("edited".to_owned(), request_id.clone())].into();
                let remove = Vec::new();
                let request = UpdateInstanceImagePropertiesRequest { id, set, remove, request_id, etag };
                client.update_instance_image_properties(request).await?
            }
            Act::Snapshot => {
                let (name, metadata) = ("s".to_owned(), [].into());
                let request = SnapshotInstanceRequest { id, name, metadata, request_id, etag };
                return Ok(client.snapshot_instance(request).await?.into_inner().instance.unwrap());
            }
            Act::Rebuild => {
                let image_id = self.images[self.round % 2].id.clone();
                let auto_disk_config = None;
                let request = RebuildInstanceRequest { id, image_id, auto_disk_config, request_id, etag };
                client.rebuild_instance(request).await?
            }
            Act::Resize => {
                let flavor_id = format!("f{}", self.round);
                client.resize_instance(ResizeInstanceRequest { id, flavor_id, request_id, etag }).await?
            }
            Act::EndResize if self.round.is_multiple_of(2) => {
                client.revert_resize(RevertResizeRequest { id, request_id, etag }).await?
            }
            Act::EndResize => client.confirm_resize(ConfirmResizeRequest { id, request_id, etag }).await?,
            Act::Shelve => client.shelve_instance(ShelveInstanceRequest { id, request_id, etag }).await?,
            Act::Unshelve => {
                client.unshelve_instance(UnshelveInstanceRequest { id, request_id, etag }).await?
            }
        };
        Ok(answer.into_inner())
    }
}

/// Adds a flavor.
async fn flavor(world: &World, id: &str) {
    let (id, name) = (id.to_owned(), id.to_owned());
    let flavor = Flavor { id, name, memory_mb: 1024, vcpus: 1, root_gb: 10, ..Flavor::default() };
    let mut flavors = FlavorServiceClient::connect(world.nova.endpoint()).await.unwrap();
    flavors.create_flavor(CreateFlavorRequest { flavor: Some(flavor) }).await.unwrap();
}

async fn get(world: &World, id: &str) -> Instance {
    let request = GetInstanceRequest { id: id.to_owned() };
    world.instances().await.get_instance(request).await.unwrap().into_inner()
}

/// Checks what an operation has done to an instance.
fn check(step: &Asked, before: &Instance, after: &Instance, unshelved: &Instance) {
    assert_eq!(after.task, None, "{step:?}");
    match step.act {
        Act::Edit => assert_eq!(after.system_metadata["image_edited"], step.request_id),
        Act::Snapshot => assert_eq!(after.system_metadata, before.system_metadata),
        Act::Rebuild => {
            let image = &step.images[step.round % 2];
            assert_eq!(
                (&after.image_id, &after.system_metadata["image_base_image_ref"]),
                (&image.id, &image.id)
            );
            assert_eq!(after.system_metadata["image_n"], image.properties["n"]);
            assert!(!after.system_metadata.contains_key("image_edited"));
        }
        Act::Resize => assert_eq!(after.state(), State::Resized),
        Act::EndResize => {
            assert_eq!(after.state(), State::Active);
            assert!(
                after.system_metadata.keys().all(|key| !key.starts_with("old_") && !key.starts_with("new_"))
            );
        }
        Act::Shelve => assert_eq!(after.state(), State::ShelvedOffloaded),
        Act::Unshelve => {
            assert_eq!((after.state(), &after.system_metadata), (State::Active, &unshelved.system_metadata));
        }
    }
}

/// Checks that every snapshot is there once, and no image of an instance that came back.
async fn check_images(world: &World, id: &str) {
    let request = ListImagesRequest { page_size: 1000, ..Default::default() };
    let images = world.images().await.list_images(request).await.unwrap().into_inner().images;
    let made = images.iter().filter(|image| image.properties.get("instance_uuid").is_some_and(|of| of == id));
    let mut names: Vec<_> = made.map(|image| image.name.clone()).collect();
    names.sort();
    let done = |act: Act| {
        (0..kills()).filter(|kill| ACTS[usize::try_from(*kill).unwrap() % ACTS.len()] == act).count()
    };
    let is_away = done(Act::Shelve) > done(Act::Unshelve);
    let mut expected = vec!["s".to_owned(); done(Act::Snapshot)];
    expected.extend(is_away.then(|| "web-shelved".to_owned()));
    assert_eq!(names, expected);
}

/// Checks that history leads to the current state, with each operation recorded once.
async fn check_history(world: &World, instance: &Instance) {
    let request =
        GetInstanceHistoryRequest { id: instance.id.clone(), page_size: 1000, ..Default::default() };
    let mut entries =
        world.instances().await.get_instance_history(request).await.unwrap().into_inner().entries;
    entries.reverse();
    let revisions: Vec<_> = entries.iter().map(|entry| entry.revision).collect();
    assert_eq!(revisions, (1..=instance.revision).collect::<Vec<_>>());
    let finished = entries.iter().filter(|entry| entry.step() == Step::Finished).count();
    assert_eq!(u64::try_from(finished).unwrap(), kills() + 1, "the creation, and each operation once");
    let mut system_metadata = std::collections::BTreeMap::new();
    for change in entries.into_iter().flat_map(|entry| entry.changes) {
        match change.new_value {
            Some(value) => drop(system_metadata.insert(change.key, value)),
            None => drop(system_metadata.remove(&change.key)),
        }
    }
    assert_eq!(system_metadata, instance.system_metadata);
}

async fn a_snapshot_whose_service_died_is_finished_by_the_next(db: TestDb) {
    let mut world = World::start_with(db, "none").await;
    let image = world.image(&[]).await;
    let instance = world
        .instances()
        .await
        .create_instance(create(&image, 1))
        .await
        .unwrap()
        .into_inner()
        .instances
        .remove(0);
    world.glance.kill().unwrap();
    let (id, name) = (instance.id.clone(), "s".to_owned());
    let request = SnapshotInstanceRequest { id, name, ..Default::default() };
    world.instances().await.snapshot_instance(request).await.unwrap_err();
    assert_eq!(world.count("SELECT COUNT(*) FROM image_jobs").await, 1);
    world.crash_nova();
    world.revive_glance();
    while get(&world, &instance.id).await.task.is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.count("SELECT COUNT(*) FROM image_jobs").await, 0);
    let images = world.images().await.list_images(ListImagesRequest::default()).await.unwrap();
    assert_eq!(images.into_inner().images.len(), 2);
}
