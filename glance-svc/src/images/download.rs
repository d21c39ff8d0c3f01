//! Downloads: reading the data of an image.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use chassis::caller::Caller;
use common::id::Id;
use futures_util::{StreamExt as _, stream::BoxStream};

use super::{Images, sweep::data_store};
use crate::{
    error::Error,
    image::{Image, Status, access, cached::CachedImage},
};

/// A download in progress.
pub struct Download {
    /// The image, without its properties if they are large: it stays in memory as long as the download takes.
    pub image: Arc<CachedImage>,
    /// The range of its bytes.
    pub part: Range<u64>,
    /// The bytes.
    pub bytes: BoxStream<'static, object_store::Result<Bytes>>,
}

impl Images {
    /// The data of an image, or the part that `part` chooses from the image and the size of its data.
    pub async fn download(
        &self,
        id: Id,
        caller: &Caller,
        part: impl FnOnce(&Image, u64) -> Result<Range<u64>, Error>,
    ) -> Result<Download, Error> {
        let image = self.attributes(id, caller).await?;
        if image.status == Status::Deactivated && !caller.is_admin {
            let action = format!("download image {id}, which is DEACTIVATED");
            return Err(Error::NotPermitted { action, needs: access::ADMIN });
        }
        access::check_download(caller, &image)?;
        let size = image.size.and_then(|size| u64::try_from(size).ok());
        let (Some(data), Some(size), true) = (image.data, size, image.status.has_data()) else {
            return Err(Error::NoData { id, status: image.status });
        };
        let part = part(&image, size)?;
        let bytes = if part.is_empty() {
            futures_util::stream::empty().boxed()
        } else {
            match self.data.read(data, part.clone()).await {
                Err(object_store::Error::NotFound { .. }) => {
                    return Err(self.missing(id, data, caller).await);
                }
                read => read.map_err(data_store)?,
            }
        };
        Ok(Download { image, part, bytes })
    }

    /// Why an image's data is missing: the image may have been deleted since it was read.
    async fn missing(&self, id: Id, data: Id, caller: &Caller) -> Error {
        match self.attributes(id, caller).await {
            Ok(now) if now.data == Some(data) => {
                self.check_place().await.err().unwrap_or(Error::DataMissing(id))
            }
            Ok(now) => Error::NoData { id, status: now.status },
            Err(error) => error,
        }
    }
}
