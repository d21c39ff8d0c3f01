//! The statement that every create waits for: it writes the rows of all instances of a batch. For each database in the
//! form that this one reads fastest.

use common::db::json;
use sqlx::{PgConnection, SqliteConnection};

use super::rows::InstanceRow;

/// A connection that rows of `instances` can be written to.
pub(super) trait WriteInstances {
    /// Writes rows.
    async fn write_instances(&mut self, rows: &[InstanceRow<'_>]) -> Result<(), sqlx::Error>;
}

impl WriteInstances for SqliteConnection {
    async fn write_instances(&mut self, rows: &[InstanceRow<'_>]) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO instances (id, name, hostname, launch_index, reservation_id, project_id, user_id, \
             record_id, state, compute, create_time, update_time) \
             SELECT value ->> 'id', value ->> 'name', value ->> 'hostname', value ->> 'launch_index', \
             value ->> 'reservation_id', value ->> 'project_id', value ->> 'user_id', value ->> 'record_id', \
             value ->> 'state', value ->> 'compute', value ->> 'create_time', value ->> 'update_time' FROM json_each($1)",
        )
        .bind(json(rows))
        .execute(self)
        .await
        .map(drop)
    }
}

impl WriteInstances for PgConnection {
    async fn write_instances(&mut self, rows: &[InstanceRow<'_>]) -> Result<(), sqlx::Error> {
        macro_rules! column {
            ($field:ident) => {
                rows.iter().map(|row| row.$field).collect::<Vec<_>>()
            };
        }
        sqlx::query(
            "INSERT INTO instances (id, name, hostname, launch_index, reservation_id, project_id, user_id, \
             record_id, state, compute, create_time, update_time) SELECT * FROM UNNEST($1::uuid[], $2::text[], \
             $3::text[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::text[], \
             $10::text[], $11::timestamptz[], $12::timestamptz[])",
        )
        .bind(rows.iter().map(|row| *row.id.as_uuid()).collect::<Vec<_>>())
        .bind(column!(name))
        .bind(column!(hostname))
        .bind(column!(launch_index))
        .bind(column!(reservation_id))
        .bind(column!(project_id))
        .bind(column!(user_id))
        .bind(rows.iter().map(|row| *row.record_id.as_uuid()).collect::<Vec<_>>())
        .bind(column!(state))
        .bind(column!(compute))
        .bind(column!(create_time))
        .bind(column!(update_time))
        .execute(self)
        .await
        .map(drop)
    }
}
