//! `GetImages`: several images at once.

use std::collections::BTreeSet;

use chassis::{
    caller::Caller,
    page::{MAX_BYTES, MAX_SIZE},
};
use common::{id::Id, violations::Violations};
use proto::glance::{EncodedFoundImages, EncodedImage, v1 as pb};

use super::render;
use crate::{error::Error, image::properties::TOTAL_LIMIT, images::Images};

/// How many images are read together, each of which may be as large as an image can be; this bounds the memory of a
/// response, however many images are requested.
const STEP: usize = 8;

/// Memory for a response, in bytes: these images, each as the database returns it, as an image and as a message, and all
/// messages that fit.
pub(super) const ROOM: usize = 3 * STEP * TOTAL_LIMIT + 2 * MAX_BYTES;

pub(super) async fn get_images(
    images: &Images,
    caller: &Caller,
    request: pb::GetImagesRequest,
) -> Result<EncodedFoundImages, Error> {
    let ids = ids(&request)?;
    let (mut found, mut bytes, mut looked_at) = (Vec::new(), 0, 0);
    'answer: for step in ids.chunks(STEP) {
        for image in images.get_each(step, caller).await? {
            if let Some(image) = image {
                let message = EncodedImage::from(&*image).bytes().clone();
                // The first one always fits, so that a caller that requests the rest makes progress.
                if bytes + message.len() > MAX_BYTES && !found.is_empty() {
                    break 'answer;
                }
                bytes += message.len();
                found.push(message);
            }
            looked_at += 1;
        }
    }
    let remaining_ids = ids[looked_at..].iter().map(Id::to_string).collect();
    Ok(render::found_images(&found, remaining_ids))
}

/// The requested ids in order, without duplicates.
fn ids(request: &pb::GetImagesRequest) -> Result<Vec<Id>, Violations> {
    let (mut violations, mut seen) = (Violations::default(), BTreeSet::new());
    if request.ids.is_empty() || request.ids.len() > MAX_SIZE {
        let count = request.ids.len();
        return Err(Violations::one("ids", format!("are {count}: 1 to {MAX_SIZE} are allowed")));
    }
    let ids = request.ids.iter().enumerate();
    let ids = ids.filter_map(|(index, id)| violations.take(&format!("ids[{index}]"), id.parse::<Id>()));
    let ids = ids.filter(|id| seen.insert(*id)).collect();
    violations.check()?;
    Ok(ids)
}
