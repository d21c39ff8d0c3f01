//! Operations on existing instances.

use std::time::Duration;

use chassis::{db::Db, on_both_databases, testing::TestDb};
use nova_api_svc::{compute::ComputeApi, instance::Compute, store::MIGRATIONS};
use proto::{
    glance::v1::Image,
    nova::v1::{
        CompareInstanceRequest, CompareInstanceResponse, ConfirmResizeRequest, DeleteInstanceRequest,
        GetInstanceHistoryRequest, Instance, InstanceHistoryEntry, ListDriftRequest, RebuildInstanceRequest,
        ReportInstanceStateRequest, ResizeInstanceRequest, RevertResizeRequest, ShelveInstanceRequest,
        SnapshotInstanceRequest, SnapshotInstanceResponse, UnshelveInstanceRequest,
        UpdateInstanceImagePropertiesRequest, instance::State,
        report_instance_state_request::Result as Outcome,
    },
};
use tonic::{Code, Request, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    glance::map,
    support::{Nova, Settings, assert_error, compute_api, execute, made_as, made_by, of},
};

mod contention;
mod drift;
mod history;
mod images;
mod jobs;
mod model;
mod properties;
mod quota;
mod rebuild;
mod report;
mod resize;
mod shelve;
mod snapshot;
mod whole;

/// A status of glance-svc with its reason, which may say when to try again.
pub(crate) fn told(code: Code, reason: &str, delay: Option<Duration>) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, "glance", []);
    if delay.is_some() {
        details.set_retry_info(delay);
    }
    Status::with_error_details(code, "its own words", details)
}

/// glance-svc's answer to callers above their rate.
fn rate_limited() -> Status {
    told(Code::ResourceExhausted, "RATE_LIMITED", Some(Duration::from_millis(10)))
}

/// A nova-api-svc whose jobs are done only when the test says so.
async fn idle(db: TestDb, compute: Compute) -> (Nova, Worker) {
    let settings = Settings { compute, does_jobs: false, ..Settings::default() };
    let nova = Nova::start_with(db, settings).await;
    let worker = Worker::of(&nova, compute).await;
    (nova, worker)
}

/// The job worker of a replica, controlled by the test.
struct Worker {
    compute: ComputeApi,
    url: String,
}

impl Worker {
    async fn of(nova: &Nova, compute: Compute) -> Self {
        let db = Db::open(&nova.db.url, 16, &MIGRATIONS).unwrap();
        db.migrate().await.unwrap();
        let settings = Settings { compute, ..Settings::default() };
        Self { compute: compute_api(&db, &nova.glance.endpoint(), &settings), url: nova.db.url.clone() }
    }

    /// Does the jobs that may be done; returns their number.
    async fn work(&self) -> usize {
        self.compute.do_due_jobs().await.unwrap()
    }

    /// Does all jobs, as if their pauses were over.
    async fn work_later(&self) -> usize {
        execute(&self.url, "UPDATE image_jobs SET next_try = 0").await;
        self.work().await
    }
}

/// nova-api-svc with `--compute none`.
async fn alone(db: TestDb) -> Nova {
    Nova::start_with(db, Settings { compute: Compute::None, ..Settings::default() }).await
}

/// Shortcuts for operations on an instance, as alice of project demo.
impl Nova {
    async fn snapshot(&self, request: SnapshotInstanceRequest) -> Result<SnapshotInstanceResponse, Status> {
        Ok(self.instances().snapshot_instance(by_alice(request)).await?.into_inner())
    }

    async fn rebuild(&self, id: &str, image: &str) -> Result<Instance, Status> {
        let request =
            RebuildInstanceRequest { id: id.to_owned(), image_id: image.to_owned(), ..Default::default() };
        Ok(self.instances().rebuild_instance(by_alice(request)).await?.into_inner())
    }

    async fn resize(&self, id: &str, flavor: &str) -> Result<Instance, Status> {
        let request =
            ResizeInstanceRequest { id: id.to_owned(), flavor_id: flavor.to_owned(), ..Default::default() };
        Ok(self.instances().resize_instance(by_alice(request)).await?.into_inner())
    }

    async fn confirm(&self, id: &str) -> Result<Instance, Status> {
        let request = ConfirmResizeRequest { id: id.to_owned(), ..Default::default() };
        Ok(self.instances().confirm_resize(by_alice(request)).await?.into_inner())
    }

    async fn revert(&self, id: &str) -> Result<Instance, Status> {
        let request = RevertResizeRequest { id: id.to_owned(), ..Default::default() };
        Ok(self.instances().revert_resize(by_alice(request)).await?.into_inner())
    }

    async fn edit(&self, request: UpdateInstanceImagePropertiesRequest) -> Result<Instance, Status> {
        Ok(self.instances().update_instance_image_properties(by_alice(request)).await?.into_inner())
    }

