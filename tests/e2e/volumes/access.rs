//! Who may do what with volumes: each row of the table of docs/security.md, by each kind of caller.

use std::fs;

use chassis::{
    on_both_databases,
    testing::{TestDb, made_as},
};
use harness::workspace;
use proto::{
    cinder::v1::{
        CompareVolumeRequest, CreateSnapshotRequest, CreateVolumeRequest, CreateVolumeTypeRequest,
        DeleteVolumeRequest, ExtendVolumeRequest, GetVolumeHistoryRequest, GetVolumeRequest,
        ListDriftRequest, ListVolumesRequest, ReimageVolumeRequest, ReportVolumeStateRequest,
        RetypeVolumeRequest, RevertVolumeRequest, UpdateVolumeImagePropertiesRequest, UpdateVolumeRequest,
        Volume, VolumeType, create_volume_request::Source, snapshot_service_client::SnapshotServiceClient,
        volume::Status as VolumeStatus, volume_service_client::VolumeServiceClient,
        volume_type_service_client::VolumeTypeServiceClient,
    },
    glance::v1::{CreateImageRequest, Image, image::Visibility, image_service_client::ImageServiceClient},
};
use tonic::{Code, Request, Status, transport::Channel};

use super::Catalogue;

on_both_databases!(every_caller_may_do_with_volumes_what_the_table_says);

/// The project that owns the volumes.
const OWNER: &str = "demo";

/// The roles of the columns, in their order.
const COLUMNS: [&str; 5] = ["auditor", "reader", "member", "service", "admin"];

/// A row of the table.
struct Row {
    calls: Vec<String>,
    /// What the request has besides, such as `all_projects`.
    option: Option<String>,
    is_own: bool,
    /// The words of the columns.
    expected: Vec<String>,
}

/// What calls are about: a volume that differs from its image.
struct Target {
    volumes: VolumeServiceClient<Channel>,
    snapshots: SnapshotServiceClient<Channel>,
    volume: Volume,
    image_id: String,
}

async fn every_caller_may_do_with_volumes_what_the_table_says(db: TestDb) {
    let world = Catalogue::start(db, "none").await;
    let volumes = VolumeServiceClient::connect(world.cinder.endpoint()).await.unwrap();
    let snapshots = SnapshotServiceClient::connect(world.cinder.endpoint()).await.unwrap();
    let image_id = public_image(&world).await;
    add_volume_type(&world).await;
    for row in rows() {
        for (role, expected) in COLUMNS.iter().zip(&row.expected) {
            for call in &row.calls {
                let volume = volume(&volumes, &image_id).await;
                let (volumes, snapshots) = (volumes.clone(), snapshots.clone());
                let target = Target { volumes, snapshots, volume, image_id: image_id.clone() };
                let project = if row.is_own { OWNER } else { "tea" };
                let seen = target.attempt(call, row.option.as_deref(), (project, role)).await;
                let option = row.option.as_deref().unwrap_or_default();
                assert_eq!(seen, *expected, "{call} {option} by {role} of {project}");
            }
        }
    }
}

/// The rows of the table.
fn rows() -> Vec<Row> {
    let page = fs::read_to_string(workspace::root().join("docs/security.md")).unwrap();
    let (_, section) = page.split_once("## Who may what with volumes").unwrap();
    let (table, _) = section.split_once("\n## ").unwrap();
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| `")).map(row).collect();
    assert!(rows.len() > 10, "{} rows", rows.len());
    rows
}

fn row(line: &str) -> Row {
    let columns: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
    let words = columns[0].split('`').skip(1).step_by(2).map(str::to_owned);
    let (calls, options): (Vec<_>, Vec<_>) =
        words.partition(|word| word.starts_with(|first: char| first.is_uppercase()));
    let is_own = match columns[1] {
        "its project" => true,
        "another one" => false,
        other => panic!("{other:?} is no word of the table"),
    };
    let expected = columns[2..].iter().map(|cell| (*cell).to_owned()).collect();
    Row { calls, option: options.into_iter().next(), is_own, expected }
}

