//! The statement that every create waits for: it writes the rows of all instances of a batch, for each database in the
//! form that it reads fastest, so that the two have little in common.

use chassis::db::{self, ByDialect, Connection, Dialect, Many, Micros, Transaction, json};

use super::rows::{InstanceRow, MetadataRow};

/// Rows of one SQLite statement that binds each value by itself: 12 of 32,766 values a row.
const ROWS: usize = 64;

/// Rows for SQLite that arrive as one JSON text, so that the statement stays prepared however many there are.
const FEW: &str = "INSERT INTO instances (id, name, hostname, launch_index, reservation_id, project_id, user_id, \
     record_id, state, compute, create_time, update_time) \
     SELECT value ->> 'id', value ->> 'name', value ->> 'hostname', value ->> 'launch_index', \
     value ->> 'reservation_id', value ->> 'project_id', value ->> 'user_id', value ->> 'record_id', \
     value ->> 'state', value ->> 'compute', value ->> 'create_time', value ->> 'update_time' FROM json_each($1)";

/// Rows for SQLite, each value by itself.
const MANY: &str = "INSERT INTO instances (id, name, hostname, launch_index, reservation_id, project_id, user_id, \
     record_id, state, compute, create_time, update_time) ";

/// Rows for PostgreSQL, a column at a time.
const COLUMNS: &str = "INSERT INTO instances (id, name, hostname, launch_index, reservation_id, project_id, user_id, \
     record_id, state, compute, create_time, update_time) SELECT * FROM UNNEST($1::uuid[], $2::text[], \
     $3::text[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::text[], \
     $10::text[], $11::timestamptz[], $12::timestamptz[])";

/// Writes the caller's metadata of reservations.
const METADATA: ByDialect = ByDialect {
    sqlite: "INSERT INTO reservation_metadata (reservation_id, metadata) \
         SELECT value ->> 'reservation_id', value -> 'metadata' FROM json_each($1)",
    postgres: "INSERT INTO reservation_metadata (reservation_id, metadata) \
         SELECT reservation_id, metadata FROM json_to_recordset($1::json) \
         AS entry (reservation_id text, metadata json)",
};

/// Whether one statement writes that many rows, so that it needs no transaction.
pub(super) fn is_one_statement(dialect: Dialect, rows: usize) -> bool {
    dialect == Dialect::Postgres || rows < ROWS
}

/// Writes rows; in a transaction, unless one statement does.
pub(super) async fn write_instances(
    connection: &mut Connection,
    rows: &[InstanceRow<'_>],
) -> Result<(), db::Error> {
    if connection.dialect() == Dialect::Postgres {
        return write_columns(connection, rows).await;
    }
    if rows.len() < ROWS {
        return write_few(connection, rows).await;
    }
    // Parsing JSON takes as long as all the rest; a statement of one length stays prepared.
    let chunks = rows.chunks_exact(ROWS);
    let rest = chunks.remainder();
    for chunk in chunks {
        write_many(connection, chunk).await?;
    }
    if rest.is_empty() { Ok(()) } else { write_few(connection, rest).await }
}

/// Writes the caller's metadata of reservations.
pub(super) async fn write_metadata(tx: &mut Transaction, rows: &[MetadataRow<'_>]) -> Result<(), db::Error> {
    if !rows.is_empty() {
        tx.query(METADATA).bind(json(rows)).execute().await?;
    }
    Ok(())
}

async fn write_few(connection: &mut Connection, rows: &[InstanceRow<'_>]) -> Result<(), db::Error> {
    connection.query(FEW).bind(json(rows)).execute().await?;
    Ok(())
}

async fn write_many(connection: &mut Connection, rows: &[InstanceRow<'_>]) -> Result<(), db::Error> {
    let mut query = connection.builder(MANY);
    query.push_values(rows, |values, row| {
        values.push_bind(row.id).push_bind(row.name).push_bind(row.hostname).push_bind(row.launch_index);
        values.push_bind(row.reservation_id).push_bind(row.project_id).push_bind(row.user_id);
        values.push_bind(row.record_id).push_bind(row.state).push_bind(row.compute);
        values.push_bind(Micros(row.create_time)).push_bind(Micros(row.update_time));
    });
    connection.query(query).execute().await?;
    Ok(())
}

async fn write_columns(connection: &mut Connection, rows: &[InstanceRow<'_>]) -> Result<(), db::Error> {
    /// The values of a column.
    fn column<'a, T>(rows: &[InstanceRow<'a>], value: impl Fn(&InstanceRow<'a>) -> T) -> Many<T> {
        Many(rows.iter().map(value).collect())
    }
    connection
        .query(COLUMNS)
        .bind(column(rows, |row| row.id))
        .bind(column(rows, |row| row.name))
        .bind(column(rows, |row| row.hostname))
        .bind(column(rows, |row| row.launch_index))
        .bind(column(rows, |row| row.reservation_id))
        .bind(column(rows, |row| row.project_id))
        .bind(column(rows, |row| row.user_id))
        .bind(column(rows, |row| row.record_id))
        .bind(column(rows, |row| row.state))
        .bind(column(rows, |row| row.compute))
        .bind(column(rows, |row| row.create_time))
        .bind(column(rows, |row| row.update_time))
        .execute()
        .await?;
    Ok(())
}
