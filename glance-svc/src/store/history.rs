//! The history of images: pages of it, and images as they were.

use common::{
    db::Dialect as _,
    id::Id,
    on_db,
    page::{Direction, Key, Order, Page, Placed, Read},
};
use sqlx::QueryBuilder;

use super::{
    Store,
    rows::{BaseRow, RevisionRow},
};
use crate::{
    error::Error,
    image::{
        Image,
        history::{Revision, replay},
    },
    list::RevisionOrder,
};

/// Every so many revisions, the whole image is kept beside its history: no more of it is read for one revision.
pub(super) const BASES: i64 = 64;

impl Store {
    /// The image as it was at `revision`, or at its last one before that; `None` if there is no such image. Made from the
    /// whole image that was kept last before, and of the revisions behind it as many at a time as an answer holds.
    pub async fn replayed(&self, id: Id, revision: i64) -> Result<Option<Image>, Error> {
        let mut image = if revision < BASES { None } else { self.base(id, revision).await? };
        loop {
            let after = image.as_ref().map_or(0, |image| image.revision);
            if after >= revision {
                return Ok(image);
            }
            let order = Order::new(vec![(RevisionOrder::Revision, Direction::Ascending)]);
            let size = usize::try_from(revision.saturating_sub(after).min(BASES)).unwrap_or(1);
            let page = Page::behind(size, order, Some(|_| Key::Integer(after)));
            let Read { items, is_cut } = self.list_revisions(id, &page).await?;
            let is_last = items.len() <= size && !is_cut;
            for next in items.iter().take_while(|next| next.revision <= revision) {
                image = Some(replay(image.take(), next).ok_or(Error::Corrupt(id))?);
            }
            if is_last {
                return Ok(image);
            }
        }
    }

    /// The whole image that was kept at this revision, or last before it.
    async fn base(&self, id: Id, revision: i64) -> Result<Option<Image>, Error> {
        let row: Option<BaseRow> = on_db!(self.db, |connection| {
            sqlx::query_as(
                "SELECT image_id, revision, create_time, update_time, changes FROM image_bases \
                 WHERE image_id = $1 AND revision <= $2 ORDER BY revision DESC LIMIT 1",
            )
            .bind(id)
            .bind(revision)
            .fetch_optional(connection)
            .await?
        });
        row.map(Image::try_from).transpose()
    }

    /// A page of revisions, as many as an answer holds: how large they are is known before they are read.
    pub async fn list_revisions(&self, id: Id, page: &Page<RevisionOrder>) -> Result<Read<Revision>, Error> {
        let rows: Vec<Placed<RevisionRow>> = on_db!(self.db, |connection| {
            let bytes = connection.pick("octet_length(changes)", "octet_length(changes::text)");
            let mut query = QueryBuilder::new("WITH page AS (SELECT revision, ");
            query.push(bytes).push(" AS bytes FROM image_revisions WHERE ");
            if page.push_after(&mut query) {
                query.push(" AND ");
            }
            query.push("image_id = ").push_bind(id);
            page.push_order(&mut query);
            page.push_limit(&mut query);
            query.push("), ");
            page.push_sized(&mut query, "revision");
            query.push(
                " SELECT place, image_id, revision, create_time, user_id, project_id, action, \
                 CASE WHEN fits THEN changes END AS changes FROM sized CROSS JOIN image_revisions \
                 WHERE is_looked_at AND revision = page_key AND image_id = ",
            );
            query.push_bind(id);
            query.build_query_as().fetch_all(connection).await?
        });
        Read::placed(rows, RevisionRow::is_whole).try_map(Revision::try_from)
    }
}
