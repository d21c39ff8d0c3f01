//! Volumes as JSON.

use std::collections::BTreeMap;

use chassis::{http::versions::Link, scope::sees_all};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    http::{
        Call,
        render::{NOTHING, some, time},
        services::HOST,
        since,
    },
    volume::{Attachment, AttachmentStatus, Status, TaskState, Volume},
};

/// A volume.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Volume)]
pub(in crate::http) struct VolumeView {
    id: String,
    name: String,
    description: Option<String>,
    /// What it is or, while something is being done with it, what that is.
    status: &'static str,
    /// GiB.
    size: i32,
    /// Name of its volume type.
    volume_type: String,
    /// Since 3.63.
    #[serde(skip_serializing_if = "Option::is_none")]
    volume_type_id: Option<String>,
    availability_zone: String,
    created_at: String,
    updated_at: Option<String>,
    snapshot_id: Option<String>,
    source_volid: Option<String>,
    user_id: String,
    metadata: BTreeMap<String, String>,
    /// `true` or `false`, as text.
    bootable: String,
    multiattach: bool,
    attachments: Vec<AttachmentOfVolume>,
    links: Vec<Link>,
    encrypted: bool,
    replication_status: Option<Value>,
    consistencygroup_id: Option<Value>,
    /// Not in the answer to a change.
    #[serde(rename = "os-vol-tenant-attr:tenant_id", skip_serializing_if = "Option::is_none")]
    project_id: Option<String>,
    /// Since 3.13.
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<Value>,
    /// Since 3.48.
    #[serde(skip_serializing_if = "Option::is_none")]
    shared_targets: Option<bool>,
    /// Since 3.48.
    #[serde(skip_serializing_if = "Option::is_none")]
    service_uuid: Option<Value>,
    /// Since 3.65.
    #[serde(skip_serializing_if = "Option::is_none")]
    consumes_quota: Option<bool>,
    /// For admins.
    #[serde(rename = "os-vol-host-attr:host", skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    /// For admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    migration_status: Option<Value>,
    /// For admins.
    #[serde(rename = "os-vol-mig-status-attr:migstat", skip_serializing_if = "Option::is_none")]
    migstat: Option<Value>,
    /// For admins.
    #[serde(rename = "os-vol-mig-status-attr:name_id", skip_serializing_if = "Option::is_none")]
    name_id: Option<Value>,
    /// For admins, since 3.21.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_id: Option<Value>,
    /// For admins, since 3.61.
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_name: Option<Value>,
    /// What it remembers of its image: attributes and properties, all as text. Absent if that is nothing, and in the
    /// answer to a change.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    volume_image_metadata: BTreeMap<String, String>,
}

/// An attachment, as a volume shows it.
#[derive(Debug, Serialize, ToSchema)]
struct AttachmentOfVolume {
    /// Id of the volume.
    id: String,
    attachment_id: String,
    volume_id: String,
    server_id: Option<String>,
    /// For admins and services.
    host_name: Option<String>,
    device: Option<String>,
    attached_at: Option<String>,
}

