//! What an instance was made from: a value that all instances made from the same things share.

use common::{
    content::id_of,
    flavor::Flavor,
    id::Id,
    image::Image,
    system_metadata::{SystemMetadata, image_from_system_metadata},
};
use serde::Serialize;

/// What an instance was made from: a pure function of an image's revision, a flavor, and what the request overrides.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Derived from all other fields; see [`Record::with_id`].
    pub id: Id,
    /// The image it was made from.
    pub image_id: Id,
    /// The revision of the image from which the system metadata was made.
    pub image_revision: i64,
    /// The flavor as it was at creation.
    pub flavor: Flavor,
    /// Image id of the kernel, or empty.
    pub kernel_id: String,
    /// Image id of the ramdisk, or empty.
    pub ramdisk_id: String,
    /// What the instance inherits from the image's properties.
    pub inherited: Inherited,
    /// The system metadata: the image's properties, and the flavor.
    pub system_metadata: SystemMetadata,
    /// What the image itself requires; `None` in records from earlier releases.
    pub needs: Option<Needs>,
}

/// What an image itself requires. `image_min_disk` of the system metadata is what a snapshot requires: the larger of this and
/// the flavor's root disk, which says nothing about other flavors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Needs {
    /// Root disk, in GiB.
    pub min_disk: i64,
    /// Size of the data, in bytes, if it is known.
    pub size: Option<i64>,
}

impl From<&Image> for Needs {
    fn from(image: &Image) -> Self {
        Self { min_disk: image.meta.min_disk.unwrap_or(0), size: image.size }
    }
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
    /// Property `root_device_name`, else the device of "root" in property `mappings`.
    pub root_device_name: String,
    /// Whether the root partition is resized to the disk.
    pub auto_disk_config: bool,
}

impl Record {
    /// The record with its id, which is derived from its content (a UUID of version 8, from SHA-256), so that exactly equal
    /// records have equal ids. The flavor is part of the system metadata.
    #[must_use]
    pub fn with_id(self) -> Self {
        let content = (
            (self.image_id, self.image_revision, &self.kernel_id, &self.ramdisk_id),
            (&self.inherited, &self.system_metadata.entries, &self.system_metadata.truncated),
        );
        // What earlier releases did not record is not part of the id if it is missing, so that their records keep their ids.
        let id = match &self.needs {
            None => id_of(&content),
            Some(needs) => id_of(&(content, needs)),
        };
        Self { id, ..self }
    }

    /// What the image requires. If that is not recorded, as much of it as is certain: a `min_disk` above the root disk is the
    /// image's own.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.needs.unwrap_or_else(|| {
            let min_disk = image_from_system_metadata(&self.system_metadata.entries).min_disk;
            let own = min_disk.filter(|min_disk| *min_disk > i64::from(self.flavor.root_gb));
            Needs { min_disk: own.unwrap_or(0), size: None }
        })
    }

    /// Approximate memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.system_metadata.entries.iter().map(|(key, value)| key.len() + value.len()).sum()
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
            needs: None,
        }
        .with_id()
    }

    #[test]
    fn the_id_is_that_of_the_content() {
        let record = record();
        assert_eq!(record.clone().with_id(), record);
        let changes: [fn(&mut Record); 10] = [
            |record| record.image_id = Id::random(),
            |record| record.image_revision = 2,
            |record| record.kernel_id = "a".into(),
            |record| record.ramdisk_id = "a".into(),
            |record| record.inherited.os_type = "linux".into(),
            |record| record.inherited.auto_disk_config = true,
            |record| record.system_metadata.set_default("image_a", "1"),
            |record| record.system_metadata.truncated.extend(["image_a".to_owned()]),
            |record| record.needs = Some(Needs::default()),
            |record| record.needs = Some(Needs { min_disk: 0, size: Some(0) }),
        ];
        let mut ids: std::collections::BTreeSet<_> = [record.id].into();
        for change in changes {
            let mut another = record.clone();
            change(&mut another);
            assert!(ids.insert(another.with_id().id));
        }
    }

    #[test]
    fn what_is_certain_of_an_old_record_is_known() {
        let mut record = record();
        for (entry, root_gb, own) in [("20", 20, 0), ("5", 20, 0), ("20", 0, 20), ("0", 0, 0), ("junk", 0, 0)]
        {
            record.system_metadata.entries.insert("image_min_disk".into(), entry.into());
            record.flavor.root_gb = root_gb;
            assert_eq!(record.needs(), Needs { min_disk: own, size: None }, "{entry} on {root_gb}");
        }
        record.needs = Some(Needs { min_disk: 7, size: Some(8) });
        assert_eq!(record.needs(), Needs { min_disk: 7, size: Some(8) });
    }

    #[test]
    fn the_id_never_changes() {
        // Ids are stored: a record written by an earlier release must be found again.
        assert_eq!(record().id.to_string(), "8c4de0c3-316f-8554-84fd-0caace2f847b");
    }
}
