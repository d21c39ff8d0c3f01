//! What can be done with images: one function for each use, whichever edge it is called from.

use chrono::{DateTime, Utc};
use common::{actor::Actor, id::Id, page::Page, text::clip, violations::Violations};

use crate::{
    error::Error,
    image::{
        Image, Status, etag as etag_of,
        history::{Revision, replay},
        properties::Quota,
        update::{self, Update},
    },
    list::{ImageFilter, ImageOrder, RevisionOrder},
    store::Store,
};

/// The image catalogue.
#[derive(Debug, Clone)]
pub struct Images {
    store: Store,
    quota: Quota,
}

impl Images {
    /// The catalogue in `store`, whose images may have `quota` properties each.
    #[must_use]
    pub const fn new(store: Store, quota: Quota) -> Self {
        Self { store, quota }
    }

    /// Registers an image; `problems` are those found while it was read.
    pub async fn create(&self, image: Image, problems: Violations, actor: &Actor) -> Result<Image, Error> {
        let image = update::register(image, problems, self.quota)?;
        self.store.insert(&image, actor).await?;
        Ok(image)
    }

    /// The image as it is now.
    pub async fn get(&self, id: Id) -> Result<Image, Error> {
        self.store.get(id).await?.ok_or(Error::NotFound(id))
    }

    /// The image as it was at `revision`, also after its deletion.
    pub async fn get_revision(&self, id: Id, revision: i64) -> Result<Image, Error> {
        let revisions = self.store.history(id, revision).await?;
        match revisions.last() {
            None => Err(Error::NotFound(id)),
            Some(last) if last.revision != revision => Err(Error::RevisionNotFound { id, revision }),
            Some(_) => replay(&revisions).ok_or(Error::Corrupt(id)),
        }
    }

    /// A page of images that may be one item too long, to see whether there is a next one.
    pub async fn list(&self, filter: &ImageFilter, page: &Page<ImageOrder>) -> Result<Vec<Image>, Error> {
        self.store.list(filter, page).await
    }

    /// Changes attributes and properties, all or nothing. A non-empty `etag` must be the current one.
    pub async fn update(
        &self,
        id: Id,
        update: &Update,
        etag: &str,
        actor: &Actor,
        now: DateTime<Utc>,
    ) -> Result<Image, Error> {
        let change = |image: &Image| {
            check_etag(image, etag)?;
            update::apply(image, update, self.quota)
        };
        self.store.update(id, actor, now, change).await
    }

    /// Deletes an image. A non-empty `etag` must be the current one.
    pub async fn delete(&self, id: Id, etag: &str, actor: &Actor, now: DateTime<Utc>) -> Result<(), Error> {
        let check = |image: &Image| {
            check_etag(image, etag)?;
            update::check_delete(image)
        };
        self.store.delete(id, actor, now, check).await
    }

    /// A page of the history of an image, as [`Images::list`]; an image that never was has none.
    pub async fn list_revisions(&self, id: Id, page: &Page<RevisionOrder>) -> Result<Vec<Revision>, Error> {
        let revisions = self.store.list_revisions(id, page).await?;
        if revisions.is_empty() { Err(Error::NotFound(id)) } else { Ok(revisions) }
    }
}

/// `image` is locked for a change: its revision is already the next one, its etag that of the one before.
fn check_etag(image: &Image, given: &str) -> Result<(), Error> {
    let current = etag_of(image.id, image.revision - 1);
    if given.is_empty() || given == current {
        return Ok(());
    }
    Err(Error::StaleEtag { id: image.id, given: clip(given, 100), current })
}

/// The status of a new image that names none: data that lives elsewhere has a size.
#[must_use]
pub const fn initial_status(size: Option<i64>) -> Status {
    if size.is_some() { Status::Active } else { Status::Queued }
}
