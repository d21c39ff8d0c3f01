//! Quotas while instances are being resized.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use common::id::Id;
use nova_api_svc::quota::Quota;
use proto::nova::v1::{
    CreateInstanceRequest, DeleteInstanceRequest, ListInstancesRequest, ListInstancesResponse,
    instance_service_client::InstanceServiceClient, instance_task::State as TaskState,
};
use tonic::transport::Channel;

use super::*;
use crate::support::reason;

on_both_databases!(
    a_smaller_flavor_gives_nothing_free_until_it_is_confirmed,
    two_larger_flavors_are_reserved_when_they_begin,
    a_resize_that_fails_or_is_reverted_gives_back_what_it_reserved,
    no_sequence_of_two_replicas_passes_the_quota,
);

/// The project's quota of virtual CPUs.
const CORES: i64 = 7;

/// Flavors, each the number of its virtual CPUs; no disk, so that none is too small.
const FLAVORS: [i32; 3] = [1, 2, 4];

/// Number of concurrent clients, and of operations of each.
const CLIENTS: usize = 4;
const STEPS: usize = 60;

fn settings(compute: Compute) -> Settings {
    let quota = Quota { cores: Some(CORES), ..Quota::default() };
    Settings { quota, compute, ..Settings::default() }
}

async fn start(db: TestDb, compute: Compute) -> (Nova, Image) {
    let nova = Nova::start_with(db, settings(compute)).await;
    for vcpus in FLAVORS {
        nova.flavor(&format!("of {vcpus}"), 512, vcpus, 0).await;
    }
    let image = nova.glance.with(&[]);
    (nova, image)
}

fn with(image: &Image, vcpus: i32) -> CreateInstanceRequest {
    CreateInstanceRequest { flavor_id: format!("of {vcpus}"), ..of(image) }
}

#[track_caller]
fn assert_exceeded(status: &Status, requested: i64, used: i64) {
    let values = assert_error(status, Code::ResourceExhausted, "QUOTA_EXCEEDED");
    let expected = [requested, used, CORES].map(|number| number.to_string());
    assert_eq!([&values["requested"], &values["used"], &values["limit"]], expected);
}

async fn a_smaller_flavor_gives_nothing_free_until_it_is_confirmed(db: TestDb) {
    let (nova, image) = start(db, Compute::None).await;
    let instance = nova.create_one(with(&image, 4)).await;
    nova.create_one(with(&image, 2)).await;
    nova.resize(&instance.id, "of 1").await.unwrap();
    assert_exceeded(&nova.create(with(&image, 2)).await.unwrap_err(), 2, 6);
    nova.revert(&instance.id).await.unwrap();
    nova.resize(&instance.id, "of 2").await.unwrap();
    nova.confirm(&instance.id).await.unwrap();
    nova.create(with(&image, 2)).await.unwrap();
    assert_exceeded(&nova.create(with(&image, 2)).await.unwrap_err(), 2, 6);
}

async fn two_larger_flavors_are_reserved_when_they_begin(db: TestDb) {
    let (nova, image) = start(db, Compute::Agent).await;
    let mut instances = Vec::new();
    for _ in 0..2 {
        instances.push(nova.activate(&nova.create_one(with(&image, 2)).await).await);
    }
    let begun = nova.resize(&instances[0].id, "of 4").await.unwrap();
    assert_exceeded(&nova.resize(&instances[1].id, "of 4").await.unwrap_err(), 2, 6);
    let resized = nova.end(&begun, Outcome::Succeeded).await;
    assert_exceeded(&nova.resize(&instances[1].id, "of 4").await.unwrap_err(), 2, 6);
    nova.report(ReportInstanceStateRequest { state: State::Error.into(), ..seen(&resized) }).await.unwrap();
    assert_exceeded(&nova.resize(&instances[1].id, "of 4").await.unwrap_err(), 2, 6);
}

async fn a_resize_that_fails_or_is_reverted_gives_back_what_it_reserved(db: TestDb) {
    let (nova, image) = start(db, Compute::Agent).await;
    let instance = nova.activate(&nova.create_one(with(&image, 2)).await).await;
    nova.create_one(with(&image, 2)).await;
    let begun = nova.resize(&instance.id, "of 4").await.unwrap();
    assert_exceeded(&nova.create(with(&image, 2)).await.unwrap_err(), 2, 6);
    nova.end(&begun, Outcome::Failed).await;
    let begun = nova.resize(&instance.id, "of 4").await.unwrap();
    nova.end(&begun, Outcome::Succeeded).await;
    let begun = nova.revert(&instance.id).await.unwrap();
    assert_exceeded(&nova.create(with(&image, 2)).await.unwrap_err(), 2, 6);
    nova.end(&begun, Outcome::Succeeded).await;
    nova.create(with(&image, 2)).await.unwrap();
}

/// Random numbers, the same ones for a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// The virtual CPUs for which an instance counts.
fn use_of(instance: &Instance) -> i64 {
    let entry = |prefix| {
        let vcpus = instance.system_metadata.get(&format!("{prefix}instance_type_vcpus"));
        vcpus.map_or(0, |vcpus| vcpus.parse().unwrap())
    };
    ["", "old_", "new_"].into_iter().map(entry).max().unwrap()
}

