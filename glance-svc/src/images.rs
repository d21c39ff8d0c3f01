//! The use cases: one function each, whichever edge calls it.

use crate::{
    data::DataStore,
    error::Error,
    image::{
        Image, Status,
        access::{self, Access, PolicyTarget},
        cached::CachedImage,
        etag as etag_of,
        history::Revision,
        listed::ListedImage,
        properties::Quota,
        update,
    },
    list::{ImageFilter, ImageOrder, RevisionOrder, Scope},
    store::{DataStep, Edit, Store, VisibleImage},
};
use chassis::{
    caller::Caller,
    data::{Leases, Place},
    edge::Memory,
    page::{Page, Read},
};
use common::{clock, id::Id, text::clip, violations::Violations};

mod download;
mod large;
mod members;
mod sweep;
mod upload;

pub use download::Download;
pub use upload::{Processors, Upload};

/// The image catalogue.
#[derive(Debug, Clone)]
pub struct Images {
    store: Store,
    data: DataStore,
    limits: ImageLimits,
    leases: Leases,
    processors: Processors,
    memory: Memory,
    place: Place,
}

/// How large an image may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLimits {
    /// Maximum number of properties.
    pub properties: Quota,
    /// Maximum size of the data, in bytes (Glance, `image_size_cap`).
    pub size: u64,
}

/// The etags of which an image must have one in order to be changed; empty if any will do.
pub type Etags = Vec<String>;

impl Images {
    /// A catalogue of images in `store` with their data in `data`.
    #[must_use]
    pub fn new(store: Store, data: DataStore, limits: ImageLimits) -> Self {
        let (leases, processors) = (Leases::default(), Processors::default());
        let memory = Memory::default();
        let place = Place::new(store.db().clone(), "image_data", data.folder().cloned());
        Self { store, data, limits, leases, processors, memory, place }
    }

    /// The same, with other leases for uploads.
    #[must_use]
    pub fn with_leases(self, leases: Leases) -> Self {
        Self { leases, ..self }
    }

    /// The same, with this memory for large images.
    #[must_use]
    pub fn with_memory(self, memory: Memory) -> Self {
        Self { memory, ..self }
    }

    /// Checks that the data is where it should be. If it is not, no data is read, written, removed or forgotten; everything
    /// that needs no data keeps working.
    async fn check_place(&self) -> Result<(), Error> {
        Ok(self.place.check().await?)
    }

    /// The memory that large images share.
    #[must_use]
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Registers an image; `problems` are those that parsing the request has found.
    pub async fn create(
        &self,
        image: Image,
        problems: Violations,
        caller: &Caller,
    ) -> Result<CachedImage, Error> {
        let image = update::register(image, problems, self.limits.properties)?;
        access::check_next(caller, None, &image)?;
        self.store.insert(&image, &caller.actor).await?;
        Ok(self.answer(image).await)
    }

    /// A page of images, for callers who may read. It may have one item too many, which tells that there is a next page, or
    /// end early.
    pub async fn list(
        &self,
        filter: &ImageFilter,
        page: &Page<ImageOrder>,
        caller: &Caller,
    ) -> Result<Read<ListedImage>, Error> {
        access::check_list(caller)?;
        if page.size == 0 {
            return Ok(Read::from(Vec::new()));
        }
        self.store.list(filter, &Scope::of(caller), page).await
    }

