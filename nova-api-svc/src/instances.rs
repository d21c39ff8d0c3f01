//! What can be done with instances once they are created.

use common::{id::Id, page::Page};

use crate::{
    error::Error,
    instance::Instance,
    list::{InstanceFilter, InstanceOrder},
    store::Store,
};

/// The instances.
#[derive(Debug, Clone)]
pub struct Instances {
    store: Store,
}

impl Instances {
    /// The instances in `store`.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// The instance with that id.
    pub async fn get(&self, id: Id) -> Result<Instance, Error> {
        self.store.instance(id).await?.ok_or(Error::InstanceNotFound(id))
    }

    /// A page of instances that may be one item too long, to see whether there is a next one.
    pub async fn list(
        &self,
        filter: &InstanceFilter,
        page: &Page<InstanceOrder>,
    ) -> Result<Vec<Instance>, Error> {
        self.store.list_instances(filter, page).await
    }

    /// Deletes an instance with all its metadata.
    pub async fn delete(&self, id: Id) -> Result<(), Error> {
        if self.store.delete_instance(id).await? { Ok(()) } else { Err(Error::InstanceNotFound(id)) }
    }
}
