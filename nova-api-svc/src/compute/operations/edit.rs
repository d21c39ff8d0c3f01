//! Edits of the image properties in the record of an instance.

use std::collections::{BTreeMap, BTreeSet};

use common::{
    id::Id,
    image::properties::{COUNT_LIMIT, check_growth},
    text,
};

use peers::glance;

use super::{ActionRequest, Plan, Source};
use crate::{
    compute::ComputeApi,
    error::{Error, ImageUse},
    instance::{
        Instance, Record,
        transitions::{boot_of_edit, edit, image_of},
    },
};

/// A kernel or ramdisk that an edit introduces.
struct NewBootImage {
    usage: ImageUse,
    id: Id,
}

/// The edited record; `None` if glance-svc must first be asked for a new kernel or ramdisk.
pub(super) fn plan(
    before: &Instance,
    set: &BTreeMap<String, String>,
    remove: &[String],
    source: Option<&Source>,
) -> Result<Option<Plan>, Error> {
    let (edited, new) = edited(&before.record, set, remove)?;
    let exists =
        |new: &NewBootImage| matches!(source, Some(Source::Boot(existing)) if existing.contains(&new.id));
    Ok(new.iter().all(exists).then(|| Plan::to(edited)))
}

impl ComputeApi {
    /// Asks glance-svc for the kernel and the ramdisk that an edit introduces, which must exist.
    pub(super) async fn boot_images(
        &self,
        request: &ActionRequest<'_>,
        before: &Instance,
        set: &BTreeMap<String, String>,
        remove: &[String],
    ) -> Result<BTreeSet<Id>, Error> {
        let (_, new) = edited(&before.record, set, remove)?;
        for NewBootImage { usage, id } in &new {
            match self.glance.image(*id, request.caller, request.deadline).await {
                Err(glance::Error::NotFound(_)) => {
                    return Err(Error::NoSuchImage { usage: *usage, id: id.to_string() });
                }
                other => drop(other?),
            }
        }
        Ok(new.into_iter().map(|new| new.id).collect())
    }
}

/// The record after an edit, and the kernel and ramdisk that it introduces.
fn edited(
    record: &Record,
    set: &BTreeMap<String, String>,
    remove: &[String],
) -> Result<(Record, Vec<NewBootImage>), Error> {
    let edited = edit(record, set, remove);
    check_limits(record, &edited)?;
    let named = |name: &str| set.contains_key(name) || remove.iter().any(|removed| removed == name);
    let (kernel, ramdisk) = boot_of_edit(record, &edited, named);
    let mut new = Vec::new();
    let mut choose = |usage, chosen: String, before: &str| {
        if chosen.is_empty() || chosen == before {
            return Ok(chosen);
        }
        let missing = |_| Error::NoSuchImage { usage, id: text::clip(&chosen, 100) };
        let id: Id = chosen.parse().map_err(missing)?;
        new.push(NewBootImage { usage, id });
        Ok::<_, Error>(id.to_string())
    };
    let kernel_id = choose(ImageUse::KernelOfEdit, kernel, &record.kernel_id)?;
    let ramdisk_id = choose(ImageUse::RamdiskOfEdit, ramdisk, &record.ramdisk_id)?;
    Ok((Record { kernel_id, ramdisk_id, ..edited }.with_id(), new))
}

/// The limits of an image apply to a record as well. Only growth is refused.
fn check_limits(before: &Record, after: &Record) -> Result<(), Error> {
    let properties = |record| image_of(record).meta.properties;
    Ok(check_growth(&properties(before), &properties(after), Some(COUNT_LIMIT))?)
}
