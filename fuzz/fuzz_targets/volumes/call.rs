//! Calls by callers.

use std::collections::BTreeMap;

use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary};
use proto::cinder::v1::{
    BeginDetachingRequest, CompareVolumeRequest, CompleteAttachmentRequest, CreateAttachmentRequest,
    CreateVolumeRequest, DeleteAttachmentRequest, DeleteVolumeRequest, ExtendVolumeRequest,
    GetVolumeHistoryRequest, GetVolumeRequest, ListDriftRequest, ListVolumesRequest, ReimageVolumeRequest,
    ReportVolumeStateRequest, RetypeVolumeRequest, UpdateAttachmentRequest,
    UpdateVolumeImagePropertiesRequest, UpdateVolumeRequest, Volume,
    attachment_service_client::AttachmentServiceClient, create_volume_request::Source,
    report_volume_state_request::Result as Outcome, volume_service_client::VolumeServiceClient,
};
use tonic::{Request, Status, transport::Channel};

/// The request ids in use; other calls send none.
const REQUEST_IDS: u8 = 4;

/// What one caller does.
#[derive(Debug, Clone, Arbitrary)]
pub(crate) struct Call {
    pub(crate) action: Action,
    /// Which volume it is about.
    pub(crate) second_volume: bool,
    /// Which replica it calls.
    pub(crate) second_replica: bool,
    /// Whether the caller is of another project.
    pub(crate) is_stranger: bool,
    /// Whether it sends the etag of before the round.
    sends_etag: bool,
    request: u8,
    number: i32,
    text: String,
    key: String,
}

/// The kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub(crate) enum Action {
    Create(Origin),
    Read(Reading),
    Update,
    EditProperties,
    Extend,
    Retype,
    Reimage,
    Delete { force: bool },
    Report(Option<bool>),
    Reserve,
    Connect,
    Complete,
    BeginDetaching,
    EndAttachment,
}

/// What a volume is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub(crate) enum Origin {
    Blank,
    Image,
    Volume,
    Anything,
}

/// The kind of read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub(crate) enum Reading {
    Volume,
    Revision,
    List,
    History,
    Comparison,
    Drift,
}

/// The context of a call.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) cinder: Channel,
    pub(crate) project: String,
    pub(crate) image_id: String,
    /// The volume as of before the round.
    pub(crate) volume: Volume,
}

impl Call {
    /// Makes the call.
    pub(crate) async fn send(self, context: Context) -> Result<(), Status> {
        let Context { cinder, volume, image_id, .. } = &context;
        let (id, etag) =
            (volume.id.clone(), if self.sends_etag { volume.etag.clone() } else { String::new() });
        let (request_id, properties) = (self.request_id(), self.entries());
        let mut volumes = VolumeServiceClient::new(cinder.clone());
        macro_rules! call {
            ($method:ident, $message:expr) => {
                volumes.$method(self.request(&context, $message)).await.map(drop)
            };
        }
        match self.action {
            Action::Create(origin) => call!(create_volume, self.creation(origin, volume, image_id)),
            Action::Read(Reading::Volume) => call!(get_volume, GetVolumeRequest { id, revision: 0 }),
            Action::Read(Reading::Revision) => {
                call!(get_volume, GetVolumeRequest { id, revision: self.number.into() })
            }
            Action::Read(Reading::List) => {
                let (filter, order_by) = (self.text.clone(), self.key.clone());
                call!(
                    list_volumes,
                    ListVolumesRequest { filter, order_by, page_size: self.number, ..Default::default() }
                )
            }
            Action::Read(Reading::History) => {
                call!(
                    get_volume_history,
                    GetVolumeHistoryRequest { id, page_token: self.text.clone(), ..Default::default() }
                )
            }
            Action::Read(Reading::Comparison) => call!(compare_volume, CompareVolumeRequest { id }),
            Action::Read(Reading::Drift) => {
                call!(list_drift, ListDriftRequest { property: self.key.clone(), ..Default::default() })
            }
            Action::Update => {
                let volume = Volume {
                    id,
                    etag,
                    name: self.text.clone(),
                    description: self.key.clone(),
                    metadata: properties,
                    bootable: self.number % 2 == 0,
                    ..Default::default()
                };
                call!(
                    update_volume,
                    UpdateVolumeRequest { volume: Some(volume), request_id, ..Default::default() }
                )
            }
            Action::EditProperties => {
                let (remove, purge) = (vec![self.text.clone()], self.number % 5 == 0);
                let set = properties;
                call!(
                    update_volume_image_properties,
                    UpdateVolumeImagePropertiesRequest { id, set, remove, purge, etag, request_id }
                )
            }
            Action::Extend => {
                call!(extend_volume, ExtendVolumeRequest { id, size_gib: self.size(), request_id, etag })
            }
            Action::Retype => {
                let volume_type = self.text.clone();
                call!(retype_volume, RetypeVolumeRequest { id, volume_type, request_id, etag })
            }
            Action::Reimage => {
                let image_id = image_id.clone();
                let message = ReimageVolumeRequest {
                    id,
                    image_id,
                    image_properties: properties,
                    request_id,
                    etag,
                    ..Default::default()
                };
                call!(reimage_volume, message)
            }
            Action::Delete { force } => {
                call!(delete_volume, DeleteVolumeRequest { id, force, request_id, etag, cascade: false })
            }
            Action::Report(outcome) => call!(report_volume_state, self.report(volume, outcome)),
            _ => self.attach(&context).await,
        }
    }

