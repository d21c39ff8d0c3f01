//! The statement that every create waits for: it writes the rows of all instances of a batch. For each database in the
//! form that this one reads fastest.

use chassis::db::{Micros, json};
use sqlx::{Executor as _, PgConnection, QueryBuilder, SqliteConnection};

use super::rows::InstanceRow;

/// A connection that rows of `instances` can be written to.
pub(super) trait WriteInstances {
    /// Writes rows.
    async fn write_instances(&mut self, rows: &[InstanceRow<'_>]) -> Result<(), sqlx::Error>;
}

/// Rows of one statement that takes each value by itself: 12 of 32,766 values a row.
const ROWS: usize = 64;

impl WriteInstances for SqliteConnection {
    async fn write_instances(&mut self, rows: &[InstanceRow<'_>]) -> Result<(), sqlx::Error> {
        if rows.len() < ROWS {
            return write_few(self, rows).await;
        }
        // All or nothing, in a transaction or without one, which this begins and RELEASE commits.
        self.execute("SAVEPOINT instances").await?;
        // Taking JSON apart takes as long as all the rest; a statement of one length stays prepared.
        let chunks = rows.chunks_exact(ROWS);
        let rest = chunks.remainder();
        for chunk in chunks {
            let mut query = QueryBuilder::new(
                "INSERT INTO instances (id, name, hostname, launch_index, reservation_id, project_id, user_id, \
                 record_id, state, compute, create_time, update_time) ",
            );
            query.push_values(chunk, |mut values, row| {
                values
                    .push_bind(row.id)
                    .push_bind(row.name)
                    .push_bind(row.hostname)
                    .push_bind(row.launch_index);
                values.push_bind(row.reservation_id).push_bind(row.project_id).push_bind(row.user_id);
                values.push_bind(row.record_id).push_bind(row.state).push_bind(row.compute);
                values.push_bind(Micros(row.create_time)).push_bind(Micros(row.update_time));
            });
            query.build().execute(&mut *self).await?;
        }
        if !rest.is_empty() {
            write_few(self, rest).await?;
        }
        self.execute("RELEASE instances").await.map(drop)
    }
}

/// Writes rows that arrive as one JSON text, so that the statement stays prepared however many there are.
async fn write_few(connection: &mut SqliteConnection, rows: &[InstanceRow<'_>]) -> Result<(), sqlx::Error> {
    sqlx::query(
            "INSERT INTO instances (id, name, hostname, launch_index, reservation_id, project_id, user_id, \
             record_id, state, compute, create_time, update_time) \
             SELECT value ->> 'id', value ->> 'name', value ->> 'hostname', value ->> 'launch_index', \
             value ->> 'reservation_id', value ->> 'project_id', value ->> 'user_id', value ->> 'record_id', \
             value ->> 'state', value ->> 'compute', value ->> 'create_time', value ->> 'update_time' FROM json_each($1)",
        )
        .bind(json(rows))
        .execute(connection)
        .await
        .map(drop)
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
