//! Attachments: who uses a volume. Each call is one change of the volume and the attachment, with an entry in the volume's
//! history (docs/decisions/0011).

use std::path::PathBuf;

use chassis::{
    caller::Caller,
    page::Page,
    scope::{NotPermitted, Scope, check_service, sees_all},
    turns::Decided,
};
use chrono::{DateTime, TimeDelta, Utc};
use common::{id::Id, violations::Violations};
use serde_json::json;

use super::VolumeApi;
use crate::{
    error::{AttachmentError, Error},
    list::{AttachmentFilter, AttachmentOrder},
    store::{Change, Claim, Entry},
    volume::{
        Attachment, AttachmentStatus, Connection, Mode, Operation, Step, Volume, VolumeFailure,
        access::{ATTACHMENTS, VOLUMES},
        attachment::{Connector, CreateAttachment, Move, NewAttachment},
    },
};

mod history;
mod lapsed;

use history::{Said, message};

/// The reason of a volume's failure that was reported.
const REASON: &str = "REPORTED";

/// An attachment, and how its host and the data are connected, for those who may see that.
pub type ShownAttachment = (Attachment, Connection);

/// What was decided about an attachment.
type Decision = Result<Decided<Change, Attachment>, Error>;

/// The attachment that something is done with, by whom and on which condition.
#[derive(Debug, Clone, Copy)]
pub struct AttachmentRequest<'a> {
    /// Its id.
    pub id: Id,
    /// The etag that it must have; empty for any.
    pub etag: &'a str,
    /// Who makes the request.
    pub caller: &'a Caller,
}

impl VolumeApi {
    /// Reserves a volume, and names its host at once if that is given. A retry with the same `request_id` is answered
    /// with what the first one created, as it is now.
    pub async fn create_attachment(
        &self,
        request: NewAttachment,
        caller: &Caller,
        problems: Violations,
    ) -> Result<ShownAttachment, Error> {
        let request = request.check(problems)?;
        let scope = Scope::serve(caller, VOLUMES)?;
        let id = Id::now();
        let claim = Claim::new("attachment", request.request_id.as_deref(), &request, &caller.actor, id);
        let decide = || self.decide_reservation(&request, (caller, &scope), id, &claim);
        let decided = self.store.change(request.volume_id, &scope, decide).await?;
        self.shown(attachment_after(decided, id)?, caller).await
    }

    /// The attachment with that id.
    pub async fn get_attachment(&self, id: Id, caller: &Caller) -> Result<ShownAttachment, Error> {
        let attachment = self.attachment(id, &Scope::read(caller, ATTACHMENTS)?).await?;
        self.shown(attachment, caller).await
    }

    /// A page of the attachments within `scope` ([`Scope::list`]), oldest first. It may be one item too long, which shows that there is a
    /// next page.
    pub async fn list_attachments(
        &self,
        filter: &AttachmentFilter,
        page: &Page<AttachmentOrder>,
        scope: &Scope,
    ) -> Result<Vec<Attachment>, Error> {
        self.store.list_attachments(filter, page, scope).await
    }

    /// Moves an attachment on, or back. Reports are for services and operators, who run the backend.
    pub async fn move_attachment(
        &self,
        request: AttachmentRequest<'_>,
        change: &Move,
    ) -> Result<ShownAttachment, Error> {
        let scope = match change {
            Move::Export { .. } | Move::Fail { .. } => Scope::report(request.caller, ATTACHMENTS)?,
            _ => Scope::serve(request.caller, ATTACHMENTS)?,
        };
        let volume_id = self.attachment(request.id, &scope).await?.volume_id;
        let decide = || self.decide_move(request, (volume_id, &scope), change);
        let decided = self.store.change(volume_id, &Scope::internal(VOLUMES), decide).await?;
        self.shown(attachment_after(decided, request.id)?, request.caller).await
    }

