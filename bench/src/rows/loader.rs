//! Very many resources, copied by SQL from the few that a service has written.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::page::Key;
use chrono::{DateTime, Utc};
use common::id::Id;
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgConnection};

use crate::{bench::Bench, database};

/// The functions that copy rows.
const MULTIPLY: &str = include_str!("../../sql/multiply.sql");

/// Number of copies per transaction.
const BATCH: i64 = 50_000;

/// A connection that makes copies of a table's resources.
pub(super) struct Loader {
    connection: PgConnection,
    parent: &'static str,
    link: &'static str,
    copies: i64,
}

/// A resource, with what pages are sorted by.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Place {
    /// Its id.
    pub(super) id: Id,
    create_time: DateTime<Utc>,
}

/// A page token, as the services make it.
#[derive(Serialize, Deserialize)]
struct Token {
    list: String,
    after: Vec<Key>,
}

impl Loader {
    /// Copies resources of `parent` and the rows whose column `link` names them.
    pub(super) async fn new(url: &str, parent: &'static str, link: &'static str) -> anyhow::Result<Self> {
        let mut connection = database::connect(url).await?;
        database::execute(&mut connection, MULTIPLY.to_owned()).await?;
        database::execute(&mut connection, "SET synchronous_commit = off".to_owned()).await?;
        database::execute(&mut connection, "SET maintenance_work_mem = '1GB'".to_owned()).await?;
        Ok(Self { connection, parent, link, copies: 0 })
    }

    /// Makes copies until there are `count` of them.
    pub(super) async fn grow_to(&mut self, bench: &Bench, count: i64) -> anyhow::Result<()> {
        sqlx::query("SELECT pg_temp.drop_indexes()").execute(&mut self.connection).await?;
        while self.copies < count {
            let last = count.min(self.copies + BATCH);
            let mut transaction = self.connection.begin().await?;
            sqlx::query("SELECT pg_temp.multiply($1, $2, $3, $4)")
                .bind(self.parent)
                .bind(self.link)
                .bind(self.copies + 1)
                .bind(last)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            self.copies = last;
            bench.progress.step(&format!("loading {}: {last} of {count}", self.parent));
        }
        bench.progress.step(&format!("indexing {count} {}", self.parent));
        sqlx::query("SELECT pg_temp.restore_indexes()").execute(&mut self.connection).await?;
        Ok(())
    }

    /// Vacuums, and returns the size of the database, in bytes.
    pub(super) async fn vacuum(&mut self) -> anyhow::Result<i64> {
        database::size(&mut self.connection).await
    }

    /// About `count` copies from all over the table.
    pub(super) async fn places(&mut self, count: i32) -> anyhow::Result<Vec<Place>> {
        let step = (self.copies / i64::from(count)).max(1);
        let places = sqlx::query_as(
            "SELECT pg_temp.copy_id(n) AS id, pg_temp.copy_time(n) AS create_time \
             FROM generate_series(1, $1::bigint, $2::bigint) n ORDER BY random()",
        )
        .bind(self.copies)
        .bind(step);
        Ok(places.fetch_all(&mut self.connection).await?)
    }
}

/// The token of a page anywhere in a list, out of a token of the same list: the page that begins after `place`.
pub(super) fn jump(token: &str, place: &Place) -> anyhow::Result<String> {
    let mut token: Token = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token)?)?;
    for key in &mut token.after {
        match key {
            Key::Time(time) | Key::Micros(time) => *time = place.create_time,
            Key::Id(id) => *id = place.id,
            Key::Text(_) | Key::Integer(_) => {}
        }
    }
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token)?))
}
