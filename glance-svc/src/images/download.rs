//! Downloads: how the data of an image are read.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use common::{caller::Caller, id::Id};
use futures_util::{StreamExt as _, stream::BoxStream};

use super::{Images, sweep::data_store};
use crate::{
    error::Error,
    image::{Status, access, snapshot::Snapshot},
};

/// Data on their way out of an image.
pub struct Download {
    /// The image.
    pub image: Arc<Snapshot>,
    /// Which of its bytes.
    pub part: Range<u64>,
    /// The bytes.
    pub bytes: BoxStream<'static, object_store::Result<Bytes>>,
}

impl Images {
    /// The data of an image, or a part of them that `part` chooses by their size.
    pub async fn download(
        &self,
        id: Id,
        caller: &Caller,
        part: impl FnOnce(u64) -> Result<Range<u64>, Error>,
    ) -> Result<Download, Error> {
        let image = self.get(id, caller).await?;
        if image.status == Status::Deactivated && !caller.is_admin {
            let action = format!("download image {id}, which is DEACTIVATED");
            return Err(Error::NotPermitted { action, needs: access::ADMIN });
        }
        access::check_download(caller, &image)?;
        let size = image.size.and_then(|size| u64::try_from(size).ok());
        let (Some(data), Some(size), true) = (image.data, size, image.status.has_data()) else {
            return Err(Error::NoData { id, status: image.status });
        };
        let part = part(size)?;
        let bytes = if part.is_empty() {
            futures_util::stream::empty().boxed()
        } else {
            self.data.read(data, part.clone()).await.map_err(|error| match error {
                object_store::Error::NotFound { .. } => Error::DataMissing(id),
                other => data_store(other),
            })?
        };
        Ok(Download { image, part, bytes })
    }
}
