//! Members in the database.

use chassis::db::retrying;
use chrono::{DateTime, Utc};
use common::id::Id;

use super::{Store, rows::MemberRow};
use crate::{
    error::Error,
    image::member::{MEMBER_LIMIT, Member, MemberId, MemberStatus},
};

impl Store {
    /// Every member of an image, in the order they were added.
    pub async fn members(&self, image_id: Id) -> Result<Vec<Member>, Error> {
        let sql = "SELECT image_id, member_id, status, create_time, update_time FROM image_members \
                   WHERE image_id = $1 ORDER BY create_time, member_id";
        let rows: Vec<MemberRow> = self.db.reader().await?.query_as(sql).bind(image_id).fetch_all().await?;
        rows.into_iter().map(Member::try_from).collect()
    }

    /// One member of an image.
    pub async fn member(&self, image_id: Id, member_id: &MemberId) -> Result<Option<Member>, Error> {
        let sql = "SELECT image_id, member_id, status, create_time, update_time FROM image_members \
                   WHERE image_id = $1 AND member_id = $2";
        let mut connection = self.db.reader().await?;
        let row: Option<MemberRow> =
            connection.query_as(sql).bind(image_id).bind(member_id.as_str()).fetch_optional().await?;
        row.map(Member::try_from).transpose()
    }

    /// Adds a member, who sees the image from the revision on that it has now.
    pub async fn insert_member(&self, member: &Member) -> Result<(), Error> {
        retrying(|| self.try_insert_member(member)).await
    }

    async fn try_insert_member(&self, member: &Member) -> Result<(), Error> {
        let mut tx = self.db.begin().await?;
        // Takes the image's lock, so that members are counted and added one at a time.
        let locked = tx
            .query("UPDATE images SET revision = revision WHERE id = $1")
            .bind(member.image_id)
            .execute()
            .await?;
        if locked == 0 {
            return Err(Error::NotFound(member.image_id));
        }
        let count: i64 = tx
            .query_scalar("SELECT COUNT(*) FROM image_members WHERE image_id = $1")
            .bind(member.image_id)
            .fetch_one()
            .await?;
        let inserted = tx
            .query(
                "INSERT INTO image_members (image_id, member_id, status, create_time, update_time, image_create_time, \
                 image_revision) SELECT id, $2, $3, $4, $5, create_time, revision FROM images WHERE id = $1 \
                 ON CONFLICT (image_id, member_id) DO NOTHING",
            )
            .bind(member.image_id)
            .bind(&member.member_id)
            .bind(member.status.as_str())
            .bind(member.create_time)
            .bind(member.update_time)
            .execute()
            .await?;
        if inserted == 0 {
            return Err(Error::MemberExists { id: member.image_id, member_id: member.member_id.clone() });
        }
        let attempted = usize::try_from(count).unwrap_or_default() + 1;
        if attempted > MEMBER_LIMIT {
            return Err(Error::Quota { resource: "members", attempted, maximum: MEMBER_LIMIT });
        }
        Ok(tx.commit().await?)
    }

    /// Sets the status of a member; `false` if there is no such member.
    pub async fn update_member(
        &self,
        image_id: Id,
        member_id: &MemberId,
        status: MemberStatus,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let sql = "UPDATE image_members SET status = $3, \
                   update_time = CASE WHEN update_time > $4 THEN update_time ELSE $4 END \
                   WHERE image_id = $1 AND member_id = $2";
        let updated = self
            .db
            .execute(|connection| {
                connection.query(sql).bind(image_id).bind(member_id.as_str()).bind(status.as_str()).bind(now)
            })
            .await?;
        Ok(updated > 0)
    }

    /// Removes a member; `false` if there is no such member.
    pub async fn delete_member(&self, image_id: Id, member_id: &MemberId) -> Result<bool, Error> {
        let sql = "DELETE FROM image_members WHERE image_id = $1 AND member_id = $2";
        let deleted = self
            .db
            .execute(|connection| connection.query(sql).bind(image_id).bind(member_id.as_str()))
            .await?;
        Ok(deleted > 0)
    }
}
