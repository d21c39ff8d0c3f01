//! How clients used volumes before there were attachments (Cinder 3.27): each of these actions is a step of one.

use axum::Json;
use chassis::{
    http::Problem,
    scope::check_service,
    status::{Code, Description},
};
use common::{id::Id, text, violations::Violations};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    error::{AttachmentError, Error},
    http::{
        ApiState, Call,
        attachments::{mode, reserve},
    },
    volume::{
        Attachment, AttachmentStatus, Mode, Storage, Volume,
        attachment::{AttachmentUpdate, Connector, Move, NewAttachment},
    },
    volumes::attachments::{AttachmentRequest, ShownAttachment},
};

use AttachmentStatus::{Attached, Attaching, Detaching, Reserved};

/// Who is to use a volume, and as what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Attach {
    /// The device, such as `/dev/vdc`.
    mountpoint: String,
    /// The instance; or a host is given.
    instance_uuid: Option<String>,
    /// The host; or an instance is given.
    host_name: Option<String>,
    /// `rw` or `ro`; as the volume allows it unless given.
    mode: Option<String>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Detach {
    /// The attachment, if there are several.
    attachment_id: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ConnectorOf {
    /// What a host says of itself, with its name as `host`.
    connector: Value,
}

/// How a host reaches the data of a volume.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ConnectionInfo {
    #[schema(value_type = Object)]
    connection_info: Value,
}

/// `os-reserve`: a reservation for whoever attaches the volume next.
pub(super) async fn reserve_volume(api: &ApiState, call: &Call, id: Id) -> Result<(), Problem> {
    let new = NewAttachment { volume_id: id.to_string(), ..NewAttachment::default() };
    Ok(reserve(api, call, new, Violations::default()).await.map(drop)?)
}

/// `os-unreserve`: what `os-reserve` has reserved is free again.
pub(super) async fn unreserve(api: &ApiState, call: &Call, id: Id) -> Result<(), Problem> {
    for attachment in attachments(api, call, id).await? {
        if attachment.status == Reserved && attachment.instance_id.is_none() {
            end(api, call, &attachment).await?;
        }
    }
    Ok(())
}

/// `os-attach`: the volume is used, on the reservation that there is for the instance or for nobody, or on a new one. If
/// this process dies on the way, a reservation of its own lapses, and the same request goes on with any other.
pub(super) async fn attach(api: &ApiState, call: &Call, id: Id, attach: Attach) -> Result<(), Problem> {
    let Target { instance_id, host, mountpoint, mode } = attach.plain()?;
    let usable = |attachment: &Attachment| {
        matches!(attachment.status, Reserved | Attaching)
            && (attachment.instance_id.is_none() || attachment.instance_id == instance_id)
            && mode.is_none_or(|mode| mode == attachment.mode)
    };
    let attachment = match attachments(api, call, id).await?.into_iter().find(usable) {
        Some(attachment) => attachment,
        None => {
            let instance_id = instance_id.map(|id| id.to_string()).unwrap_or_default();
            let new =
                NewAttachment { volume_id: id.to_string(), instance_id, mode, ..NewAttachment::default() };
            api.volumes.create_attachment(new, &call.caller, Violations::default()).await?.0
        }
    };
    if attachment.status == Reserved {
        let json = json!({ "host": host }).to_string();
        let connector = Connector { host, json };
        step(api, call, &attachment, &Move::Connect { connector, mountpoint: String::new() }).await?;
    }
    step(api, call, &attachment, &Move::Complete { mountpoint, instance_id }).await?;
    Ok(())
}

/// `os-begin_detaching`: whatever uses the volume is about to stop.
pub(super) async fn begin_detaching(api: &ApiState, call: &Call, id: Id) -> Result<(), Problem> {
    let mut attachments = attachments(api, call, id).await?;
    attachments.retain(|attachment| attachment.status == Attached);
    if attachments.is_empty() {
        let description = Description::new(Code::FailedPrecondition, "NOT_ATTACHED").with("volume_id", id);
        return Err(Problem::new(format!("volume {id} is not attached"), description));
    }
    for attachment in attachments {
        step(api, call, &attachment, &Move::BeginDetaching).await?;
    }
    Ok(())
}

/// `os-roll_detaching`: it does not stop after all.
pub(super) async fn roll_detaching(api: &ApiState, call: &Call, id: Id) -> Result<(), Problem> {
    for attachment in attachments(api, call, id).await? {
        if attachment.status == Detaching {
            step(api, call, &attachment, &Move::RollDetaching).await?;
        }
    }
    Ok(())
}

/// `os-detach`: the volume is no longer used; if it was not, nothing happens, as in Cinder.
pub(super) async fn detach(api: &ApiState, call: &Call, id: Id, detach: Detach) -> Result<(), Problem> {
    let given = detach.attachment_id.as_deref();
    let given = given.map(|text| Id::from_field("os-detach.attachment_id", text)).transpose()?;
    let mut attachments = attachments(api, call, id).await?;
    attachments.retain(|attachment| match given {
        Some(given) => attachment.id == given,
        None => matches!(attachment.status, Attached | Detaching),
    });
    match (attachments.as_slice(), given) {
        ([], None) => Ok(()),
        ([], Some(given)) => Err(Error::from(AttachmentError::NotFound(given)).into()),
        ([one], _) => end(api, call, one).await,
        _ => {
            let problem = "must say which of the attachments of the volume ends";
            Err(Violations::one("os-detach.attachment_id", problem).into())
        }
    }
}