    async fn shelve(&self, id: &str) -> Result<Instance, Status> {
        let request = ShelveInstanceRequest { id: id.to_owned(), ..Default::default() };
        Ok(self.instances().shelve_instance(by_alice(request)).await?.into_inner())
    }

    /// Shelves an instance, which takes more than one attempt.
    async fn shelve_again(&self, id: &str, request_id: &str) -> Result<Instance, Status> {
        let (id, request_id) = (id.to_owned(), request_id.to_owned());
        let request = ShelveInstanceRequest { id, request_id, ..Default::default() };
        Ok(self.instances().shelve_instance(by_alice(request)).await?.into_inner())
    }

    /// Number of jobs.
    async fn jobs(&self) -> i64 {
        self.sql::<(i64,)>("SELECT COUNT(*) FROM image_jobs").await[0].0
    }

    async fn unshelve(&self, id: &str) -> Result<Instance, Status> {
        let request = UnshelveInstanceRequest { id: id.to_owned(), ..Default::default() };
        Ok(self.instances().unshelve_instance(by_alice(request)).await?.into_inner())
    }

    async fn report(&self, request: ReportInstanceStateRequest) -> Result<Instance, Status> {
        Ok(self.instances().report_instance_state(by_an_agent(request)).await?.into_inner())
    }

    /// Reports that the task of an instance has ended.
    async fn end(&self, instance: &Instance, outcome: Outcome) -> Instance {
        self.report(ReportInstanceStateRequest { result: outcome.into(), ..seen(instance) }).await.unwrap()
    }

    /// Reports that an instance runs.
    async fn activate(&self, instance: &Instance) -> Instance {
        let state = State::Active.into();
        self.report(ReportInstanceStateRequest { state, ..seen(instance) }).await.unwrap()
    }

    /// All of the history of an instance, oldest first.
    async fn history(&self, id: &str) -> Vec<InstanceHistoryEntry> {
        let mut request = GetInstanceHistoryRequest { id: id.to_owned(), page_size: 2, ..Default::default() };
        let mut entries = Vec::new();
        loop {
            let page = self.instances().get_instance_history(request.clone()).await.unwrap().into_inner();
            entries.extend(page.entries);
            if page.next_page_token.is_empty() {
                entries.reverse();
                return entries;
            }
            request.page_token = page.next_page_token;
        }
    }

    async fn compare(&self, id: &str) -> CompareInstanceResponse {
        let request = CompareInstanceRequest { id: id.to_owned() };
        self.instances().compare_instance(by_alice(request)).await.unwrap().into_inner()
    }

    /// A list of drift, as an operator sees it, page by page.
    async fn drift(&self, mut request: ListDriftRequest) -> Vec<proto::nova::v1::Drift> {
        let mut drifts = Vec::new();
        loop {
            let page = self.instances().list_drift(request.clone()).await.unwrap().into_inner();
            drifts.extend(page.drifts);
            if page.next_page_token.is_empty() {
                return drifts;
            }
            request.page_token = page.next_page_token;
        }
    }

    /// A running instance of that image.
    async fn active(&self, image: &Image) -> Instance {
        let created = self.create_one(of(image)).await;
        if created.state() == State::Active { created } else { self.activate(&created).await }
    }
}

fn by_an_agent<T>(message: T) -> Request<T> {
    made_as("agent", "service", "service", message)
}

fn by_alice<T>(message: T) -> Request<T> {
    made_by("alice", "demo", message)
}

/// A report about an instance as it is.
fn seen(instance: &Instance) -> ReportInstanceStateRequest {
    ReportInstanceStateRequest {
        id: instance.id.clone(),
        seen_state: instance.state,
        seen_task_state: instance.task.as_ref().map_or(0, |task| task.state),
        ..Default::default()
    }
}

/// A request for a snapshot.
fn named(id: &str, request_id: &str) -> SnapshotInstanceRequest {
    SnapshotInstanceRequest {
        id: id.to_owned(),
        name: "backup".to_owned(),
        request_id: request_id.to_owned(),
        ..Default::default()
    }
}

/// Checks that an operation has begun and continues; returns the image that it makes.
#[track_caller]
fn assert_begun(status: &Status, operation: &str, cause: &str) -> String {
    let values = assert_error(status, Code::Unavailable, "OPERATION_BEGUN");
    assert_eq!((&values["operation"], &values["cause"]), (operation, cause));
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
    assert!(status.message().contains("has begun"), "{status:?}");
    values["image_id"].to_owned()
}

/// An instance without the fields that every change updates.
fn content(instance: &Instance) -> Instance {
    Instance { revision: 0, etag: String::new(), update_time: None, ..instance.clone() }
}

/// Checks that the instance's state does not allow the operation.
#[track_caller]
fn assert_wrong_state(status: &Status, state: &str, task_state: &str) {
    let values = assert_error(status, Code::FailedPrecondition, "WRONG_STATE");
    assert_eq!((&values["state"], &values["task_state"]), (state, task_state), "{status:?}");
}
