//! Sharing an image: the owner adds members, and each member accepts or rejects for itself.

use std::sync::Arc;

use chassis::caller::Caller;
use common::{clock, id::Id};

use super::Images;
use crate::{
    error::Error,
    image::{
        Image, Visibility, access,
        cached::CachedImage,
        member::{Member, MemberId, MemberStatus},
    },
};

impl Images {
    /// Shares an image with a project; the new member is PENDING.
    pub async fn add_member(&self, id: Id, member_id: &MemberId, caller: &Caller) -> Result<Member, Error> {
        let image = self.shared(id, caller).await?;
        access::check_change(caller, &image)?;
        let now = clock::now();
        let member = Member {
            image_id: id,
            member_id: member_id.as_str().to_owned(),
            status: MemberStatus::Pending,
            create_time: now,
            update_time: now,
        };
        self.store.insert_member(&member).await?;
        Ok(member)
    }

    /// The members of an image; callers who don't manage the image see only their own membership.
    pub async fn list_members(&self, id: Id, caller: &Caller) -> Result<Vec<Member>, Error> {
        let image = self.shared(id, caller).await?;
        let mut members = self.store.members(id).await?;
        members.retain(|member| sees(caller, &image, &member.member_id));
        Ok(members)
    }

    /// One member of an image.
    pub async fn get_member(&self, id: Id, member_id: &MemberId, caller: &Caller) -> Result<Member, Error> {
        let missing = || Error::MemberNotFound { id, member_id: member_id.as_str().to_owned() };
        let image = self.shared(id, caller).await.map_err(|error| match error {
            Error::NotShared(_) => missing(),
            other => other,
        })?;
        if !sees(caller, &image, member_id.as_str()) {
            return Err(missing());
        }
        self.store.member(id, member_id).await?.ok_or_else(missing)
    }

    /// Sets the status of a member; only the member itself and operators may.
    pub async fn update_member(
        &self,
        id: Id,
        member_id: &MemberId,
        status: MemberStatus,
        caller: &Caller,
    ) -> Result<Member, Error> {
        let missing = || Error::MemberNotFound { id, member_id: member_id.as_str().to_owned() };
        let image = self.shared(id, caller).await?;
        if !sees(caller, &image, member_id.as_str()) {
            return Err(missing());
        }
        // Glance: the owner of an image accepts or rejects for nobody, not even for itself.
        let answers = caller.is_of(member_id.as_str()) && caller.is_member() && !caller.is_of(&image.owner);
        if !(caller.is_admin || answers) {
            let action = format!("answer for {:?}", member_id.as_str());
            return Err(Error::NotPermitted {
                action,
                needs: "the role member in that project, which does not own the image, or the role admin",
            });
        }
        if !self.store.update_member(id, member_id, status, clock::now()).await? {
            return Err(missing());
        }
        self.store.member(id, member_id).await?.ok_or_else(missing)
    }

    /// Stops sharing an image with a project.
    pub async fn remove_member(&self, id: Id, member_id: &MemberId, caller: &Caller) -> Result<(), Error> {
        let image = self.shared(id, caller).await?;
        access::check_change(caller, &image)?;
        let removed = self.store.delete_member(id, member_id).await?;
        removed
            .then_some(())
            .ok_or_else(|| Error::MemberNotFound { id, member_id: member_id.as_str().to_owned() })
    }

    /// An image that the caller sees and that is shared; large properties are missing.
    async fn shared(&self, id: Id, caller: &Caller) -> Result<Arc<CachedImage>, Error> {
        let image = self.attributes(id, caller).await?;
        if image.visibility == Visibility::Shared { Ok(image) } else { Err(Error::NotShared(id)) }
    }
}

/// Whether `caller` sees that the project is a member.
fn sees(caller: &Caller, image: &Image, member_id: &str) -> bool {
    access::manages(caller, image) || caller.is_of(member_id)
}
