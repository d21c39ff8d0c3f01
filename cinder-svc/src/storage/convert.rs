//! From qcow2 to raw, by the crate imago, which reads nothing but the file that it is given.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt as _,
    path::Path,
};

use imago::{DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder as _, Mapping, file, qcow2::Qcow2};

use super::{
    CHUNK, Error, STEP, Unusable,
    qcow2::{HEADER, Header},
    writer::Writer,
};

/// A conversion in progress.
pub(super) struct Conversion {
    image: FormatAccess<file::File>,
    /// The same file, for what is in it as it is.
    file: File,
    size: u64,
    writer: Writer,
    buffer: Vec<u8>,
}

impl Conversion {
    /// Begins to convert a file, after all checks.
    pub(super) fn begin(path: &Path, writer: Writer) -> Result<Self, Error> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut head = [0; HEADER];
        let read = file.read_at(&mut head, 0)?;
        let header = Header::parse(&head[..read], size)?;
        header.check_tables(&file, size)?;
        let storage = file::File::try_from(file.try_clone()?)?;
        let image = Qcow2::<file::File>::builder(storage).open(DenyImplicitOpenGate::default());
        let image = FormatAccess::new(image.map_err(damaged)?);
        // A compressed cluster is unpacked as a whole.
        let buffer = vec![0; CHUNK.max(header.cluster_size())];
        Ok(Self { image, file, size, writer, buffer })
    }

    /// Converts at most [`STEP`] bytes of the disk; `false` once nothing is left.
    pub(super) fn step(&mut self) -> Result<bool, Error> {
        let end = self.image.size().min(self.writer.position().saturating_add(STEP));
        while self.writer.position() < end {
            let at = self.writer.position();
            let (mapping, length) = self.image.get_mapping(at, end - at).map_err(damaged)?;
            match mapping {
                _ if length == 0 => return Err(Unusable::Damaged("its disk ends early").into()),
                Mapping::Raw { offset, .. } => self.copy(offset, length)?,
                Mapping::Zero { .. } => self.writer.zeros(length)?,
                _ => self.unpack(length)?,
            }
        }
        Ok(end < self.image.size())
    }

    /// Copies what is in the file as it is.
    fn copy(&mut self, offset: u64, length: u64) -> Result<(), Error> {
        let needed = offset.saturating_add(length);
        if needed > self.size {
            return Err(Unusable::Truncated { needed, size: self.size }.into());
        }
        let mut at = offset;
        while at < needed {
            let length = self.chunk(needed - at);
            let chunk = &mut self.buffer[..length];
            self.file.read_exact_at(chunk, at)?;
            self.writer.write(chunk)?;
            at += chunk.len() as u64;
        }
        Ok(())
    }

    /// Writes what is compressed in the file.
    fn unpack(&mut self, length: u64) -> Result<(), Error> {
        let mut left = length;
        while left > 0 {
            let length = self.chunk(left);
            let chunk = &mut self.buffer[..length];
            self.image.read(&mut *chunk, self.writer.position()).map_err(damaged)?;
            self.writer.write(chunk)?;
            left -= chunk.len() as u64;
        }
        Ok(())
    }

    /// How much of what is left fits into the buffer.
    fn chunk(&self, left: u64) -> usize {
        usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len())
    }

    /// The writer, which has the whole disk.
    pub(super) fn finish(self) -> Writer {
        self.writer
    }
}

/// What an error of the library means: the file is damaged, unless the system says something else.
fn damaged(error: io::Error) -> Error {
    tracing::debug!(error = &error as &dyn std::error::Error, "an image cannot be read");
    match error.kind() {
        ErrorKind::InvalidData | ErrorKind::Other | ErrorKind::UnexpectedEof | ErrorKind::InvalidInput => {
            Unusable::Damaged("its tables or clusters contradict each other").into()
        }
        ErrorKind::Unsupported => Unusable::Feature("a feature of qcow2".to_owned()).into(),
        _ => error.into(),
    }
}