/// `os-initialize_connection`: names the host that is to use the volume, and tells it how. For services and operators.
pub(super) async fn initialize_connection(
    api: &ApiState,
    call: &Call,
    id: Id,
    of: ConnectorOf,
) -> Result<Json<ConnectionInfo>, Problem> {
    check_service(&call.caller, "connect hosts with volumes").map_err(Error::from)?;
    let volume = volume(api, call, id).await?;
    if volume.storage == Storage::None {
        return Err(no_connection(id, Code::FailedPrecondition, "has no data that a host could reach"));
    }
    let (change, host) = of.plain("os-initialize_connection.connector")?;
    let held = volume.attachments.iter().find(|attachment| attachment.host == host);
    let held = held.or_else(|| volume.attachments.iter().find(|attachment| attachment.status == Reserved));
    let (_, connection) = match held {
        Some(reserved) if reserved.status == Reserved => step(api, call, reserved, &change).await?,
        Some(connected) => api.volumes.get_attachment(connected.id, &call.caller).await?,
        None => {
            let connector = of.connector.to_string();
            let new = NewAttachment { volume_id: id.to_string(), connector, ..NewAttachment::default() };
            api.volumes.create_attachment(new, &call.caller, Violations::default()).await?
        }
    };
    let info = connection.connection_info.and_then(|json| serde_json::from_str(&json).ok());
    let pending = || no_connection(id, Code::Unavailable, "is not exported yet; try again");
    Ok(Json(ConnectionInfo { connection_info: info.ok_or_else(pending)? }))
}

/// `os-terminate_connection`: a host that was going to use the volume is not going to. What it uses ends with `os-detach`.
pub(super) async fn terminate_connection(
    api: &ApiState,
    call: &Call,
    id: Id,
    of: ConnectorOf,
) -> Result<(), Problem> {
    let (_, host) = of.plain("os-terminate_connection.connector")?;
    for attachment in attachments(api, call, id).await? {
        if attachment.status == Attaching && attachment.host == host {
            end(api, call, &attachment).await?;
        }
    }
    Ok(())
}

/// What is to use a volume, as plain data.
struct Target {
    instance_id: Option<Id>,
    /// Empty if it is not known.
    host: String,
    mountpoint: String,
    mode: Option<Mode>,
}

impl Attach {
    fn plain(self) -> Result<Target, Violations> {
        let mut violations = Violations::default();
        let instance_id = self.instance_uuid.as_deref();
        let instance_id =
            instance_id.and_then(|text| violations.take("os-attach.instance_uuid", text.parse()));
        if self.instance_uuid.is_some() == self.host_name.is_some() {
            violations.add("os-attach", "must have an instance_uuid or a host_name, and not both");
        }
        if let Some(host) = &self.host_name {
            violations.take("os-attach.host_name", text::name(host));
        }
        violations.take("os-attach.mountpoint", text::name(&self.mountpoint));
        let mode = self.mode.and_then(|given| violations.take("os-attach.mode", mode(&given)));
        violations.check()?;
        let host = self.host_name.unwrap_or_default();
        Ok(Target { instance_id, host, mountpoint: self.mountpoint, mode })
    }
}

impl ConnectorOf {
    /// The naming of the host, and its name.
    fn plain(&self, field: &str) -> Result<(Move, String), Violations> {
        let update =
            AttachmentUpdate { connector: self.connector.to_string(), ..AttachmentUpdate::default() };
        let checked = update.check(Violations::default());
        let change = checked.map_err(|violations| violations.renamed(&[("connector", field)]))?;
        let host = match &change {
            Move::Connect { connector, .. } => connector.host.clone(),
            _ => String::new(),
        };
        Ok((change, host))
    }
}

async fn volume(api: &ApiState, call: &Call, id: Id) -> Result<Volume, Error> {
    api.volumes.get_volume(id, &call.caller).await
}

async fn attachments(api: &ApiState, call: &Call, id: Id) -> Result<Vec<Attachment>, Error> {
    Ok(volume(api, call, id).await?.attachments)
}

async fn step(
    api: &ApiState,
    call: &Call,
    attachment: &Attachment,
    change: &Move,
) -> Result<ShownAttachment, Error> {
    let request = AttachmentRequest { id: attachment.id, etag: "", caller: &call.caller };
    api.volumes.move_attachment(request, change).await
}

/// Ends an attachment, if it still is as it was read.
async fn end(api: &ApiState, call: &Call, attachment: &Attachment) -> Result<(), Problem> {
    let request = AttachmentRequest { id: attachment.id, etag: &attachment.etag(), caller: &call.caller };
    Ok(api.volumes.delete_attachment(request).await?)
}

fn no_connection(id: Id, code: Code, why: &str) -> Problem {
    let description = Description::new(code, "NO_CONNECTION").with("volume_id", id).with("problem", why);
    Problem::new(format!("volume {id} {why}"), description)
}
