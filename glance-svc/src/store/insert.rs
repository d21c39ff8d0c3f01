//! New images in the database.

use chassis::{
    caller::Actor,
    db::{self, Transaction, retrying},
};
use sqlx::types::Json;

use super::{Store, history::insert_revision};
use crate::{
    error::Error,
    image::{
        Image,
        history::{Action, Revision, changes},
    },
};

/// Most rows of one statement: SQLite takes 32,766 values at once, PostgreSQL 65,535.
const ROWS: usize = 1000;

impl Store {
    /// Records a new image with its first revision.
    pub async fn insert(&self, image: &Image, actor: &Actor) -> Result<(), Error> {
        retrying(|| self.try_insert(image, actor)).await
    }

    async fn try_insert(&self, image: &Image, actor: &Actor) -> Result<(), Error> {
        let mut tx = self.db.begin().await?;
        // History first: its key also refuses the id of an image that was deleted.
        let first = Revision {
            image_id: image.id,
            revision: image.revision,
            create_time: image.create_time,
            actor: actor.clone(),
            action: Action::Create,
            changes: changes(None, image),
        };
        if !insert_revision(&mut tx, &first).await? {
            return Err(Error::IdTaken(image.id));
        }
        insert_image(&mut tx, image).await?;
        insert_properties(&mut tx, image).await?;
        tx.query("INSERT INTO image_documents (image_id, revision, properties) VALUES ($1, $2, $3)")
            .bind(image.id)
            .bind(image.revision)
            .bind(Json(&image.properties))
            .execute()
            .await?;
        insert_tags(&mut tx, image).await?;
        Ok(tx.commit().await?)
    }
}

/// Adds the row of a new image.
async fn insert_image(tx: &mut Transaction, image: &Image) -> Result<(), db::Error> {
    tx.query(
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
    .execute()
    .await?;
    Ok(())
}

/// Adds the properties of a new image.
async fn insert_properties(tx: &mut Transaction, image: &Image) -> Result<(), db::Error> {
    let properties: Vec<_> = image.properties.iter().collect();
    for properties in properties.chunks(ROWS) {
        let mut query =
            tx.builder("INSERT INTO image_properties (image_id, name, value, image_create_time) ");
        query.push_values(properties, |row, (name, value)| {
            row.push_bind(image.id).push_bind(name).push_bind(value).push_bind(image.create_time);
        });
        tx.query(query).execute().await?;
    }
    Ok(())
}

/// Adds the tags of a new image.
async fn insert_tags(tx: &mut Transaction, image: &Image) -> Result<(), db::Error> {
    if image.tags.is_empty() {
        return Ok(());
    }
    let mut query = tx.builder("INSERT INTO image_tags (image_id, tag, image_create_time) ");
    query.push_values(&image.tags, |row, tag| {
        row.push_bind(image.id).push_bind(tag).push_bind(image.create_time);
    });
    tx.query(query).execute().await?;
    Ok(())
}
