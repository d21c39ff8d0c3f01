//! Flavors: everybody reads them, admins add and delete them.

use std::ops::RangeInclusive;

use chassis::{caller::Caller, page::Page};
use common::{clock, flavor::Flavor, id::Id, text, violations::Violations};

use super::ComputeApi;
use crate::{error::Error, instance::access::check_flavor_change, list::FlavorOrder, store::StoredFlavor};

/// Factors that every language prints in the same way, without an exponent.
const RXTX_FACTORS: RangeInclusive<f64> = 0.0001..=1_000_000.0;

/// A flavor to be added, as it was requested.
#[derive(Debug, Clone, Default)]
pub struct NewFlavor {
    /// Its id; a random one if `None`.
    pub id: Option<String>,
    /// Its name, 1 to 255 characters.
    pub name: String,
    /// Memory, MiB.
    pub memory_mb: i32,
    /// Virtual CPUs.
    pub vcpus: i32,
    /// Root disk, GiB.
    pub root_gb: i32,
    /// Ephemeral disk, GiB.
    pub ephemeral_gb: i32,
    /// Swap, MiB.
    pub swap: i32,
    /// Factor of the network's bandwidth; 1 if `None`.
    pub rxtx_factor: Option<f64>,
    /// Weight of its CPUs, if it has any.
    pub vcpu_weight: Option<i32>,
}

impl NewFlavor {
    /// The flavor, which the store will number, or everything that is wrong with it.
    pub fn check(self) -> Result<Flavor, Violations> {
        let mut violations = Violations::default();
        let flavorid = self.id.unwrap_or_else(|| Id::random().to_string());
        violations.take("id", text::name(&flavorid));
        violations.take("name", text::name(&self.name));
        let numbers = [
            ("memory_mb", self.memory_mb, 1),
            ("vcpus", self.vcpus, 1),
            ("root_gb", self.root_gb, 0),
            ("ephemeral_gb", self.ephemeral_gb, 0),
            ("swap", self.swap, 0),
            ("vcpu_weight", self.vcpu_weight.unwrap_or(0), 0),
        ];
        for (field, value, least) in numbers {
            if value < least {
                violations.add(field, format!("{value} is out of range: {least} to {}", i32::MAX));
            }
        }
        let rxtx_factor = self.rxtx_factor.unwrap_or(1.0);
        if !RXTX_FACTORS.contains(&rxtx_factor) {
            let (least, most) = RXTX_FACTORS.into_inner();
            violations.add("rxtx_factor", format!("{rxtx_factor} is out of range: {least} to {most}"));
        }
        violations.check()?;
        Ok(Flavor {
            instance_type_id: 0,
            flavorid,
            name: self.name,
            memory_mb: self.memory_mb,
            vcpus: self.vcpus,
            root_gb: self.root_gb,
            ephemeral_gb: self.ephemeral_gb,
            swap: self.swap,
            rxtx_factor,
            vcpu_weight: self.vcpu_weight,
        })
    }
}

impl ComputeApi {
    /// Adds a flavor.
    pub async fn create_flavor(&self, flavor: Flavor, caller: &Caller) -> Result<StoredFlavor, Error> {
        check_flavor_change(caller)?;
        self.store.insert_flavor(flavor, clock::now()).await
    }

    /// The flavor with that id.
    pub async fn get_flavor(&self, id: &str) -> Result<StoredFlavor, Error> {
        check_id(id)?;
        self.store.flavor(id).await?.ok_or_else(|| Error::FlavorNotFound(id.to_owned()))
    }

    /// A page of flavors. It may be one item too long, which shows that there is a next page.
    pub async fn list_flavors(&self, page: &Page<FlavorOrder>) -> Result<Vec<StoredFlavor>, Error> {
        self.store.list_flavors(page).await
    }

    /// Deletes a flavor; instances keep their copies of it.
    pub async fn delete_flavor(&self, id: &str, caller: &Caller) -> Result<(), Error> {
        check_id(id)?;
        check_flavor_change(caller)?;
        if self.store.delete_flavor(id).await? { Ok(()) } else { Err(Error::FlavorNotFound(id.to_owned())) }
    }
}

fn check_id(id: &str) -> Result<(), Violations> {
    text::name(id).map_err(|problem| Violations::one("id", problem))
}
