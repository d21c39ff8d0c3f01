//! Every call, made by anybody on any instance.

use proto::{
    glance::v1::Image,
    nova::v1::{
        AttachVolumeRequest, CompareInstanceRequest, ConfirmResizeRequest, CreateFlavorRequest,
        DeleteFlavorRequest, DeleteInstanceRequest, DetachVolumeRequest, Flavor, GetFlavorRequest,
        GetInstanceHistoryRequest, GetInstanceRequest, Instance, ListDriftRequest, ListFlavorsRequest,
        ListInstancesRequest, ListVolumeAttachmentsRequest, RebuildInstanceRequest,
        ReportInstanceStateRequest, ResizeInstanceRequest, RevertResizeRequest, ShelveInstanceRequest,
        SnapshotInstanceRequest, UnshelveInstanceRequest, UpdateInstanceImagePropertiesRequest,
        instance::State,
    },
};
use tonic::{Request, Status};

use super::OWNER;
use crate::{
    glance::map,
    support::{Nova, made_as, of, reason},
};

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    /// Its project, or none.
    pub(super) project: &'static str,
    pub(super) roles: &'static str,
}

/// What is called for.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) instance: Instance,
    /// The id of a flavor that no instance has.
    pub(super) flavor: String,
    /// What new instances are made from.
    pub(super) image: Image,
}

const ADMIN: Caller = Caller { project: OWNER, roles: "admin" };

impl Caller {
    fn says<T>(self, message: T) -> Request<T> {
        let mut request = made_as("u", self.project, self.roles, message);
        if self.project.is_empty() {
            request.metadata_mut().remove("x-project-id");
        }
        request
    }
}

impl Target {
    /// An instance of [`OWNER`] for which `call` is allowed by its state; `drifting` where that must have drifted.
    pub(super) async fn prepare(nova: &Nova, call: &str, image: &Image, drifting: &Instance) -> Self {
        let (flavor, image) = ("1".to_owned(), image.clone());
        if call == "ListDrift" {
            return Self { instance: drifting.clone(), flavor, image };
        }
        let flavor = match call {
            "DeleteFlavor" => nova.flavor(&uuid(nova, &image).await, 512, 1, 1).await.id,
            _ => flavor,
        };
        let mut target = Self { instance: nova.create_one(of(&image)).await, flavor, image };
        let before = match call {
            "ConfirmResize" | "RevertResize" => Some("ResizeInstance"),
            "UnshelveInstance" => Some("ShelveInstance"),
            _ => None,
        };
        if let Some(before) = before {
            let resized = Self { flavor: "3".to_owned(), ..target.clone() };
            Box::pin(resized.call(nova, before, None, ADMIN)).await.unwrap();
        }
        target.instance = nova.get(&target.instance.id).await.unwrap();
        target
    }

