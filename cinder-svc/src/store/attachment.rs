//! Attachments in the database.

use chassis::db::{self, ByDialect, Connection, Many, Micros};
use chrono::{DateTime, Utc};
use common::id::Id;

use crate::{
    error::Error,
    volume::{Attachment, AttachmentStatus, Mode},
};

/// The columns of an attachment.
macro_rules! columns {
    () => {
        "SELECT id, volume_id, instance_id, status, mode, host, mountpoint, user_id, project_id, lease_micros, \
         lease_time, revision, create_time, attach_time FROM attachments WHERE "
    };
}

/// The attachments of the volumes `$1`, oldest first.
const OF_VOLUMES: ByDialect = ByDialect {
    sqlite: concat!(
        columns!(),
        "volume_id IN (SELECT value FROM json_each($1)) ORDER BY volume_id, create_time, id"
    ),
    postgres: concat!(columns!(), "volume_id = ANY($1) ORDER BY volume_id, create_time, id"),
};

/// A row of `attachments`.
#[derive(sqlx::FromRow)]
pub(super) struct AttachmentRow {
    id: Id,
    volume_id: Id,
    instance_id: Option<Id>,
    status: String,
    mode: String,
    host: String,
    mountpoint: String,
    user_id: String,
    project_id: String,
    lease_micros: i64,
    lease_time: Option<Micros>,
    revision: i64,
    #[sqlx(try_from = "Micros")]
    create_time: DateTime<Utc>,
    attach_time: Option<Micros>,
}

impl AttachmentRow {
    /// The attachments of these volumes.
    pub(super) async fn of_volumes(
        connection: &mut Connection,
        ids: Vec<Id>,
    ) -> Result<Vec<Attachment>, Error> {
        let rows: Result<Vec<Self>, db::Error> =
            connection.query_as(OF_VOLUMES).bind(Many(ids)).fetch_all().await;
        rows?.into_iter().map(Self::attachment).collect()
    }

    fn attachment(self) -> Result<Attachment, Error> {
        let corrupt = || Error::Corrupt(self.id);
        Ok(Attachment {
            status: AttachmentStatus::from_name(&self.status).ok_or_else(corrupt)?,
            mode: Mode::from_name(&self.mode).ok_or_else(corrupt)?,
            id: self.id,
            volume_id: self.volume_id,
            instance_id: self.instance_id,
            host: self.host,
            mountpoint: self.mountpoint,
            user_id: self.user_id,
            project_id: self.project_id,
            lease_micros: self.lease_micros,
            lease_time: self.lease_time.map(DateTime::from),
            revision: self.revision,
            create_time: self.create_time,
            attach_time: self.attach_time.map(DateTime::from),
        })
    }
}
