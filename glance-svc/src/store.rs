//! Every SQL statement of the service: images, their properties and tags, and their history.

use chassis::db::{self, Db, Migrations};
use common::{id::Id, text::NAME_LIMIT};

use crate::{
    error::Error,
    image::{Image, TAG_LIMIT, properties::TOTAL_LIMIT},
};

mod current;
mod data;
mod delete;
mod filter;
mod history;
mod insert;
mod list;
mod members;
mod rows;
mod update;

pub use current::Found;
pub use data::{DataStep, OrphanedData};
pub use history::HistoryAccess;
pub use update::{Edit, Revise};

use current::{Current, current};
use rows::SeenRow;
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

    /// The database.
    #[must_use]
    pub const fn db(&self) -> &Db {
        &self.db
    }

    /// The image as it is now: every change that was answered before the call is in it, whichever process made it.
    pub async fn current(&self, id: Id) -> Result<Option<Found>, Error> {
        self.current.submit(id).await.map_err(db::Error::from)?
    }

    /// The image as it is now, however large it is, and whether it is shared with `project`.
    pub async fn get(&self, id: Id, project: &str) -> Result<Option<VisibleImage>, Error> {
        let row: Option<SeenRow> = self
            .db
            .reader()
            .await?
            .query_as(seen!("properties"))
            .bind(id)
            .bind(project)
            .fetch_optional()
            .await?;
        row.map(|row| Ok(VisibleImage { image: row.image.try_into()?, is_member: row.is_member })).transpose()
    }

    /// As [`Store::get`], without the properties of the image, which can be large.
    pub async fn attributes(&self, id: Id, project: &str) -> Result<Option<VisibleImage>, Error> {
        let row: Option<SeenRow> =
            self.db.reader().await?.query_as(ATTRIBUTES).bind(id).bind(project).fetch_optional().await?;
        row.map(|row| Ok(VisibleImage { image: row.image.rest()?, is_member: row.is_member })).transpose()
    }
}
