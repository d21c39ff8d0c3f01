//! The data of an image, as it becomes that of a volume.

use std::{fs, path::PathBuf};

use bytes::Bytes;
use common::id::Id;
use futures_util::{Stream, StreamExt as _};

use super::{
    Directory, Error, ImageHash, Unusable,
    convert::Conversion,
    directory::DATA,
    format::{Format, HEAD},
    hash::Hasher,
    on_thread,
    qcow2::{HEADER, Header},
    writer::Writer,
};

/// The name of the file with an image that is still to be converted, beside the data.
const IMAGE: &str = "image";

/// The data of an image, according to the image catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageData {
    /// Its format.
    pub disk_format: String,
    /// The format of the container around it.
    pub container_format: String,
    /// How many bytes there are.
    pub size: u64,
    /// The hash that they have, if it is known.
    pub hash: Option<ImageHash>,
}

impl ImageData {
    /// Refuses a format that cannot become the data of a volume.
    pub fn check_format(&self) -> Result<(), Unusable> {
        Format::stated(&self.disk_format, &self.container_format).map(drop)
    }
}

impl Directory {
    /// Gives new data the disk of an image, and `size` bytes in total: `bytes` are those of the image, which are checked
    /// against its hash. Zeros take no space.
    pub async fn write_image<S, E>(&self, data: Id, size: u64, image: &ImageData, bytes: S) -> Result<(), E>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: From<Error>,
    {
        let format = Format::stated(&image.disk_format, &image.container_format).map_err(Error::from)?;
        let folder = self.folder().of(data);
        let (path, limit) = match format {
            Format::Raw => (folder.join(DATA), size.min(image.size)),
            Format::Qcow2 => (folder.join(IMAGE), image.size),
        };
        let target = path.clone();
        let writer = on_thread(move || Ok(Writer::create(&target, limit)?)).await?;
        let hasher = image.hash.as_ref().and_then(Hasher::new);
        let receiving = Receiving { writer, hasher, format, image: image.clone(), size, is_checked: false };
        let writer = receive(receiving, bytes).await?;
        let writer = match format {
            Format::Raw => writer,
            Format::Qcow2 => self.convert(path, data, size).await?,
        };
        Ok(self.finish(writer, data, size).await?)
    }

    /// Converts an image, and removes it.
    async fn convert(&self, image: PathBuf, data: Id, size: u64) -> Result<Writer, Error> {
        let (from, to) = (image.clone(), self.path(data));
        let mut conversion = on_thread(move || Conversion::begin(&from, Writer::create(&to, size)?)).await?;
        loop {
            let (next, goes_on) =
                on_thread(move || conversion.step().map(|goes_on| (conversion, goes_on))).await?;
            conversion = next;
            if !goes_on {
                break;
            }
        }
        on_thread(move || Ok(fs::remove_file(image)?)).await?;
        Ok(conversion.finish())
    }
}

/// An image that is arriving.
struct Receiving {
    writer: Writer,
    hasher: Option<Hasher>,
    format: Format,
    image: ImageData,
    /// How many bytes the volume has.
    size: u64,
    /// Whether its first bytes have been checked.
    is_checked: bool,
}

/// Writes what arrives; while one part is written, the next one arrives.
async fn receive<S, E>(mut receiving: Receiving, mut bytes: S) -> Result<Writer, E>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: From<Error>,
{
    let mut arrived = bytes.next().await.transpose()?;
    while let Some(part) = arrived {
        let writing = on_thread(move || receiving.take(&part).map(|()| receiving));
        let next = async { Ok(bytes.next().await) };
        let (written, next) = tokio::try_join!(writing, next)?;
        (receiving, arrived) = (written, next.transpose()?);
    }
    Ok(on_thread(move || receiving.finish()).await?)
}

impl Receiving {
    fn take(&mut self, part: &[u8]) -> Result<(), Error> {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(part);
        }
        self.writer.write(part)?;
        if !self.is_checked && self.writer.position() >= HEAD as u64 {
            self.check_head()?;
        }
        Ok(())
    }

    /// Refuses the data by its first bytes, before the rest arrives.
    fn check_head(&mut self) -> Result<(), Error> {
        self.is_checked = true;
        let head = self.writer.head(HEAD)?;
        self.format.check(&head)?;
        if self.format == Format::Qcow2 {
            let header = Header::parse(&head[..head.len().min(HEADER)], self.image.size)?;
            if header.virtual_size > self.size {
                return Err(Unusable::TooLarge { needed: header.virtual_size, size: self.size }.into());
            }
        }
        Ok(())
    }

    /// Checks what has arrived.
    fn finish(mut self) -> Result<Writer, Error> {
        let (needed, size) = (self.image.size, self.writer.position());
        if size < needed {
            return Err(Unusable::Truncated { needed, size }.into());
        }
        if let Some(hasher) = self.hasher.take() {
            hasher.check()?;
        }
        if !self.is_checked {
            self.check_head()?;
        }
        Ok(self.writer)
    }
}

#[cfg(test)]
mod tests;
