//! Statements that several transactions share. Macros, because the two drivers' transactions are two types.

/// Most rows of one statement: SQLite takes 32,766 values at once, PostgreSQL 65,535.
pub(super) const ROWS: usize = 1000;

/// Runs one statement, which commits by itself, again while other transactions are in its way; gives the number of
/// rows.
macro_rules! execute {
    ($db:expr, $statement:literal, $($value:expr),+) => {
        chassis::db::retrying(async || {
            Ok::<_, Error>(chassis::on_writer!($db, |connection| {
                sqlx::query($statement)$(.bind($value))+.execute(connection).await?.rows_affected()
            }))
        })
        .await?
    };
}

/// Reads the image `$id` without its properties as `$now` makes it, locked and its revision already the next one; and
/// whether it is shared with `$project`.
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
        let row: SeenRow = sqlx::query_as(ATTRIBUTES).bind($id).bind($project).fetch_one(&mut *$tx).await?;
        (row.image.rest()?, row.is_member)
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

/// Adds properties to `$image`, a vector of names and values, none of which is there.
macro_rules! insert_properties {
    ($tx:ident, $image:expr, $properties:expr) => {
        for properties in $properties.chunks(ROWS) {
            QueryBuilder::new("INSERT INTO image_properties (image_id, name, value, image_create_time) ")
                .push_values(properties.iter().copied(), |mut row, (name, value)| {
                    row.push_bind($image.id).push_bind(name).push_bind(value).push_bind($image.create_time);
                })
                .build()
                .execute(&mut *$tx)
                .await?;
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

pub(super) use {execute, insert_properties, insert_revision, insert_tags, lock_image};
