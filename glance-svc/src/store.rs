//! Every SQL statement of the service: images, their properties and tags, and their history.

use chassis::{
    caller::Actor,
    db::{self, Db, Migrations, retrying},
    in_transaction, on_db,
};
use chrono::{DateTime, Utc};
use common::{id::Id, text::NAME_LIMIT};
use sqlx::{QueryBuilder, types::Json};

use crate::{
    error::Error,
    image::{
        Image, TAG_LIMIT,
        history::{Action, Change, changes},
        properties::TOTAL_LIMIT,
    },
};

mod current;
mod data;
mod filter;
mod history;
mod list;
mod members;
mod rows;
mod statements;
mod update;

pub use current::Found;
pub use data::{DataStep, OrphanedData};
pub use history::HistoryAccess;
pub use update::{Edit, Revise};

use current::{Current, current};
use rows::SeenRow;
use statements::{ROWS, insert_properties, insert_revision, insert_tags, lock_image};
use update::{Edits, edits};

/// The schema.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("migrations/sqlite"),
    postgres: sqlx::migrate!("migrations/postgres"),
};

/// Memory for images that are read again, unless it is configured, bytes: 1,300 images with 30 properties.
pub const CACHE_BYTES: u64 = 16 << 20;

/// Bytes of the largest image, about: its properties, tags and names. One may be larger that was made before there was a
/// limit, or of an instance.
pub const LARGEST: usize = TOTAL_LIMIT + 4 * NAME_LIMIT * (TAG_LIMIT + 2);

/// Properties of an image up to this size are read whenever the image is; larger ones by whoever has room for them.
macro_rules! small {
    () => {
        "CASE WHEN record_bytes <= 65536 THEN properties END"
    };
}

use small;

/// An image with its tags and these properties, in one row: `properties` for a whole image.
macro_rules! columns {
    ($($properties:tt)+) => {
        concat!(
            "id, name, status, visibility, owner, protected, os_hidden, disk_format, container_format, min_ram, \
             min_disk, size, virtual_size, checksum, os_hash_algo, os_hash_value, data_id, revision, create_time, \
             update_time, tags, ",
            $($properties)+,
            " AS properties"
        )
    };
}

use columns;

/// An image `$1` with these properties, and whether it is shared with project `$2`.
macro_rules! seen {
    ($properties:literal) => {
        concat!(
            "SELECT ",
            columns!($properties),
            ", EXISTS (SELECT 1 FROM image_members m WHERE m.image_id = id AND m.member_id = $2) AS is_member \
             FROM image_records WHERE id = $1"
        )
    };
}

/// As [`Store::attributes`] gives it.
const ATTRIBUTES: &str = seen!("NULL");

/// An image, and whether it is shared with the project that reads it.
#[derive(Debug, Clone)]
pub struct VisibleImage {
    /// The image.
    pub image: Image,
    /// Whether it is shared with the project, whatever the project says to it.
    pub is_member: bool,
}

/// Images in the database.
#[derive(Debug, Clone)]
pub struct Store {
    db: Db,
    current: Current,
    edits: Edits,
}

impl Store {
    /// A store in `db`, which may keep about `memory` bytes of images in memory; 0 for none.
    #[must_use]
    pub fn new(db: Db, memory: u64) -> Self {
        Self { current: current(db.clone(), memory), edits: edits(db.clone()), db }
    }

    /// Records a new image with its first revision.
    pub async fn insert(&self, image: &Image, actor: &Actor) -> Result<(), Error> {
        retrying(|| self.try_insert(image, actor)).await
    }

