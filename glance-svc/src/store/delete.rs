//! Images that are deleted.

use chassis::{
    caller::Actor,
    db::{Transaction, retrying},
};
use chrono::{DateTime, Utc};
use common::id::Id;

use super::{ATTRIBUTES, Store, VisibleImage, history::insert_revision, rows::SeenRow};
use crate::{
    error::Error,
    image::history::{Action, Revision, deletion},
};

impl Store {
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
        let mut tx = self.db.begin().await?;
        let seen = lock_image(&mut tx, id, &actor.project_id, now).await?;
        check(&seen)?;
        let VisibleImage { image, .. } = seen;
        tx.query("UPDATE image_data SET state = 'deleting' WHERE image_id = $1").bind(id).execute().await?;
        tx.query("DELETE FROM images WHERE id = $1").bind(id).execute().await?;
        let last = Revision {
            image_id: id,
            revision: image.revision,
            create_time: image.update_time,
            actor: actor.clone(),
            action: Action::Delete,
            changes: vec![deletion(image.status)],
        };
        insert_revision(&mut tx, &last).await?;
        Ok(tx.commit().await?)
    }
}

/// Reads the image without its properties as `now` makes it, locked and its revision already the next one; and whether
/// it is shared with `project`.
async fn lock_image(
    tx: &mut Transaction,
    id: Id,
    project: &str,
    now: DateTime<Utc>,
) -> Result<VisibleImage, Error> {
    // The write takes the row's lock, so that what is read next stays true until the commit.
    let locked = tx
        .query(
            "UPDATE images SET revision = revision + 1, \
             update_time = CASE WHEN update_time > $2 THEN update_time ELSE $2 END WHERE id = $1",
        )
        .bind(id)
        .bind(now)
        .execute()
        .await?;
    if locked == 0 {
        return Err(Error::NotFound(id));
    }
    let row: SeenRow = tx.query_as(ATTRIBUTES).bind(id).bind(project).fetch_one().await?;
    Ok(VisibleImage { image: row.image.rest()?, is_member: row.is_member })
}
