//! A file that is written from its beginning, in which zeros take no space.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _, path::Path};

use super::Error;

/// The blocks that are left out if they contain only zeros: what file systems allocate at least.
const BLOCK: usize = 4096;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// A new file that is written from its beginning.
#[derive(Debug)]
pub(super) struct Writer {
    file: File,
    position: u64,
    limit: u64,
}

impl Writer {
    /// Creates the file, which gets at most `limit` bytes.
    pub(super) fn create(path: &Path, limit: u64) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        Ok(Self { file, position: 0, limit })
    }

    /// The first bytes of what has been written, at most `length`.
    pub(super) fn head(&self, length: usize) -> io::Result<Vec<u8>> {
        let written = usize::try_from(self.position).unwrap_or(usize::MAX);
        let mut head = vec![0; length.min(written)];
        // What is behind the end of the file is zeros that were left out.
        let mut read = 0;
        while read < head.len() {
            match self.file.read_at(&mut head[read..], read as u64)? {
                0 => break,
                some => read += some,
            }
        }
        Ok(head)
    }

    /// How many bytes have been written.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// Writes zeros.
    pub(super) fn zeros(&mut self, count: u64) -> Result<(), Error> {
        let end = self.position.checked_add(count).filter(|end| *end <= self.limit);
        self.position = end.ok_or(Error::TooLong(self.limit))?;
        Ok(())
    }

    /// Writes bytes, except for blocks of zeros.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let start = self.position;
        self.zeros(bytes.len() as u64)?;
        for run in runs_of_data(start, bytes) {
            self.file.write_all_at(&bytes[run.clone()], start + run.start as u64)?;
        }
        Ok(())
    }

    /// Gives the file `size` bytes, too, but does not make it durable.
    pub(super) fn close(self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    /// Gives the file `size` bytes, of which those that were not written are zeros, and makes it durable.
    pub(super) fn finish(self, size: u64) -> io::Result<()> {
        self.file.set_len(size)?;
        self.file.sync_all()
    }
}

/// The parts of `bytes`, which begin at `position` of a file, without the blocks that contain only zeros.
fn runs_of_data(position: u64, bytes: &[u8]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let to_boundary =
            BLOCK - usize::try_from((position + start as u64) % BLOCK as u64).unwrap_or_default();
        let end = bytes.len().min(start + to_boundary);
        if bytes[start..end] != ZEROS[..end - start] {
            match runs.last_mut().filter(|run| run.end == start) {
                Some(run) => run.end = end,
                None => runs.push(start..end),
            }
        }
        start = end;
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt as _};

    use super::*;

    #[test]
    fn blocks_of_zeros_are_left_out() {
        let mut bytes = vec![0; 5 * BLOCK];
        bytes[BLOCK] = 1;
        bytes[2 * BLOCK] = 1;
        bytes[5 * BLOCK - 1] = 1;
        let runs = |position| runs_of_data(position, &bytes);
        assert_eq!(runs(0), [BLOCK..3 * BLOCK, 4 * BLOCK..5 * BLOCK]);
        assert_eq!(runs(1), [BLOCK - 1..3 * BLOCK - 1, 5 * BLOCK - 1..5 * BLOCK]);
        assert!(runs_of_data(0, &[0; 10]).is_empty());
        assert!(runs_of_data(0, &[]).is_empty());
    }

    #[test]
    fn zeros_take_no_space() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let mut writer = Writer::create(&path, 1 << 30).unwrap();
        writer.write(&[7; 3]).unwrap();
        writer.zeros(1 << 29).unwrap();
        writer.write(&[0; BLOCK]).unwrap();
        writer.write(&[8; 3]).unwrap();
        assert!(matches!(writer.zeros(1 << 29), Err(Error::TooLong(_))));
        assert!(matches!(writer.zeros(u64::MAX), Err(Error::TooLong(_))));
        writer.finish(1 << 30).unwrap();
        let (file, metadata) = (File::open(&path).unwrap(), fs::metadata(&path).unwrap());
        assert_eq!(metadata.len(), 1 << 30);
        assert!(metadata.blocks() * 512 <= 16 * BLOCK as u64, "{}", metadata.blocks());
        let mut read = [0; 4];
        file.read_exact_at(&mut read, 3 + (1 << 29) + BLOCK as u64).unwrap();
        assert_eq!(read, [8, 8, 8, 0]);
        assert!(Writer::create(&path, 1).is_err());
    }
}
