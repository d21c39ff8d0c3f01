//! What an instance was made of: a value, kept once for all instances made of the same.

use common::{flavor::Flavor, id::Id, system_metadata::SystemMetadata};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// What an instance was made of: a pure function of the revision of an image, a flavor, and what the request puts in
/// place of the image's properties.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Made of all the rest, see [`Record::with_id`].
    pub id: Id,
    /// The image it was made from.
    pub image_id: Id,
    /// The revision of the image that its system metadata was stamped from.
    pub image_revision: i64,
    /// The flavor as it was at creation.
    pub flavor: Flavor,
    /// Image id of the kernel, or empty.
    pub kernel_id: String,
    /// Image id of the ramdisk, or empty.
    pub ramdisk_id: String,
    /// What is inherited from properties of the image.
    pub inherited: Inherited,
    /// What it remembers of image and flavor.
    pub system_metadata: SystemMetadata,
}

/// What an instance inherits from properties of its image, verbatim; empty where the image has none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Inherited {
    /// Property `os_type`.
    pub os_type: String,
    /// Property `architecture`.
    pub architecture: String,
    /// Property `vm_mode`.
    pub vm_mode: String,
    /// Property `root_device_name`, else the root of property `mappings`.
    pub root_device_name: String,
    /// Whether the root partition grows to the disk.
    pub auto_disk_config: bool,
}

impl Record {
    /// The record with its id, made of its content (a UUID of version 8, from SHA-256): equal records, and only
    /// they, have equal ids. The flavor stands in the system metadata.
    #[must_use]
    pub fn with_id(self) -> Self {
        let content = (
            (self.image_id, self.image_revision, &self.kernel_id, &self.ramdisk_id),
            (&self.inherited, &self.system_metadata.entries, &self.system_metadata.truncated),
        );
        let json = serde_json::to_vec(&content).expect("a record is plain data");
        let hash = Sha256::digest(json);
        let id = Id::from_hash(hash.first_chunk().expect("SHA-256 has 32 bytes"));
        Self { id, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let flavor = Flavor {
            instance_type_id: 2,
            flavorid: "2".into(),
            name: "m1.small".into(),
            memory_mb: 2048,
            vcpus: 1,
            root_gb: 20,
            ephemeral_gb: 0,
            swap: 0,
            rxtx_factor: 1.0,
            vcpu_weight: None,
        };
        let mut system_metadata = SystemMetadata::default();
        system_metadata.entries.extend(flavor.system_metadata());
        Record {
            id: Id::from(common::id::NIL),
            image_id: Id::from(common::id::NIL),
            image_revision: 1,
            flavor,
            kernel_id: String::new(),
            ramdisk_id: String::new(),
            inherited: Inherited::default(),
            system_metadata,
        }
        .with_id()
    }

    #[test]
    fn the_id_is_that_of_the_content() {
        let record = record();
        assert_eq!(record.clone().with_id(), record);
        let changes: [fn(&mut Record); 8] = [
            |record| record.image_id = Id::random(),
            |record| record.image_revision = 2,
            |record| record.kernel_id = "a".into(),
            |record| record.ramdisk_id = "a".into(),
            |record| record.inherited.os_type = "linux".into(),
            |record| record.inherited.auto_disk_config = true,
            |record| record.system_metadata.set_default("image_a", "1"),
            |record| record.system_metadata.truncated.extend(["image_a".to_owned()]),
        ];
        let mut ids: std::collections::BTreeSet<_> = [record.id].into();
        for change in changes {
            let mut another = record.clone();
            change(&mut another);
            assert!(ids.insert(another.with_id().id));
        }
    }

    #[test]
    fn the_id_never_changes() {
        // Ids are kept: a record written by an earlier release must be found again.
        assert_eq!(record().id.to_string(), "8c4de0c3-316f-8554-84fd-0caace2f847b");
    }
}
