//! Attachments in the database. They are written as part of a change of their volume.

use chassis::{
    db::{self, ByDialect, Connection as DbConnection, Many, Micros, Transaction},
    page::Page,
    scope::Scope,
};
use chrono::{DateTime, Utc};
use common::id::Id;

use super::Store;
use crate::{
    error::Error,
    list::{AttachmentFilter, AttachmentOrder},
    volume::{Attachment, AttachmentStatus, Connection, Mode},
};

/// The columns of an attachment.
macro_rules! columns {
    () => {
        "SELECT id, volume_id, instance_id, status, mode, host, mountpoint, user_id, project_id, lease_micros, \
         lease_time, revision, create_time, attach_time FROM attachments WHERE "
    };
}

/// Attachments that satisfy a condition.
const ROWS: &str = columns!();

/// The attachments of the volumes `$1`, oldest first.
const OF_VOLUMES: ByDialect = ByDialect {
    sqlite: concat!(
        columns!(),
        "volume_id IN (SELECT value FROM json_each($1)) ORDER BY volume_id, create_time, id"
    ),
    postgres: concat!(columns!(), "volume_id = ANY($1) ORDER BY volume_id, create_time, id"),
};

const INSERT: &str = "INSERT INTO attachments (id, volume_id, instance_id, status, mode, host, mountpoint, user_id, \
     project_id, lease_micros, lease_time, revision, create_time, attach_time) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";

const UPDATE: &str = "UPDATE attachments SET status = $2, host = $3, mountpoint = $4, lease_time = $5, revision = $6, \
     attach_time = $7, instance_id = $8 WHERE id = $1";

const CONNECTION: ByDialect = ByDialect {
    sqlite: "SELECT connector, connection_info FROM attachments WHERE id = $1",
    postgres: "SELECT connector::text, connection_info::text FROM attachments WHERE id = $1",
};

const CONNECT: ByDialect = ByDialect {
    sqlite: "UPDATE attachments SET connector = $2, connection_info = $3 WHERE id = $1",
    postgres: "UPDATE attachments SET connector = $2::json, connection_info = $3::json WHERE id = $1",
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
        connection: &mut DbConnection,
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

impl Store {
    /// The attachment with that id, if it is within `scope`; an error if the caller may not do with it what it requests.
    pub async fn attachment(&self, id: Id, scope: &Scope) -> Result<Option<Attachment>, Error> {
        let mut query = self.db.builder(ROWS);
        query.push("id = ").push_bind(id);
        scope.push(&mut query);
        let row: Option<AttachmentRow> = self.db.reader().await?.query_as(query).fetch_optional().await?;
        let attachment = row.map(AttachmentRow::attachment).transpose()?;
        attachment.as_ref().map_or(Ok(()), |attachment| scope.check(id, &attachment.project_id))?;
        Ok(attachment)
    }

    /// How the host of an attachment and the data are connected; not at all if there is no such attachment.
    pub async fn connection(&self, id: Id) -> Result<Connection, Error> {
        let row: Option<(Option<String>, Option<String>)> =
            self.db.reader().await?.query_as(CONNECTION).bind(id).fetch_optional().await?;
        let (connector, connection_info) = row.unwrap_or_default();
        Ok(Connection { connector, connection_info })
    }

    /// A page of attachments within `scope`, oldest first.
    pub async fn list_attachments(
        &self,
        filter: &AttachmentFilter,
        page: &Page<AttachmentOrder>,
        scope: &Scope,
    ) -> Result<Vec<Attachment>, Error> {
        let mut query = self.db.builder(ROWS);
        page.push_after(&mut query);
        for (condition, value) in &filter.columns {
            value.push_bind(query.push(" AND ").push(condition));
        }
        scope.push(&mut query);
        page.push_end(&mut query);
        let rows: Vec<AttachmentRow> = self.db.reader().await?.query_as(query).fetch_all().await?;
        rows.into_iter().map(AttachmentRow::attachment).collect()
    }

    /// The volumes with reservations that were over at `time`, those that ended first first, and at most `limit`.
    pub async fn volumes_with_lapsed(&self, time: DateTime<Utc>, limit: usize) -> Result<Vec<Id>, db::Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "SELECT volume_id FROM attachments WHERE lease_time <= $1 \
                   GROUP BY volume_id ORDER BY MIN(lease_time), volume_id LIMIT $2";
        self.db.reader().await?.query_scalar(sql).bind(Micros(time)).bind(limit).fetch_all().await
    }
}

/// Writes how the attachments of a volume differ from those before.
pub(super) async fn write_attachments(
    tx: &mut Transaction,
    before: &[Attachment],
    after: &[Attachment],
) -> Result<(), db::Error> {
    for attachment in after {
        match before.iter().find(|old| old.id == attachment.id) {
            Some(old) if old == attachment => {}
            Some(_) => update(tx, attachment).await?,
            None => insert(tx, attachment).await?,
        }
    }
    let is_gone = |old: &&Attachment| after.iter().all(|attachment| attachment.id != old.id);
    for gone in before.iter().filter(is_gone) {
        tx.query("DELETE FROM attachments WHERE id = $1").bind(gone.id).execute().await?;
    }
    Ok(())
}

async fn insert(tx: &mut Transaction, new: &Attachment) -> Result<(), db::Error> {
    tx.query(INSERT)
        .bind(new.id)
        .bind(new.volume_id)
        .bind(new.instance_id)
        .bind(new.status.as_str())
        .bind(new.mode.as_str())
        .bind(&new.host)
        .bind(&new.mountpoint)
        .bind(&new.user_id)
        .bind(&new.project_id)
        .bind(new.lease_micros)
        .bind(new.lease_time.map(Micros))
        .bind(new.revision)
        .bind(Micros(new.create_time))
        .bind(new.attach_time.map(Micros))
        .execute()
        .await?;
    Ok(())
}

async fn update(tx: &mut Transaction, after: &Attachment) -> Result<(), db::Error> {
    tx.query(UPDATE)
        .bind(after.id)
        .bind(after.status.as_str())
        .bind(&after.host)
        .bind(&after.mountpoint)
        .bind(after.lease_time.map(Micros))
        .bind(after.revision)
        .bind(after.attach_time.map(Micros))
        .bind(after.instance_id)
        .execute()
        .await?;
    Ok(())
}

/// Writes how the host of an attachment and the data are connected.
pub(super) async fn write_connection(
    tx: &mut Transaction,
    id: Id,
    connection: &Connection,
) -> Result<(), db::Error> {
    let Connection { connector, connection_info } = connection;
    tx.query(CONNECT).bind(id).bind(connector).bind(connection_info).execute().await?;
    Ok(())
}
