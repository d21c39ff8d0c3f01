//! Copies of files: shared blocks where the file system can (XFS, Btrfs), otherwise data without the holes.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    ops::Range,
};

use rustix::{
    fs::{SeekFrom as Extent, ioctl_ficlone, seek},
    io::Errno,
};

/// A copy in progress of the first bytes of a file into an empty one.
#[derive(Debug)]
pub(super) struct Copy {
    from: File,
    to: File,
    /// What is still to be copied.
    rest: Range<u64>,
}

impl Copy {
    /// Begins to copy the first `size` bytes.
    pub(super) const fn new(from: File, to: File, size: u64) -> Self {
        Self { from, to, rest: 0..size }
    }

    /// Lets the new file share the blocks of the old one; `false` if the file system cannot.
    pub(super) fn share(&mut self) -> io::Result<bool> {
        match ioctl_ficlone(&self.to, &self.from) {
            Ok(()) => {
                self.rest.start = self.rest.end;
                Ok(true)
            }
            Err(
                Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOTTY | Errno::NOSYS | Errno::PERM,
            ) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Copies at most `limit` bytes of data; `false` once nothing is left.
    pub(super) fn step(&mut self, limit: u64) -> io::Result<bool> {
        let Some(data) = next_data(&self.from, &self.rest)? else { return Ok(false) };
        let length = limit.min(data.end - data.start);
        (&self.from).seek(SeekFrom::Start(data.start))?;
        (&self.to).seek(SeekFrom::Start(data.start))?;
        // In the kernel, where it can.
        let copied = io::copy(&mut (&self.from).take(length), &mut &self.to)?;
        if copied < length {
            // The file has become shorter.
            return Ok(false);
        }
        self.rest.start = data.start + length;
        Ok(true)
    }

    /// Gives the new file `size` bytes, and makes it durable.
    pub(super) fn finish(self, size: u64) -> io::Result<()> {
        self.to.set_len(size)?;
        self.to.sync_all()
    }
}

/// The first data in a part of a file; `None` if there are only holes.
pub(super) fn next_data(file: &File, part: &Range<u64>) -> io::Result<Option<Range<u64>>> {
    if part.is_empty() {
        return Ok(None);
    }
    let start = match seek(file, Extent::Data(part.start)) {
        Ok(start) if start < part.end => start,
        Ok(_) | Err(Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let end = seek(file, Extent::Hole(start))?;
    Ok(Some(start..end.min(part.end)))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{FileExt as _, MetadataExt as _},
    };

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn holes_stay_holes() {
        let folder = tempfile::tempdir().unwrap();
        let create = |name: &str| {
            File::options().read(true).write(true).create_new(true).open(folder.path().join(name)).unwrap()
        };
        let from = create("from");
        from.set_len(100 * MIB).unwrap();
        from.write_all_at(&vec![1; 100_000], 3 * MIB + 7).unwrap();
        from.write_all_at(&[2; 10], 100 * MIB - 10).unwrap();
        let mut copy = Copy::new(from, create("to"), 100 * MIB - 5);
        let mut steps = 0;
        while copy.step(64 * 1024).unwrap() {
            steps += 1;
        }
        assert!(steps >= 3, "{steps}");
        copy.finish(200 * MIB).unwrap();
        let mut expected = fs::read(folder.path().join("from")).unwrap();
        expected.truncate(usize::try_from(100 * MIB - 5).unwrap());
        expected.resize(usize::try_from(200 * MIB).unwrap(), 0);
        assert!(fs::read(folder.path().join("to")).unwrap() == expected);
        let taken = fs::metadata(folder.path().join("to")).unwrap().blocks() * 512;
        assert!(taken < MIB, "{taken}");
    }

    #[test]
    fn a_copy_shares_blocks_or_says_that_it_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, "data").unwrap();
        let mut copy = Copy::new(File::open(&from).unwrap(), File::create(&to).unwrap(), 4);
        let is_shared = copy.share().unwrap();
        while copy.step(1).unwrap() {
            assert!(!is_shared);
        }
        copy.finish(4).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "data");
    }
}
