//! Statements that several transactions share. Macros, because the two drivers' transactions are two types.

/// Most rows of one statement: SQLite takes 32,766 values at once, PostgreSQL 65,535.
pub(super) const ROWS: usize = 1000;

/// Reads the image `$id` as `$now` makes it, locked and its revision already the next one; and whether it is
/// shared with `$project`.
macro_rules! lock_image {
    ($tx:ident, $id:expr, $project:expr, $now:expr) => {{
        // The write takes the row's lock, so that what is read next stays true until the commit.
        let locked = sqlx::query(
            "UPDATE images SET revision = revision + 1, \
             update_time = CASE WHEN update_time > $2 THEN update_time ELSE $2 END WHERE id = $1",
        )
        .bind($id)
        .bind($now)
        .execute(&mut *$tx)
        .await?
        .rows_affected();
        if locked == 0 {
            return Err(Error::NotFound($id));
        }
        let row: SeenRow = sqlx::query_as(SEEN).bind($id).bind($project).fetch_one(&mut *$tx).await?;
        (Image::try_from(row.image)?, row.is_member)
    }};
}

/// Adds a revision to the history; gives the number of rows, 0 if that revision exists.
macro_rules! insert_revision {
    ($tx:ident, $id:expr, $revision:expr, $time:expr, $actor:expr, $action:expr, $changes:expr) => {
        sqlx::query(
            "INSERT INTO image_revisions (image_id, revision, create_time, user_id, project_id, action, changes) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (image_id, revision) DO NOTHING",
        )
        .bind($id)
        .bind($revision)
        .bind($time)
        .bind(&$actor.user_id)
        .bind(&$actor.project_id)
        .bind($action.as_str())
        .bind(Json($changes))
        .execute(&mut *$tx)
        .await?
        .rows_affected()
    };
}

/// Writes the attributes of an image, but for its id and times.
macro_rules! update_attributes {
    ($tx:ident, $image:expr) => {
        sqlx::query(
            "UPDATE images SET name = $2, status = $3, visibility = $4, owner = $5, protected = $6, \
             disk_format = $7, container_format = $8, min_ram = $9, min_disk = $10, size = $11, checksum = $12, \
             os_hidden = $13, os_hash_algo = $14, os_hash_value = $15, virtual_size = $16, data_id = $17 \
             WHERE id = $1",
        )
        .bind($image.id)
        .bind(&$image.name)
        .bind($image.status.as_str())
        .bind($image.visibility.as_str())
        .bind(&$image.owner)
        .bind($image.protected)
        .bind(&$image.disk_format)
        .bind(&$image.container_format)
        .bind($image.min_ram)
        .bind($image.min_disk)
        .bind($image.size)
        .bind(&$image.checksum)
        .bind($image.os_hidden)
        .bind(&$image.os_hash_algo)
        .bind(&$image.os_hash_value)
        .bind($image.virtual_size)
        .bind($image.data)
        .execute(&mut *$tx)
        .await?
    };
}

/// Adds or overwrites properties of `$image`, a vector of names and values.
macro_rules! upsert_properties {
    ($tx:ident, $image:expr, $properties:expr) => {
        for properties in $properties.chunks(ROWS) {
            QueryBuilder::new("INSERT INTO image_properties (image_id, name, value, image_create_time) ")
                .push_values(properties.iter().copied(), |mut row, (name, value)| {
                    row.push_bind($image.id).push_bind(name).push_bind(value).push_bind($image.create_time);
                })
                .push(" ON CONFLICT (image_id, name) DO UPDATE SET value = excluded.value")
                .build()
                .execute(&mut *$tx)
                .await?;
        }
    };
}

/// Removes properties, a vector of names.
macro_rules! delete_properties {
    ($tx:ident, $id:expr, $names:expr) => {
        for names in $names.chunks(ROWS) {
            let mut query = QueryBuilder::new("DELETE FROM image_properties WHERE image_id = ");
            query.push_bind($id).push(" AND name IN ");
            query.push_tuples(names.iter().copied(), |mut row, name| {
                row.push_bind(name);
            });
            query.build().execute(&mut *$tx).await?;
        }
    };
}

/// Adds tags to `$image`, none of which is there.
macro_rules! insert_tags {
    ($tx:ident, $image:expr, $tags:expr) => {
        if !$tags.is_empty() {
            QueryBuilder::new("INSERT INTO image_tags (image_id, tag, image_create_time) ")
                .push_values($tags, |mut row, tag| {
                    row.push_bind($image.id).push_bind(tag).push_bind($image.create_time);
                })
                .build()
                .execute(&mut *$tx)
                .await?;
        }
    };
}

pub(super) use {
    delete_properties, insert_revision, insert_tags, lock_image, update_attributes, upsert_properties,
};
