//! Several images at once.

use std::collections::BTreeSet;

use chassis::{
    caller::Caller,
    page::{MAX_BYTES, MAX_SIZE},
};
use common::{id::Id, violations::Violations};
use proto::glance::{EncodedFoundImages, EncodedImage, v1 as pb};

use super::render;
use crate::{error::Error, image::properties::TOTAL_LIMIT, images::Images};

/// As many images as are read together, each of which may be as large as an image can be: an answer takes no more
/// memory than these, however many are asked for.
const STEP: usize = 8;

/// Bytes for an answer: these images, each as the database gives it, as it is kept and as it is sent, and all that fit.
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
                // The first one always fits: whoever asks again for the rest gets on.
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

/// The ids that are asked for, each once, in their order.
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