    /// Ends an attachment. Once a host is known, only a service or an operator may do that, who know that nothing uses the
    /// volume any more (CVE-2023-2088).
    pub async fn delete_attachment(&self, request: AttachmentRequest<'_>) -> Result<(), Error> {
        let AttachmentRequest { id, etag, caller } = request;
        let scope = Scope::serve(caller, ATTACHMENTS)?;
        let volume_id = self.attachment(id, &scope).await?.volume_id;
        let decide = || async {
            let (before, attachment) = self.attached(id, volume_id, &scope).await?;
            attachment.check_etag(etag)?;
            check_deletion(&attachment, caller)?;
            let (now, after) = (self.store.now().await?, before.without_attachment(id));
            Decision::Ok(Decided::Change(Box::new(Change::new(
                before.clone(),
                Some(after),
                entry(&before, caller, now, message(&attachment, &Said::Ended)),
            ))))
        };
        self.store.change(volume_id, &Scope::internal(VOLUMES), decide).await?;
        Ok(())
    }

    async fn attachment(&self, id: Id, scope: &Scope) -> Result<Attachment, Error> {
        self.store.attachment(id, scope).await?.ok_or(AttachmentError::NotFound(id).into())
    }

    /// The attachment, with its connection if the caller may see that.
    async fn shown(&self, attachment: Attachment, caller: &Caller) -> Result<ShownAttachment, Error> {
        if !sees_all(caller) {
            return Ok((attachment, Connection::default()));
        }
        let connection = self.store.connection(attachment.id).await?;
        Ok((attachment, connection))
    }

    /// A volume with one of its attachments, which is within `scope`.
    async fn attached(&self, id: Id, volume_id: Id, scope: &Scope) -> Result<(Volume, Attachment), Error> {
        let volume = self.store.volume(volume_id, &Scope::internal(VOLUMES)).await?;
        let volume = volume.ok_or(AttachmentError::NotFound(id))?;
        let attachment = volume.attachments.iter().find(|attachment| attachment.id == id).cloned();
        let attachment = attachment.ok_or(AttachmentError::NotFound(id))?;
        scope.check(id, &attachment.project_id)?;
        Ok((volume, attachment))
    }

    /// How a host and a volume are connected at first: where cinder-svc keeps the data itself, the host has the file.
    fn connected(&self, connector: &Connector, volume: &Volume) -> Connection {
        let path = self.data.as_ref().zip(volume.data_id).map(|(data, id)| data.directory.path(id));
        let local = |path: PathBuf| json!({ "driver_volume_type": "local", "data": { "path": path } });
        Connection {
            connector: Some(connector.json.clone()),
            connection_info: path.map(|path| local(path).to_string()),
        }
    }

    /// What becomes of an attachment and its volume.
    async fn decide_move(
        &self,
        request: AttachmentRequest<'_>,
        (volume_id, scope): (Id, &Scope),
        change: &Move,
    ) -> Decision {
        let id = request.id;
        let (before, attachment) = self.attached(id, volume_id, scope).await?;
        attachment.check_etag(request.etag)?;
        let now = self.store.now().await?;
        let moved = attachment.moved(change, now)?;
        if change.needs_no_task() {
            Operation::Attachment.check(&before, None)?;
        }
        if moved == attachment {
            return Ok(Decided::Nothing(attachment));
        }
        let connection = match change {
            Move::Connect { connector, .. } => Some(self.connected(connector, &before)),
            Move::Export { connection_info } => {
                let connection_info = Some(connection_info.clone());
                Some(Connection { connection_info, ..self.store.connection(id).await? })
            }
            Move::Fail { .. } => Some(Connection::default()),
            _ => None,
        };
        let entry = entry(&before, request.caller, now, message(&moved, &Said::Moved(change)));
        let step = if matches!(change, Move::Fail { .. }) { Step::Failed } else { Step::Finished };
        let last_failure = failure_after(&before, change, entry.time);
        let after = Volume { last_failure, ..before.with_attachment(moved) };
        Ok(Decided::Change(Box::new(Change {
            connection: connection.map(|connection| (id, connection)),
            ..Change::new(before, Some(after), Entry { step, ..entry })
        })))
    }