/// All instances, as one statement reads them.
async fn all(replica: &mut InstanceServiceClient<Channel>) -> Vec<Instance> {
    let request = by_alice(ListInstancesRequest { page_size: 1000, ..Default::default() });
    let ListInstancesResponse { instances, next_page_token } =
        replica.list_instances(request).await.unwrap().into_inner();
    assert_eq!(next_page_token, "");
    instances
}

/// Makes an operation that is likely to be allowed.
async fn step(
    mut replica: InstanceServiceClient<Channel>,
    image: &Image,
    random: &mut Random,
) -> Result<(), Status> {
    let instances = all(&mut replica).await;
    let vcpus = FLAVORS[random.below(FLAVORS.len())];
    let choice = random.below(10);
    if instances.is_empty() || choice < 2 {
        return replica.create_instance(by_alice(with(image, vcpus))).await.map(drop);
    }
    let instance = &instances[random.below(instances.len())];
    let (id, outcome) =
        (instance.id.clone(), [Outcome::Succeeded, Outcome::Failed][usize::from(choice == 9)]);
    let task = instance.task.as_ref().map(proto::nova::v1::InstanceTask::state);
    let report = |report| by_an_agent(ReportInstanceStateRequest { ..report });
    match (instance.state(), task) {
        _ if choice == 2 => {
            let request = DeleteInstanceRequest { id, ..Default::default() };
            replica.delete_instance(by_alice(request)).await.map(drop)
        }
        (_, Some(TaskState::ResizePrep | TaskState::ResizeConfirming | TaskState::ResizeReverting)) => {
            let ended = ReportInstanceStateRequest { result: outcome.into(), ..seen(instance) };
            replica.report_instance_state(report(ended)).await.map(drop)
        }
        (State::Building | State::Error, _) => {
            let was_resized = instance.system_metadata.contains_key("old_vm_state");
            let state = if was_resized { State::Resized } else { State::Active };
            let running = ReportInstanceStateRequest { state: state.into(), ..seen(instance) };
            replica.report_instance_state(report(running)).await.map(drop)
        }
        (State::Resized, _) if choice == 3 => {
            let failed = ReportInstanceStateRequest { state: State::Error.into(), ..seen(instance) };
            replica.report_instance_state(report(failed)).await.map(drop)
        }
        (State::Resized, _) if choice.is_multiple_of(2) => {
            let request = ConfirmResizeRequest { id, ..Default::default() };
            replica.confirm_resize(by_alice(request)).await.map(drop)
        }
        (State::Resized, _) => {
            let request = RevertResizeRequest { id, ..Default::default() };
            replica.revert_resize(by_alice(request)).await.map(drop)
        }
        _ => {
            let request =
                ResizeInstanceRequest { id, flavor_id: format!("of {vcpus}"), ..Default::default() };
            replica.resize_instance(by_alice(request)).await.map(drop)
        }
    }
}

/// The possible outcomes of a step with concurrent ones.
const REFUSALS: [&str; 6] = [
    "QUOTA_EXCEEDED",
    "SAME_FLAVOR",
    "WRONG_STATE",
    "STATE_CHANGED",
    "INSTANCE_NOT_FOUND",
    "INVALID_REQUEST",
];

async fn no_sequence_of_two_replicas_passes_the_quota(db: TestDb) {
    for compute in [Compute::None, Compute::Agent] {
        let (nova, image) = start(db.another().await, compute).await;
        let replicas = nova.replicas(&settings(compute)).await;
        let (is_over, refusals) = (AtomicBool::new(false), AtomicUsize::new(0));
        let seed = Id::random().as_uuid().as_u64_pair().0;
        let clients = (0..CLIENTS).map(|client| {
            let (replica, image, refusals) = (replicas[client % 2].clone(), &image, &refusals);
            let mut random = Random(seed.wrapping_add(u64::try_from(client).unwrap()));
            async move {
                for _ in 0..STEPS {
                    if let Err(status) = step(replica.clone(), image, &mut random).await {
                        let reason = reason(&status);
                        assert!(REFUSALS.contains(&&*reason), "seed {seed}: {status:?}");
                        refusals.fetch_add(usize::from(reason == "QUOTA_EXCEEDED"), Ordering::SeqCst);
                    }
                }
            }
        });
        let all_steps = async {
            futures_util::future::join_all(clients).await;
            is_over.store(true, Ordering::SeqCst);
        };
        let watch = async {
            let mut replica = nova.instances();
            while !is_over.load(Ordering::SeqCst) {
                let instances = all(&mut replica).await;
                let uses: BTreeMap<_, _> = instances.iter().map(|it| (it.id.clone(), use_of(it))).collect();
                assert!(uses.values().sum::<i64>() <= CORES, "seed {seed}: {uses:?}");
            }
        };
        tokio::join!(all_steps, watch);
        assert!(refusals.load(Ordering::SeqCst) > 0, "seed {seed}: nothing came near the quota");
    }
}
