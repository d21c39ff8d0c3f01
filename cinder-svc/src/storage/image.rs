//! The data of an image, as it becomes that of a volume.

use std::{
    fs::{self, File},
    path::PathBuf,
};

use bytes::Bytes;
use common::{id::Id, image::Image};
use futures_util::{Stream, StreamExt as _};

use super::{
    Directory, Error, Unusable,
    convert::Conversion,
    directory::DATA,
    foreign::Foreign,
    format::{Format, HEAD},
    hash::Hasher,
    on_thread,
    qcow2::{HEADER, Header},
    writer::Writer,
};

/// The name of the file with an image that is still to be converted, beside the data.
const IMAGE: &str = "image";

/// How many bytes of data an image has.
fn size_of(image: &Image) -> u64 {
    image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default()
}

impl Directory {
    /// Refuses an image in a format that cannot become the data of a volume.
    pub fn check_format(&self, image: &Image) -> Result<(), Unusable> {
        self.format_of(image).map(drop)
    }

    fn format_of(&self, image: &Image) -> Result<Format, Unusable> {
        Format::of(image, self.qemu_img.is_some())
    }

    /// Gives new data the disk of an image, and `size` bytes in total: `bytes` are those of the image, which are checked
    /// against its hash. Zeros take no space.
    pub async fn write_image<S, E>(&self, data: Id, size: u64, image: &Image, bytes: S) -> Result<(), E>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: From<Error>,
    {
        let (format, bytes_needed) = (self.format_of(image).map_err(Error::from)?, size_of(image));
        let folder = self.folder().of(data);
        let (path, limit) = match format {
            Format::Raw => (folder.join(DATA), size.min(bytes_needed)),
            Format::Qcow2 | Format::Foreign(_) => (folder.join(IMAGE), bytes_needed),
        };
        if format != Format::Raw && bytes_needed > self.space_left().await? {
            // It is kept until it has been converted, and has no holes.
            return Err(Error::Full.into());
        }
        let target = path.clone();
        let writer = on_thread(move || Ok(Writer::create(&target, limit)?)).await?;
        let hasher = Hasher::of(image);
        let receiving = Receiving { writer, hasher, format, needed: bytes_needed, size, is_checked: false };
        let writer = receive(receiving, bytes).await?;
        if format == Format::Raw {
            return Ok(self.finish(writer, data, size).await?);
        }
        // Zeros at its end were left out.
        on_thread(move || Ok(writer.close(bytes_needed)?)).await?;
        match format {
            Format::Foreign(foreign) => Ok(self.convert_foreign(foreign, path, data, size).await?),
            _ => Ok(self.finish(self.convert(path, data, size).await?, data, size).await?),
        }
    }

    /// Lets qemu-img convert an image, and removes it.
    async fn convert_foreign(
        &self,
        format: Foreign,
        image: PathBuf,
        data: Id,
        size: u64,
    ) -> Result<(), Error> {
        let Some(qemu_img) = &self.qemu_img else {
            return Err(Unusable::Feature(format!("the format {}", format.name())).into());
        };
        let (from, to) = (image.clone(), self.path(data));
        on_thread(move || format.check(&File::open(from)?)).await?;
        qemu_img.convert(format, &image, &to, size).await?;
        on_thread(move || {
            fs::remove_file(image)?;
            let disk = File::options().write(true).open(to)?;
            disk.set_len(size)?;
            Ok(disk.sync_all()?)
        })
        .await?;
        self.sync(data).await
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
    /// How many bytes are to arrive.
    needed: u64,
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
            let header = Header::parse(&head[..head.len().min(HEADER)], self.needed)?;
            if header.virtual_size > self.size {
                return Err(Unusable::TooLarge { needed: header.virtual_size, size: self.size }.into());
            }
        }
        Ok(())
    }

    /// Checks what has arrived.
    fn finish(mut self) -> Result<Writer, Error> {
        let (needed, size) = (self.needed, self.writer.position());
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
pub(super) mod tests;
