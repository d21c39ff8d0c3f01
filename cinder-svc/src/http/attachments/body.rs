//! The bodies of requests on attachments, and of their answers.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    http::{list::pages, render::time, values::Anything},
    volume::{Attachment, Mode},
};

/// An attachment.
#[derive(Serialize, ToSchema)]
#[schema(as = Attachment)]
pub(in crate::http) struct AttachmentView {
    id: String,
    /// The instance.
    instance: Option<String>,
    volume_id: String,
    status: &'static str,
    attach_mode: &'static str,
    attached_at: Option<String>,
    detached_at: Option<String>,
    /// How the host reaches the data, for admins and services.
    connection_info: Option<Value>,
}

/// An attachment in a list without details.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Brief {
    id: String,
    instance: Option<String>,
    volume_id: String,
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OneAttachment)]
pub(in crate::http) struct One {
    pub(super) attachment: AttachmentView,
}

pages! {
    /// A page of attachments.
    Attachments { attachments: AttachmentView, attachments_links }
    /// A page of attachments without details.
    BriefAttachments { attachments: Brief, attachments_links }
}

/// The attachments of a volume that are left.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Left {
    pub(super) attachments: Vec<AttachmentView>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = CreateAttachment)]
pub(in crate::http) struct Create {
    pub(super) attachment: New,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewAttachment)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct New {
    pub(super) volume_uuid: String,
    pub(super) instance_uuid: Option<String>,
    /// The host that is to use the volume.
    pub(super) connector: Option<Value>,
    /// `rw` or `ro`, since 3.54.
    pub(super) mode: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = UpdateAttachment)]
pub(in crate::http) struct Update {
    pub(super) attachment: Connect,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Connect {
    /// The host that is to use the volume, with its name as `host`.
    pub(super) connector: Value,
}

/// What is to be done with an attachment: an object with one member.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) enum AttachmentAction {
    #[serde(rename = "os-complete")]
    Complete(Anything),
}

impl AttachmentView {
    pub(super) fn new(attachment: &Attachment, connection_info: Option<&str>) -> Self {
        Self {
            id: attachment.id.to_string(),
            instance: attachment.instance_id.map(|id| id.to_string()),
            volume_id: attachment.volume_id.to_string(),
            status: attachment.status.as_str(),
            attach_mode: if attachment.mode == Mode::ReadOnly { "ro" } else { "rw" },
            attached_at: attachment.attach_time.map(time),
            detached_at: None,
            connection_info: connection_info.and_then(|json| serde_json::from_str(json).ok()),
        }
    }
}

impl Brief {
    pub(super) fn new(attachment: &Attachment) -> Self {
        Self {
            id: attachment.id.to_string(),
            instance: attachment.instance_id.map(|id| id.to_string()),
            volume_id: attachment.volume_id.to_string(),
            status: attachment.status.as_str(),
        }
    }
}