    /// Makes a call about an attachment.
    async fn attach(&self, context: &Context) -> Result<(), Status> {
        let mut attachments = AttachmentServiceClient::new(context.cinder.clone());
        let volume = &context.volume;
        let id = volume.attachments.first().map(|attachment| attachment.id.clone()).unwrap_or_default();
        macro_rules! call {
            ($method:ident, $message:expr) => {
                attachments.$method(self.request(context, $message)).await.map(drop)
            };
        }
        match self.action {
            Action::Reserve => {
                let (volume_id, request_id) = (volume.id.clone(), self.request_id());
                call!(
                    create_attachment,
                    CreateAttachmentRequest {
                        volume_id,
                        request_id,
                        mode: self.number,
                        ..Default::default()
                    }
                )
            }
            Action::Connect => {
                let connector =
                    if self.sends_etag { r#"{"host": "h"}"#.to_owned() } else { self.text.clone() };
                call!(update_attachment, UpdateAttachmentRequest { id, connector, ..Default::default() })
            }
            Action::Complete => {
                let mountpoint = self.text.clone();
                call!(complete_attachment, CompleteAttachmentRequest { id, mountpoint, ..Default::default() })
            }
            Action::BeginDetaching => {
                call!(begin_detaching, BeginDetachingRequest { id, ..Default::default() })
            }
            _ => call!(delete_attachment, DeleteAttachmentRequest { id, ..Default::default() }),
        }
    }

    /// The request id, or empty.
    pub(crate) fn request_id(&self) -> String {
        let number = self.request % (2 * REQUEST_IDS);
        if number < REQUEST_IDS { format!("r{number}") } else { String::new() }
    }

    fn entries(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(self.key.clone(), self.text.clone())])
    }

    /// Sometimes a size within the quota.
    fn size(&self) -> i32 {
        if self.sends_etag { self.number } else { self.number.rem_euclid(12) }
    }

    fn creation(&self, origin: Origin, volume: &Volume, image_id: &str) -> CreateVolumeRequest {
        let source = match origin {
            Origin::Blank => None,
            Origin::Image => Some(Source::ImageId(image_id.to_owned())),
            Origin::Volume => Some(Source::SourceVolumeId(volume.id.clone())),
            Origin::Anything => Some(Source::ImageId(self.text.clone())),
        };
        CreateVolumeRequest {
            name: self.text.clone(),
            size_gib: (self.number != 0).then(|| self.size()),
            source,
            image_properties: self.entries(),
            request_id: self.request_id(),
            ..Default::default()
        }
    }

    /// A report of the end of the task, or of anything.
    fn report(&self, volume: &Volume, outcome: Option<bool>) -> ReportVolumeStateRequest {
        let task = volume.task.as_ref().map_or(0, |task| task.state);
        let result = match outcome {
            Some(true) => Outcome::Succeeded,
            Some(false) => Outcome::Failed,
            None => Outcome::Unspecified,
        };
        ReportVolumeStateRequest {
            id: volume.id.clone(),
            seen_status: volume.status,
            seen_task_state: task,
            status: if outcome.is_none() { self.number } else { 0 },
            result: result.into(),
            message: self.text.clone(),
            request_id: self.request_id(),
            ..Default::default()
        }
    }

    /// The request, of the caller that may make it.
    fn request<T>(&self, context: &Context, message: T) -> Request<T> {
        let token = match self.action {
            _ if self.is_stranger => "s:other:member".to_owned(),
            Action::Report(_) | Action::Connect | Action::EndAttachment => "a:service:service".to_owned(),
            Action::Delete { force: true } => "root:admin:admin".to_owned(),
            _ => format!("u:{}:member", context.project),
        };
        let mut request = Request::new(message);
        request.metadata_mut().insert("x-auth-token", token.parse().expect("a token is ASCII"));
        request
    }
}
