//! The history of images: pages of it, and images as they were.

use chassis::{
    db::{self, ByDialect, Transaction},
    page::{Direction, Key, Order, Page, Placed, Read},
};
use common::id::Id;
use sqlx::types::Json;

use super::{
    Store,
    rows::{BaseRow, PastRow, RevisionRow},
};
use crate::{
    error::Error,
    image::{
        Image, Visibility,
        access::PolicyTarget,
        history::{Entry, Revision, replay},
    },
    list::RevisionOrder,
};

/// Every so many revisions, the whole image is kept beside its history: no more of it is read for one revision.
pub(super) const BASES: i64 = 64;

/// Who may see what of the past of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryAccess {
    /// The project that owns it, or owned it when it was deleted; or empty.
    pub(super) owner: String,
    /// None if it was deleted.
    pub(super) visibility: Option<Visibility>,
    /// Its revision when it was shared with the project that asks, if it is.
    pub(super) shared_since: Option<i64>,
}

impl HistoryAccess {
    /// How it stands now.
    #[must_use]
    pub fn now(&self) -> PolicyTarget<'_> {
        PolicyTarget {
            owner: &self.owner,
            visibility: self.visibility,
            is_shared: self.shared_since.is_some(),
        }
    }

    /// How it stood then.
    #[must_use]
    pub fn then<'a>(&self, then: &'a Image) -> PolicyTarget<'a> {
        PolicyTarget::of(then, self.shared_since.is_some_and(|since| since <= then.revision))
    }
}

/// Adds a revision to the history; `false` if that revision exists.
pub(super) async fn insert_revision(tx: &mut Transaction, revision: &Revision) -> Result<bool, db::Error> {
    let inserted = tx
        .query(
            "INSERT INTO image_revisions (image_id, revision, create_time, user_id, project_id, action, changes) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (image_id, revision) DO NOTHING",
        )
        .bind(revision.image_id)
        .bind(revision.revision)
        .bind(revision.create_time)
        .bind(&revision.actor.user_id)
        .bind(&revision.actor.project_id)
        .bind(revision.action.as_str())
        .bind(Json(&revision.changes))
        .execute()
        .await?;
    Ok(inserted > 0)
}

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
            let Read { items, is_cut } = self.list_revisions(id, &page, None).await?;
            let is_last = items.len() <= size && !is_cut;
            for Entry { revision: next, .. } in
                items.iter().take_while(|next| next.revision.revision <= revision)
            {
                image = Some(replay(image.take(), next).ok_or(Error::Corrupt(id))?);
            }
            if is_last {
                return Ok(image);
            }
        }
    }

    /// The whole image that was kept at this revision, or last before it.
    async fn base(&self, id: Id, revision: i64) -> Result<Option<Image>, Error> {
        let sql = "SELECT image_id, revision, create_time, update_time, changes FROM image_bases \
                   WHERE image_id = $1 AND revision <= $2 ORDER BY revision DESC LIMIT 1";
        let row: Option<BaseRow> =
            self.db.reader().await?.query_as(sql).bind(id).bind(revision).fetch_optional().await?;
        row.map(Image::try_from).transpose()
    }

    /// To whom an image belongs and shows itself now, and from when on it is shared with `project`; also of one that was
    /// deleted, and `None` of one that never was.
    pub async fn past(&self, id: Id, project: &str) -> Result<Option<HistoryAccess>, Error> {
        let sql = "SELECT first.image_id, COALESCE(images.owner, (SELECT last.owner FROM image_owners last \
                   WHERE last.image_id = first.image_id ORDER BY last.revision DESC LIMIT 1), '') AS owner, \
                   images.visibility, (SELECT image_revision FROM image_members \
                   WHERE image_members.image_id = first.image_id AND member_id = $2) AS shared_since \
                   FROM image_revisions first LEFT JOIN images ON images.id = first.image_id \
                   WHERE first.image_id = $1 AND first.revision = 1";
        let row: Option<PastRow> =
            self.db.reader().await?.query_as(sql).bind(id).bind(project).fetch_optional().await?;
        row.map(HistoryAccess::try_from).transpose()
    }

    /// A page of revisions, as many as an answer holds: how large they are is known before they are read. With an `owner`
    /// that is no empty one, those alone after which it owned the image.
    pub async fn list_revisions(
        &self,
        id: Id,
        page: &Page<RevisionOrder>,
        owner: Option<&str>,
    ) -> Result<Read<Entry>, Error> {
        let mut query = self.db.builder("WITH page AS (SELECT revision, ");
        query.push_by_dialect(ByDialect {
            sqlite: "octet_length(changes)",
            postgres: "octet_length(changes::text)",
        });
        query.push(" AS bytes FROM image_history WHERE ");
        page.push_after(&mut query);
        query.push(" AND image_id = ").push_bind(id);
        if let Some(owner) = owner {
            query.push(" AND owner = ").push_bind(owner);
            // What is before its time is not looked through.
            query.push(" AND revision >= (SELECT MIN(revision) FROM image_owners WHERE image_id = ");
            query.push_bind(id).push(" AND owner = ").push_bind(owner).push(")");
        }
        page.push_end(&mut query);
        query.push("), ");
        page.push_sized(&mut query, "revision");
        query.push(
            " SELECT place, image_id, revision, create_time, user_id, project_id, action, \
             owner_before, CASE WHEN fits THEN changes END AS changes FROM sized CROSS JOIN image_history \
             WHERE is_looked_at AND revision = page_key AND image_id = ",
        );
        query.push_bind(id);
        let rows: Vec<Placed<RevisionRow>> = self.db.reader().await?.query_as(query).fetch_all().await?;
        Read::placed(rows, RevisionRow::is_whole).try_map(Entry::try_from)
    }
}
