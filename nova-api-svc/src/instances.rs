//! What can be asked of instances once they are created.

use chassis::{
    caller::Caller,
    deadline::Deadline,
    page::{Page, Read},
};
use common::id::Id;
use peers::glance::{self, Glance};

use crate::{
    error::Error,
    instance::{
        Instance, Scope,
        difference::{Difference, differences},
    },
    list::{HistoryOrder, InstanceFilter, InstanceOrder},
    store::{HistoryEntry, Store},
};

/// The instances.
#[derive(Debug, Clone)]
pub struct Instances {
    store: Store,
    glance: Glance,
}

/// What an instance remembers, beside what its image says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The image.
    pub image_id: Id,
    /// The revision that the instance was made from.
    pub image_revision: i64,
    /// The revision that the image has now, and the differences to it; `None` if it is not there.
    pub current: Option<(i64, Vec<Difference>)>,
    /// The differences to the image as it was; `None` if it cannot be read any more.
    pub at_revision: Option<Vec<Difference>>,
}

impl Instances {
    /// The instances in `store`, made of images in `glance`.
    #[must_use]
    pub const fn new(store: Store, glance: Glance) -> Self {
        Self { store, glance }
    }

    /// The instance with that id.
    pub async fn get(&self, id: Id, caller: &Caller) -> Result<Instance, Error> {
        self.within(id, &Scope::read(caller)?).await
    }

    async fn within(&self, id: Id, scope: &Scope) -> Result<Instance, Error> {
        self.store.instance(id, scope).await?.ok_or(Error::InstanceNotFound(id))
    }

    /// A page of instances within `scope` that may be one item too long, to see whether there is a next one.
    pub async fn list(
        &self,
        filter: &InstanceFilter,
        page: &Page<InstanceOrder>,
        scope: &Scope,
    ) -> Result<Read<Instance>, Error> {
        self.store.list_instances(filter, page, scope).await
    }

    /// A page of the history of an instance, as [`Instances::list`], also after it was deleted.
    pub async fn history(
        &self,
        id: Id,
        page: &Page<HistoryOrder>,
        scope: &Scope,
    ) -> Result<Read<HistoryEntry>, Error> {
        let past = self.store.history(id, page, scope).await?;
        if !past.items.is_empty() || page.after().is_some() {
            return Ok(past);
        }
        match self.store.instance(id, scope).await? {
            Some(instance) if instance.revision == 1 => Ok(vec![HistoryEntry::creation(&instance)].into()),
            // Something was done with it between the two looks, or it is gone.
            _ => {
                let past = self.store.history(id, page, scope).await?;
                if past.items.is_empty() { Err(Error::InstanceNotFound(id)) } else { Ok(past) }
            }
        }
    }

    /// An instance beside its image, as it is and as it was.
    pub async fn compare(
        &self,
        id: Id,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Comparison, Error> {
        let record = self.get(id, caller).await?.record;
        let (image_id, image_revision) = (record.image_id, record.image_revision);
        let (now, then) = tokio::join!(
            self.glance.image(image_id, caller, deadline),
            self.glance.image_at(image_id, image_revision, caller, deadline),
        );
        let (now, then) = (if_found(now)?, if_found(then)?);
        Ok(Comparison {
            image_id,
            image_revision,
            current: now.map(|image| (image.revision, differences(&record, &image))),
            at_revision: then.map(|image| differences(&record, &image)),
        })
    }
}

/// An image, if it is there.
fn if_found<T>(answer: Result<T, glance::Error>) -> Result<Option<T>, glance::Error> {
    match answer {
        Ok(image) => Ok(Some(image)),
        Err(glance::Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
