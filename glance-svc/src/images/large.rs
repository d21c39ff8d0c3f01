//! Images as they are read and changed. What is small needs no care; for what is large, room is taken before it is read,
//! and kept until it has been sent.

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

/// Bytes of an image that is not small.
const SMALL: usize = 64 * 1024;

/// Bytes for a large image that is read: as the database gives it, as an image and its copy, and as it is sent.
const READ: usize = 6 * LARGEST;

/// Bytes for a large image as it was: the one that was kept, a difference as the database gives it and as it is, and what
/// [`READ`] counts.
const REPLAY: usize = 20 * LARGEST;

/// Bytes for a change of a large image: as it is and as it will be, their difference, all of it as rows, and as the
/// database takes them.
const EDIT: usize = 20 * LARGEST;

/// Bytes that an answer needs for each of a large image: as it is sent.
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
            // In a box, so that the other reads need not carry its room.
            Found::Whole(_) => Box::pin(self.get_alone(id, caller, None)).await,
            Found::Large(_) => {
                let room = self.memory.room(READ).await;
                Box::pin(self.get_alone(id, caller, Some(room))).await
            }
        }
    }

    /// Each of these images as [`Images::get`] gives it; `None` where it gives none. Whoever asks has room for all of
    /// them, however large they are.
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

    /// With whom an image is shared is no part of a revision: both are read together.
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

    /// The image as it is now, for whoever does not look at its properties: they may be missing.
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

    /// The image as it was at `revision`, also after its deletion: to those who see it now and saw it then.
    pub async fn get_revision(&self, id: Id, revision: i64, caller: &Caller) -> Result<CachedImage, Error> {
        let past = self.store.past(id, &caller.actor.project_id).await?.ok_or(Error::NotFound(id))?;
        // Whoever does not see it now need not wait for room.
        if access::past(caller, past.now(), past.now()) == Access::Nothing {
            return Err(Error::NotFound(id));
        }
        // How large it was is not known before.
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

    /// Makes an edit. That the image is large is seen before it is read, and nothing is done yet; then there is to be room.
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

    /// An image that was made of a request, and is the answer to it.
    pub(super) async fn answer(&self, image: Image) -> CachedImage {
        let bytes = image.bytes();
        let room = if bytes > SMALL { Some(self.memory.room(SENT * bytes).await) } else { None };
        CachedImage::within(image, room)
    }
}
