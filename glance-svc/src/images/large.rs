//! Reading and changing images. For a large image, memory is reserved before it is read, and kept until it has been sent;
//! small ones need no such care.

use std::sync::Arc;

use chassis::{caller::Caller, edge::Room};
use common::id::Id;
use futures_util::future::join_all;

use super::{Images, check_seen};
use crate::{
    error::Error,
    image::{
        Image,
        access::{self, Access},
        cached::CachedImage,
    },
    store::{Edit, Found, LARGEST},
};

/// Maximum size of a small image, in bytes.
const SMALL: usize = 64 * 1024;

/// Memory for reading a large image, in bytes: as the database returns it, as an image and its copy, and as it is sent.
const READ: usize = 6 * LARGEST;

/// Memory for rebuilding a large image, in bytes: the full copy, a difference as the database returns it and decoded, and
/// what [`READ`] counts.
const REPLAY: usize = 20 * LARGEST;

/// Memory for changing a large image, in bytes: before and after, their difference, all of it as rows, and as sent to the
/// database.
const EDIT: usize = 20 * LARGEST;

/// Bytes that an answer takes per byte of the image while it is sent.
const SENT: usize = 3;

impl Images {
    /// The image as it is now.
    pub async fn get(&self, id: Id, caller: &Caller) -> Result<Arc<CachedImage>, Error> {
        let found = self.store.current(id).await?.ok_or(Error::NotFound(id))?;
        let (Found::Whole(image) | Found::Large(image)) = &found;
        if !access::sees(caller, image, true) {
            return Err(Error::NotFound(id));
        }
        match found {
            Found::Whole(image) if access::sees(caller, &image, false) => Ok(image),
            // In a box, so that it does not enlarge the future of every read.
            Found::Whole(_) => Box::pin(self.get_alone(id, caller, None)).await,
            Found::Large(_) => {
                let room = self.memory.room(READ).await;
                Box::pin(self.get_alone(id, caller, Some(room))).await
            }
        }
    }

    /// Each of these images as from [`Images::get`]; `None` if there is none. The caller has reserved memory for all of them,
    /// however large they are.
    pub async fn get_each(
        &self,
        ids: &[Id],
        caller: &Caller,
    ) -> Result<Vec<Option<Arc<CachedImage>>>, Error> {
        let reads = join_all(ids.iter().map(|id| self.get_in_room(*id, caller))).await;
        let seen = reads.into_iter().map(|read| match read {
            Ok(image) => Ok(Some(image)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        });
        seen.collect()
    }

    async fn get_in_room(&self, id: Id, caller: &Caller) -> Result<Arc<CachedImage>, Error> {
        match self.store.current(id).await?.ok_or(Error::NotFound(id))? {
            Found::Whole(image) if access::sees(caller, &image, false) => Ok(image),
            _ => self.get_alone(id, caller, None).await,
        }
    }

    /// Reads an image together with whether it is shared with the caller's project, which is not part of a revision.
    async fn get_alone(
        &self,
        id: Id,
        caller: &Caller,
        room: Option<Room>,
    ) -> Result<Arc<CachedImage>, Error> {
        let seen = self.store.get(id, &caller.actor.project_id).await?.ok_or(Error::NotFound(id))?;
        check_seen(&seen, caller)?;
        Ok(Arc::new(CachedImage::within(seen.image, room)))
    }

    /// The attributes of the image as it is now; its properties may be missing.
    pub async fn attributes(&self, id: Id, caller: &Caller) -> Result<Arc<CachedImage>, Error> {
        let (Found::Whole(image) | Found::Large(image)) =
            self.store.current(id).await?.ok_or(Error::NotFound(id))?;
        if access::sees(caller, &image, false) {
            return Ok(image);
        }
        if !access::sees(caller, &image, true) {
            return Err(Error::NotFound(id));
        }
        let seen = self.store.attributes(id, &caller.actor.project_id).await?.ok_or(Error::NotFound(id))?;
        check_seen(&seen, caller)?;
        Ok(Arc::new(CachedImage::new(seen.image)))
    }

    /// The image as it was at `revision`, even if it has been deleted since, for callers who see it now and saw it then.
    pub async fn get_revision(&self, id: Id, revision: i64, caller: &Caller) -> Result<CachedImage, Error> {
        let past = self.store.past(id, &caller.actor.project_id).await?.ok_or(Error::NotFound(id))?;
        // Callers who do not see it now need not wait for memory.
        if access::past(caller, past.now(), past.now()) == Access::Nothing {
            return Err(Error::NotFound(id));
        }
        // Its size is not known until it has been rebuilt.
        let room = self.memory.room(REPLAY).await;
        let then = self.store.replayed(id, revision).await?.ok_or(Error::NotFound(id))?;
        if access::past(caller, past.now(), past.then(&then)) == Access::Nothing {
            return Err(Error::NotFound(id));
        }
        if then.revision != revision {
            return Err(Error::RevisionNotFound { id, revision });
        }
        room.shrink(SENT * then.bytes());
        Ok(CachedImage::within(then, Some(room)))
    }

    /// Makes an edit. If the image turns out to be large, which is known before it is read, the edit starts over once there is
    /// memory for it.
    pub(super) async fn edit(&self, edit: Edit) -> Result<CachedImage, Error> {
        let edit = Arc::new(edit);
        if let Some(image) = self.store.update(&edit).await? {
            return Ok(self.answer(image).await);
        }
        let room = self.memory.room(EDIT).await;
        let image = self.store.update_large(&edit).await?;
        room.shrink(SENT * image.bytes());
        Ok(CachedImage::within(image, Some(room)))
    }

    /// The answer with an image that was made from a request.
    pub(super) async fn answer(&self, image: Image) -> CachedImage {
        let bytes = image.bytes();
        let room = if bytes > SMALL { Some(self.memory.room(SENT * bytes).await) } else { None };
        CachedImage::within(image, room)
    }
}