    /// Makes the call; whether the answer shows the instance, where it could.
    pub(super) async fn call(
        &self,
        nova: &Nova,
        call: &str,
        option: Option<&str>,
        caller: Caller,
    ) -> Result<bool, Status> {
        let (mut client, id) = (nova.instances(), self.instance.id.clone());
        let all_projects = option == Some("all_projects");
        let project_id = if option == Some("project_id") { OWNER } else { "" };
        match call {
            "CreateInstance" => {
                let created = client.create_instance(caller.says(of(&self.image))).await?.into_inner();
                Ok(created.instances[0].project_id == caller.project)
            }
            "GetInstance" => client.get_instance(caller.says(GetInstanceRequest { id })).await.map(|_| true),
            "GetInstanceHistory" => client
                .get_instance_history(caller.says(GetInstanceHistoryRequest { id, ..Default::default() }))
                .await
                .map(|_| true),
            "CompareInstance" => {
                client.compare_instance(caller.says(CompareInstanceRequest { id })).await.map(|_| true)
            }
            "ListInstances" => {
                let filter =
                    if project_id.is_empty() { String::new() } else { format!("project_id = {project_id}") };
                let page_size = 1000;
                let request = ListInstancesRequest { page_size, filter, all_projects, ..Default::default() };
                let page = client.list_instances(caller.says(request)).await?.into_inner();
                Ok(page.instances.iter().any(|instance| instance.id == id))
            }
            "ListDrift" => {
                let project_id = project_id.to_owned();
                let request = ListDriftRequest { project_id, all_projects, ..Default::default() };
                let page = client.list_drift(caller.says(request)).await?.into_inner();
                Ok(page.drifts.iter().any(|drift| drift.instance_id == id))
            }
            "DeleteInstance" => client
                .delete_instance(caller.says(DeleteInstanceRequest { id, ..Default::default() }))
                .await
                .map(|_| true),
            "RebuildInstance" => client
                .rebuild_instance(caller.says(RebuildInstanceRequest { id, ..Default::default() }))
                .await
                .map(|_| true),
            "ConfirmResize" => client
                .confirm_resize(caller.says(ConfirmResizeRequest { id, ..Default::default() }))
                .await
                .map(|_| true),
            "RevertResize" => client
                .revert_resize(caller.says(RevertResizeRequest { id, ..Default::default() }))
                .await
                .map(|_| true),
            "ShelveInstance" => client
                .shelve_instance(caller.says(ShelveInstanceRequest { id, ..Default::default() }))
                .await
                .map(|_| true),
            "UnshelveInstance" => client
                .unshelve_instance(caller.says(UnshelveInstanceRequest { id, ..Default::default() }))
                .await
                .map(|_| true),
            "SnapshotInstance" => {
                let name = "s".to_owned();
                let request = SnapshotInstanceRequest { id, name, ..Default::default() };
                client.snapshot_instance(caller.says(request)).await.map(|_| true)
            }
            "ResizeInstance" => {
                let flavor_id = "3".to_owned();
                let request = ResizeInstanceRequest { id, flavor_id, ..Default::default() };
                client.resize_instance(caller.says(request)).await.map(|_| true)
            }
            "UpdateInstanceImageProperties" => {
                let set = map(&[("a", "1")]);
                let request = UpdateInstanceImagePropertiesRequest { id, set, ..Default::default() };
                client.update_instance_image_properties(caller.says(request)).await.map(|_| true)
            }
            "ListVolumeAttachments" => client
                .list_volume_attachments(caller.says(ListVolumeAttachmentsRequest { id }))
                .await
                .map(|_| true),
            // Whoever may do that is told that there is no such volume.
            "AttachVolume" => {
                let volume_id = self.instance.id.clone();
                let request = AttachVolumeRequest { id, volume_id, ..Default::default() };
                let attached = client.attach_volume(caller.says(request)).await;
                attached.map(|_| false).or_else(|status| may_fail(status, "NO_VOLUME_SERVICE"))
            }
            "DetachVolume" => {
                let volume_id = self.instance.id.clone();
                let request = DetachVolumeRequest { id, volume_id, ..Default::default() };
                let detached = client.detach_volume(caller.says(request)).await;
                detached.map(|_| false).or_else(|status| may_fail(status, "VOLUME_NOT_ATTACHED"))
            }
            "ReportInstanceState" => {
                let request = ReportInstanceStateRequest {
                    id,
                    seen_state: State::Active.into(),
                    state: State::Stopped.into(),
                    ..Default::default()
                };
                client.report_instance_state(caller.says(request)).await.map(|_| true)
            }
            _ => self.call_flavors(nova, call, caller).await,
        }
    }

    async fn call_flavors(&self, nova: &Nova, call: &str, caller: Caller) -> Result<bool, Status> {
        let (mut client, id) = (nova.flavors(), self.flavor.clone());
        match call {
            "GetFlavor" => client.get_flavor(caller.says(GetFlavorRequest { id })).await.map(|_| true),
            "ListFlavors" => {
                let request = ListFlavorsRequest { page_size: 1000, ..Default::default() };
                let page = client.list_flavors(caller.says(request)).await?.into_inner();
                Ok(page.flavors.iter().any(|flavor| flavor.id == id))
            }
            "CreateFlavor" => {
                // A name that is new for each target.
                let name = self.instance.id.clone();
                let flavor = Flavor { name, memory_mb: 1, vcpus: 1, ..Default::default() };
                let request = CreateFlavorRequest { flavor: Some(flavor) };
                client.create_flavor(caller.says(request)).await.map(|_| true)
            }
            "DeleteFlavor" => {
                client.delete_flavor(caller.says(DeleteFlavorRequest { id })).await.map(|_| true)
            }
            other => panic!("{other} is to be called here as well"),
        }
    }

    /// Checks that a call that was not done has changed nothing.
    pub(super) async fn assert_unchanged(&self, nova: &Nova) {
        assert_eq!(nova.get(&self.instance.id).await.unwrap(), self.instance);
        let request = GetFlavorRequest { id: self.flavor.clone() };
        nova.flavors().get_flavor(request).await.unwrap();
        let request = ListFlavorsRequest { page_size: 1000, ..Default::default() };
        let flavors = nova.flavors().list_flavors(request).await.unwrap().into_inner().flavors;
        assert!(flavors.iter().all(|flavor| flavor.name != self.instance.id));
    }
}

/// Whether a call fails for that reason alone.
fn may_fail(status: Status, expected: &str) -> Result<bool, Status> {
    if reason(&status) == expected { Ok(true) } else { Err(status) }
}

/// An id that nothing else has.
async fn uuid(nova: &Nova, image: &Image) -> String {
    nova.create_one(of(image)).await.id
}