    /// Changes an image as `change` does, all or nothing.
    pub async fn update(
        &self,
        id: Id,
        etags: Etags,
        caller: &Caller,
        change: impl Fn(&mut Image) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Result<CachedImage, Error> {
        self.update_with(id, DataStep::None, etags, caller, change).await
    }

    /// Like [`Images::update`], together with a step of its data.
    async fn update_with(
        &self,
        id: Id,
        step: DataStep,
        etags: Etags,
        caller: &Caller,
        change: impl Fn(&mut Image) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Result<CachedImage, Error> {
        let (actor, caller, quota) = (caller.actor.clone(), caller.clone(), self.limits.properties);
        let change = move |seen: &VisibleImage| {
            check_seen(seen, &caller)?;
            access::check_change(&caller, &seen.image)?;
            check_etag(&seen.image, &etags)?;
            let mut next = seen.image.clone();
            change(&mut next)?;
            let next = update::validate(&seen.image, next, quota)?;
            access::check_next(&caller, Some(&seen.image), &next)?;
            Ok(next)
        };
        self.edit(Edit { id, actor, now: clock::now(), step, change: Box::new(change) }).await
    }

    /// Deactivates an ACTIVE image; a DEACTIVATED one stays as it is.
    pub async fn deactivate(&self, id: Id, etags: Etags, caller: &Caller) -> Result<CachedImage, Error> {
        self.switch(id, Status::Active, Status::Deactivated, etags, caller).await
    }

    /// Reactivates a DEACTIVATED image; an ACTIVE one stays as it is.
    pub async fn reactivate(&self, id: Id, etags: Etags, caller: &Caller) -> Result<CachedImage, Error> {
        self.switch(id, Status::Deactivated, Status::Active, etags, caller).await
    }

    async fn switch(
        &self,
        id: Id,
        from: Status,
        to: Status,
        etags: Etags,
        caller: &Caller,
    ) -> Result<CachedImage, Error> {
        let change = move |image: &mut Image| {
            if image.status != from && image.status != to {
                return Err(Error::StatusMove { id, from: image.status, to });
            }
            image.status = to;
            Ok(())
        };
        self.update(id, etags, caller, change).await
    }

    /// Adds a tag; `if_present` decides whether one that exists is an error.
    pub async fn add_tag(
        &self,
        id: Id,
        tag: &str,
        etags: Etags,
        caller: &Caller,
        if_present: fn() -> Result<(), Error>,
    ) -> Result<CachedImage, Error> {
        let tag = tag.to_owned();
        let change =
            move |image: &mut Image| if image.tags.insert(tag.clone()) { Ok(()) } else { if_present() };
        self.update(id, etags, caller, change).await
    }

    /// Removes a tag, which must exist.
    pub async fn remove_tag(
        &self,
        id: Id,
        tag: &str,
        etags: Etags,
        caller: &Caller,
    ) -> Result<CachedImage, Error> {
        let tag = tag.to_owned();
        let change = move |image: &mut Image| {
            let removed = image.tags.remove(&tag);
            removed.then_some(()).ok_or_else(|| Error::TagNotFound { id, tag: tag.clone() })
        };
        self.update(id, etags, caller, change).await
    }

    /// Deletes an image and its data.
    pub async fn delete(&self, id: Id, etags: &[String], caller: &Caller) -> Result<(), Error> {
        let is_away = self.check_place().await.is_err();
        let check = |seen: &VisibleImage| {
            check_seen(seen, caller)?;
            access::check_change(caller, &seen.image)?;
            check_etag(&seen.image, etags)?;
            update::check_delete(&seen.image)?;
            // Data that cannot be removed now would come back with the folder.
            if is_away && seen.image.data.is_some() {
                Err(Error::DataAway { expected: None })
            } else {
                Ok(())
            }
        };
        self.store.delete(id, &caller.actor, clock::now(), check).await?;
        self.remove_data_of(id).await;
        Ok(())
    }

    /// A page of the history of an image, like [`Images::list`], for callers who manage it: the revisions made while they did;
    /// of the first of those, not the values before. An image that never existed has no history.
    pub async fn list_revisions(
        &self,
        id: Id,
        page: &Page<RevisionOrder>,
        caller: &Caller,
    ) -> Result<Read<Revision>, Error> {
        let project = &caller.actor.project_id;
        let past = self.store.past(id, project).await?.ok_or(Error::NotFound(id))?;
        access::check_history(caller, id, past.now())?;
        let owner = (!caller.is_admin).then_some(project.as_str());
        let entries = self.store.list_revisions(id, page, owner).await?;
        if entries.items.is_empty() {
            return Err(Error::NotFound(id));
        }
        entries.try_map(|entry| {
            let before = access::past(caller, past.now(), PolicyTarget::owned_by(&entry.owner_before));
            let revision = entry.revision;
            Ok(if before == Access::Manages { revision } else { revision.without_before() })
        })
    }
}

fn check_seen(seen: &VisibleImage, caller: &Caller) -> Result<(), Error> {
    let is_seen = access::sees(caller, &seen.image, seen.is_member);
    is_seen.then_some(()).ok_or(Error::NotFound(seen.image.id))
}

/// `image` is locked for a change: its revision is already the next one, the caller's etag is of the one before.
fn check_etag(image: &Image, etags: &[String]) -> Result<(), Error> {
    let current = etag_of(image.id, image.revision - 1);
    if etags.is_empty() || etags.contains(&current) {
        return Ok(());
    }
    Err(Error::StaleEtag { id: image.id, given: clip(&etags.join(", "), 100), current })
}

/// The status of a new image whose request names none: if it has a size, its data is stored elsewhere.
#[must_use]
pub const fn initial_status(size: Option<i64>) -> Status {
    if size.is_some() { Status::Active } else { Status::Queued }
}