impl Target {
    /// Makes a call; returns the word of the table for what became of it.
    async fn attempt(&self, call: &str, option: Option<&str>, (project, role): (&str, &str)) -> &'static str {
        let answer = if call.starts_with("List") {
            self.list(call, option, (project, role)).await
        } else {
            self.call(call, option, (project, role)).await.map(|()| true)
        };
        match answer {
            Ok(true) => "done",
            Ok(false) => "hidden",
            Err(status) if status.code() == Code::NotFound => "hidden",
            Err(status) if status.code() == Code::PermissionDenied => "refused",
            Err(status) => panic!("{call} by {role} of {project}: {status:?}"),
        }
    }

    /// Whether a list has the volume.
    async fn list(
        &self,
        call: &str,
        option: Option<&str>,
        (project, role): (&str, &str),
    ) -> Result<bool, Status> {
        let (mut volumes, id) = (self.volumes.clone(), &self.volume.id);
        let all_projects = option == Some("all_projects");
        let project_id = if option == Some("project_id") { OWNER } else { "" };
        if call == "ListDrift" {
            let message = ListDriftRequest {
                page_size: 1000,
                project_id: project_id.to_owned(),
                all_projects,
                ..Default::default()
            };
            let listed = volumes.list_drift(made_as("u", project, role, message)).await?.into_inner();
            return Ok(listed.drifts.iter().any(|drift| drift.volume_id == *id));
        }
        let filter = if project_id.is_empty() { String::new() } else { format!("project_id = {project_id}") };
        let message = ListVolumesRequest { page_size: 1000, filter, all_projects, ..Default::default() };
        let listed = volumes.list_volumes(made_as("u", project, role, message)).await?.into_inner();
        Ok(listed.volumes.iter().any(|volume| volume.id == *id))
    }

    /// A snapshot of the volume.
    async fn snapshot(&self) -> String {
        let message = CreateSnapshotRequest { volume_id: self.volume.id.clone(), ..Default::default() };
        let request = made_as("alice", OWNER, "member", message);
        self.snapshots.clone().create_snapshot(request).await.unwrap().into_inner().id
    }

    async fn call(
        &self,
        call: &str,
        option: Option<&str>,
        (project, role): (&str, &str),
    ) -> Result<(), Status> {
        let (mut volumes, id) = (self.volumes.clone(), self.volume.id.clone());
        macro_rules! call {
            ($method:ident, $message:expr) => {
                volumes.$method(made_as("u", project, role, $message)).await.map(drop)
            };
        }
        match call {
            "CreateVolume" => {
                call!(create_volume, CreateVolumeRequest { size_gib: Some(1), ..Default::default() })
            }
            "GetVolume" => call!(get_volume, GetVolumeRequest { id, revision: 0 }),
            "GetVolumeHistory" => {
                call!(get_volume_history, GetVolumeHistoryRequest { id, ..Default::default() })
            }
            "CompareVolume" => call!(compare_volume, CompareVolumeRequest { id }),
            "UpdateVolume" => {
                let volume = Volume { id, name: "new".to_owned(), ..Default::default() };
                call!(update_volume, UpdateVolumeRequest { volume: Some(volume), ..Default::default() })
            }
            "DeleteVolume" => {
                let force = option == Some("force");
                call!(delete_volume, DeleteVolumeRequest { id, force, ..Default::default() })
            }
            "ExtendVolume" => {
                call!(extend_volume, ExtendVolumeRequest { id, size_gib: 2, ..Default::default() })
            }
            "RetypeVolume" => {
                let volume_type = "fast".to_owned();
                call!(retype_volume, RetypeVolumeRequest { id, volume_type, ..Default::default() })
            }
            "ReimageVolume" => {
                let image_id = self.image_id.clone();
                call!(reimage_volume, ReimageVolumeRequest { id, image_id, ..Default::default() })
            }
            "RevertVolume" => {
                let snapshot_id = self.snapshot().await;
                call!(revert_volume, RevertVolumeRequest { id, snapshot_id, ..Default::default() })
            }
            "UpdateVolumeImageProperties" => {
                let set = [("os_type".to_owned(), "linux".to_owned())].into();
                let message = UpdateVolumeImagePropertiesRequest { id, set, ..Default::default() };
                call!(update_volume_image_properties, message)
            }
            "ReportVolumeState" => {
                let (seen_status, host) = (VolumeStatus::Available.into(), Some("h".to_owned()));
                let message = ReportVolumeStateRequest { id, seen_status, host, ..Default::default() };
                call!(report_volume_state, message)
            }
            other => panic!("the table has {other}, which this test does not know"),
        }
    }
}

/// A volume of the owner that differs from its image.
async fn volume(volumes: &VolumeServiceClient<Channel>, image_id: &str) -> Volume {
    let image_properties = [("hw_disk_bus".to_owned(), "scsi".to_owned())].into();
    let message = CreateVolumeRequest {
        source: Some(Source::ImageId(image_id.to_owned())),
        image_properties,
        ..Default::default()
    };
    volumes.clone().create_volume(made_as("alice", OWNER, "member", message)).await.unwrap().into_inner()
}

/// An image that everybody may use.
async fn public_image(world: &Catalogue) -> String {
    let mut images = ImageServiceClient::connect(world.glance.endpoint()).await.unwrap();
    let image = Image {
        name: "image".to_owned(),
        size: Some(1),
        visibility: Visibility::Public.into(),
        ..Default::default()
    };
    images.create_image(CreateImageRequest { image: Some(image) }).await.unwrap().into_inner().id
}

/// A volume type to change to.
async fn add_volume_type(world: &Catalogue) {
    let mut types = VolumeTypeServiceClient::connect(world.cinder.endpoint()).await.unwrap();
    let volume_type = VolumeType { name: "fast".to_owned(), is_public: true, ..Default::default() };
    let message = CreateVolumeTypeRequest { volume_type: Some(volume_type) };
    let request: Request<_> = made_as("root", "admin", "admin", message);
    types.create_volume_type(request).await.unwrap();
}
