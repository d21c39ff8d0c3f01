//! What can be done with flavors.

use chassis::{caller::Caller, page::Page};
use chrono::{DateTime, Utc};
use common::flavor::Flavor;

use crate::{
    error::Error,
    instance::access::check_flavor_change,
    list::FlavorOrder,
    store::{Store, StoredFlavor},
};

/// The flavors.
#[derive(Debug, Clone)]
pub struct Flavors {
    store: Store,
}

impl Flavors {
    /// The flavors in `store`.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Adds a flavor; its number is given by the store.
    pub async fn create(
        &self,
        flavor: Flavor,
        now: DateTime<Utc>,
        caller: &Caller,
    ) -> Result<StoredFlavor, Error> {
        check_flavor_change(caller)?;
        self.store.insert_flavor(flavor, now).await
    }

    /// The flavor with that id.
    pub async fn get(&self, id: &str) -> Result<StoredFlavor, Error> {
        self.store.flavor(id).await?.ok_or_else(|| Error::FlavorNotFound(id.to_owned()))
    }

    /// A page of flavors that may be one item too long, to see whether there is a next one.
    pub async fn list(&self, page: &Page<FlavorOrder>) -> Result<Vec<StoredFlavor>, Error> {
        self.store.list_flavors(page).await
    }

    /// Deletes a flavor; instances keep their copy.
    pub async fn delete(&self, id: &str, caller: &Caller) -> Result<(), Error> {
        check_flavor_change(caller)?;
        if self.store.delete_flavor(id).await? { Ok(()) } else { Err(Error::FlavorNotFound(id.to_owned())) }
    }
}