    /// What becomes of a volume that is to be reserved. Reservations that are over end with it.
    async fn decide_reservation(
        &self,
        request: &CreateAttachment,
        (caller, scope): (&Caller, &Scope),
        id: Id,
        claim: &Claim,
    ) -> Decision {
        if let Some(earlier) = self.store.claimed(claim).await? {
            return Ok(Decided::Nothing(self.attachment(earlier, &Scope::internal(ATTACHMENTS)).await?));
        }
        let volume_id = request.volume_id;
        let before = self.store.volume(volume_id, scope).await?.ok_or(Error::VolumeNotFound(volume_id))?;
        before.check_etag(&request.volume_etag)?;
        let now = self.store.now().await?;
        let (free, lapsed) = before.without_lapsed(now);
        let mode = free.reservable(request.instance_id, request.mode)?;
        let attachment = reservation(request, id, mode, caller, now);
        let mut said = vec![message(&attachment, &Said::Created)];
        said.extend(lapsed.iter().map(|lapsed| message(lapsed, &Said::Lapsed)));
        let connection = request.connector.as_ref().map(|connector| (id, self.connected(connector, &before)));
        Ok(Decided::Change(Box::new(Change {
            claim: Some(claim.clone()),
            connection,
            ..Change::new(
                before.clone(),
                Some(free.with_attachment(attachment)),
                entry(&before, caller, now, said.join("; ")),
            )
        })))
    }
}

/// The attachment as it was decided.
fn attachment_after(decided: Decided<Change, Attachment>, id: Id) -> Result<Attachment, Error> {
    match decided {
        Decided::Nothing(attachment) => Ok(attachment),
        Decided::Change(change) => {
            let mut attachments = change.after.into_iter().flat_map(|after| after.attachments);
            attachments.find(|attachment| attachment.id == id).ok_or(AttachmentError::NotFound(id).into())
        }
    }
}

/// A new attachment: a reservation, or one whose host is known at once.
fn reservation(
    request: &CreateAttachment,
    id: Id,
    mode: Mode,
    caller: &Caller,
    now: DateTime<Utc>,
) -> Attachment {
    let host = request.connector.as_ref().map(|connector| connector.host.clone());
    Attachment {
        id,
        volume_id: request.volume_id,
        instance_id: request.instance_id,
        status: if host.is_some() { AttachmentStatus::Attaching } else { AttachmentStatus::Reserved },
        mode,
        lease_time: host.is_none().then(|| now + TimeDelta::microseconds(request.lease_micros)),
        host: host.unwrap_or_default(),
        mountpoint: String::new(),
        user_id: caller.actor.user_id.clone(),
        project_id: caller.actor.project_id.clone(),
        lease_micros: request.lease_micros,
        revision: 1,
        create_time: now,
        attach_time: None,
    }
}

/// The entry of a change that was made `now` in the history of the volume.
fn entry(before: &Volume, caller: &Caller, now: DateTime<Utc>, message: String) -> Entry {
    let time = before.later(now);
    Entry { message, ..Entry::new(Operation::Attachment, Step::Finished, caller.actor.clone(), time) }
}

/// The last failure of a volume after a move of one of its attachments.
fn failure_after(before: &Volume, change: &Move, now: DateTime<Utc>) -> Option<VolumeFailure> {
    match change {
        Move::Fail { message } => {
            let (reason, message) = (REASON.to_owned(), message.clone());
            Some(VolumeFailure { task_state: None, reason, message, create_time: now })
        }
        Move::Complete { .. } => None,
        _ => before.last_failure.clone(),
    }
}

/// Refuses to end an attachment that something may be using.
fn check_deletion(attachment: &Attachment, caller: &Caller) -> Result<(), NotPermitted> {
    if attachment.status == AttachmentStatus::Reserved {
        return Ok(());
    }
    check_service(caller, format!("end attachment {}, which is {}", attachment.id, attachment.status))
}
