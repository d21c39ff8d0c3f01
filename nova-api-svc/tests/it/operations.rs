//! What is done with instances that are there.

use common::{on_both_databases, testing::TestDb};
use nova_api_svc::instance::Compute;
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

use crate::{
    glance::map,
    support::{Nova, Settings, assert_error, made_as, made_by, of},
};

mod contention;
mod drift;
mod history;
mod model;
mod properties;
mod rebuild;
mod report;
mod resize;
mod shelve;
mod snapshot;

/// Nova with nobody who runs its instances.
async fn alone(db: TestDb) -> Nova {
    Nova::start_with(db, Settings { compute: Compute::None, ..Settings::default() }).await
}

/// Short ways to do things with an instance, as alice of project demo.
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

    /// An instance of that image that runs.
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

/// An instance without what every change changes.
fn content(instance: &Instance) -> Instance {
    Instance { revision: 0, etag: String::new(), update_time: None, ..instance.clone() }
}

/// Checks that the state of an instance forbids something.
#[track_caller]
fn assert_wrong_state(status: &Status, state: &str, task_state: &str) {
    let values = assert_error(status, Code::FailedPrecondition, "WRONG_STATE");
    assert_eq!((&values["state"], &values["task_state"]), (state, task_state), "{status:?}");
}