impl VolumeView {
    /// A volume as `call` shows it.
    pub(in crate::http) fn new(volume: Volume, call: &Call) -> Self {
        let (id, status) = (volume.id.to_string(), status(&volume));
        let for_admins = |value| if call.caller.is_admin { value } else { None };
        let from = |minor, value| if call.version.is_in(since(minor)) { value } else { None };
        let used = |attachment: &&Attachment| is_used(attachment);
        let attachments =
            volume.attachments.iter().filter(used).map(|used| attachment_of(used, call)).collect();
        let mut metadata = volume.metadata;
        if volume.read_only {
            metadata.insert("readonly".to_owned(), "True".to_owned());
        }
        Self {
            links: call.links(&format!("volumes/{id}")),
            id,
            name: volume.name,
            description: some(volume.description),
            status,
            size: volume.size_gib,
            volume_type: volume.volume_type.to_string(),
            volume_type_id: call.version.is_in(since(63)).then(|| volume.volume_type_id.to_string()),
            availability_zone: volume.availability_zone,
            created_at: time(volume.create_time),
            updated_at: (volume.revision > 1).then(|| time(volume.update_time)),
            snapshot_id: volume.snapshot_id.map(|id| id.to_string()),
            source_volid: volume.source_volume_id.map(|id| id.to_string()),
            user_id: volume.user_id,
            metadata,
            bootable: volume.bootable.to_string(),
            multiattach: volume.multiattach,
            attachments,
            encrypted: false,
            replication_status: None,
            consistencygroup_id: None,
            project_id: Some(volume.project_id),
            group_id: from(13, NOTHING),
            shared_targets: call.version.is_in(since(48)).then_some(false),
            service_uuid: from(48, NOTHING),
            consumes_quota: call.version.is_in(since(65)).then_some(true),
            host: call.caller.is_admin.then_some(if volume.host.is_empty() {
                HOST.to_owned()
            } else {
                volume.host
            }),
            migration_status: for_admins(NOTHING),
            migstat: for_admins(NOTHING),
            name_id: for_admins(NOTHING),
            provider_id: from(21, for_admins(NOTHING)),
            cluster_name: from(61, for_admins(NOTHING)),
            volume_image_metadata: volume.record.metadata.flat().entries,
        }
    }
}

impl VolumeView {
    /// The volume as the answer to a change shows it: without what Cinder adds where volumes are shown and listed.
    pub(in crate::http) fn changed(volume: Volume, call: &Call) -> Self {
        let shown = Self::new(volume, call);
        Self {
            project_id: None,
            host: None,
            migration_status: None,
            migstat: None,
            name_id: None,
            volume_image_metadata: BTreeMap::new(),
            ..shown
        }
    }
}

/// Whether something uses the volume; a reservation does not.
fn is_used(attachment: &Attachment) -> bool {
    matches!(attachment.status, AttachmentStatus::Attached | AttachmentStatus::Detaching)
}

fn attachment_of(attachment: &Attachment, call: &Call) -> AttachmentOfVolume {
    let volume_id = attachment.volume_id.to_string();
    AttachmentOfVolume {
        // Terraform detaches with it.
        id: volume_id.clone(),
        attachment_id: attachment.id.to_string(),
        volume_id,
        server_id: attachment.instance_id.map(|id| id.to_string()),
        host_name: some(attachment.host.clone()).filter(|_| sees_all(&call.caller)),
        device: some(attachment.mountpoint.clone()),
        attached_at: attachment.attach_time.map(time),
    }
}

/// The status of a volume in Cinder, which has one for what it is and what is being done with it
/// (docs/decisions/0010). What is reserved for nobody in particular is `attaching`, as `os-reserve` leaves it there.
pub(super) fn status(volume: &Volume) -> &'static str {
    let has = |status| volume.attachments.iter().any(|attachment| attachment.status == status);
    match (volume.status, volume.task_state()) {
        (Status::Creating, _) => "creating",
        (Status::Deleting, _) => "deleting",
        (_, Some(TaskState::Extending)) => "extending",
        (_, Some(TaskState::Retyping)) => "retyping",
        (_, Some(TaskState::Uploading)) => "uploading",
        (_, Some(TaskState::Reimaging)) => "downloading",
        (_, Some(TaskState::Reverting)) => "reverting",
        (_, Some(TaskState::Writing)) => "maintenance",
        (Status::Available, _) => "available",
        (Status::AwaitingTransfer, _) => "awaiting-transfer",
        (Status::Error, _) => "error",
        (Status::Reserved, _) if has(AttachmentStatus::Attaching) || is_for_anybody(volume) => "attaching",
        (Status::Reserved, _) => "reserved",
        (Status::InUse, _) if !has(AttachmentStatus::Attached) => "detaching",
        (Status::InUse, _) => "in-use",
    }
}

fn is_for_anybody(volume: &Volume) -> bool {
    volume.attachments.iter().any(|attachment| attachment.instance_id.is_none())
}