    async fn try_insert(&self, image: &Image, actor: &Actor) -> Result<(), Error> {
        let first = changes(None, image);
        let properties: Vec<_> = image.properties.iter().collect();
        in_transaction!(self.db, |tx| {
            // History first: its key also refuses the id of an image that was deleted.
            let inserted = insert_revision!(
                tx,
                image.id,
                image.revision,
                image.create_time,
                actor,
                Action::Create,
                &first
            );
            if inserted == 0 {
                return Err(Error::IdTaken(image.id));
            }
            sqlx::query(
                "INSERT INTO images (id, name, status, visibility, owner, protected, disk_format, \
                 container_format, min_ram, min_disk, size, checksum, revision, create_time, update_time, \
                 os_hidden, os_hash_algo, os_hash_value, virtual_size) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
            )
            .bind(image.id)
            .bind(&image.name)
            .bind(image.status.as_str())
            .bind(image.visibility.as_str())
            .bind(&image.owner)
            .bind(image.protected)
            .bind(&image.disk_format)
            .bind(&image.container_format)
            .bind(image.min_ram)
            .bind(image.min_disk)
            .bind(image.size)
            .bind(&image.checksum)
            .bind(image.revision)
            .bind(image.create_time)
            .bind(image.update_time)
            .bind(image.os_hidden)
            .bind(&image.os_hash_algo)
            .bind(&image.os_hash_value)
            .bind(image.virtual_size)
            .execute(&mut *tx)
            .await?;
            insert_properties!(tx, image, properties);
            sqlx::query("INSERT INTO image_documents (image_id, revision, properties) VALUES ($1, $2, $3)")
                .bind(image.id)
                .bind(image.revision)
                .bind(Json(&image.properties))
                .execute(&mut *tx)
                .await?;
            insert_tags!(tx, image, &image.tags);
        });
        Ok(())
    }

    /// The image as it is now: every change that was answered before the call is in it, whichever process made it.
    pub async fn current(&self, id: Id) -> Result<Option<Found>, Error> {
        self.current.submit(id).await.map_err(db::Error::from)?
    }

    /// The image as it is now, however large it is, and whether it is shared with `project`.
    pub async fn get(&self, id: Id, project: &str) -> Result<Option<VisibleImage>, Error> {
        let row: Option<SeenRow> = on_db!(self.db, |connection| {
            sqlx::query_as(seen!("properties")).bind(id).bind(project).fetch_optional(connection).await?
        });
        row.map(|row| Ok(VisibleImage { image: row.image.try_into()?, is_member: row.is_member })).transpose()
    }

    /// As [`Store::get`], without the properties of the image, which can be large.
    pub async fn attributes(&self, id: Id, project: &str) -> Result<Option<VisibleImage>, Error> {
        let row: Option<SeenRow> = on_db!(self.db, |connection| {
            sqlx::query_as(ATTRIBUTES).bind(id).bind(project).fetch_optional(connection).await?
        });
        row.map(|row| Ok(VisibleImage { image: row.image.rest()?, is_member: row.is_member })).transpose()
    }

    /// Deletes the image unless `check` refuses, which does not see its properties; its history stays and gets one last
    /// entry. Its data are then to be removed.
    pub async fn delete(
        &self,
        id: Id,
        actor: &Actor,
        now: DateTime<Utc>,
        check: impl Fn(&VisibleImage) -> Result<(), Error>,
    ) -> Result<(), Error> {
        retrying(|| self.try_delete(id, actor, now, &check)).await
    }

    async fn try_delete(
        &self,
        id: Id,
        actor: &Actor,
        now: DateTime<Utc>,
        check: impl Fn(&VisibleImage) -> Result<(), Error>,
    ) -> Result<(), Error> {
        in_transaction!(self.db, |tx| {
            let (image, is_member) = lock_image!(tx, id, &actor.project_id, now);
            let seen = VisibleImage { image, is_member };
            check(&seen)?;
            let image = seen.image;
            let changes = vec![Change::deletion(image.status)];
            sqlx::query("UPDATE image_data SET state = 'deleting' WHERE image_id = $1")
                .bind(id)
                .execute(&mut *tx)
                .await?;
            sqlx::query("DELETE FROM images WHERE id = $1").bind(id).execute(&mut *tx).await?;
            insert_revision!(tx, id, image.revision, image.update_time, actor, Action::Delete, &changes);
        });
        Ok(())
    }
}
