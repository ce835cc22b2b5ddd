//! A file on its way: a file of this process alone, and the digest of what it holds so far.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::disk::{create_unique, discard, make_folder};
use crate::hashing::Hashing;
use crate::{Digest, Error};

/// The end of the names of files on their way, as Python's huggingface_hub has it.
pub(crate) const INCOMPLETE: &str = ".incomplete";

/// Bytes that are there so far.
pub(crate) struct Partial {
    path: PathBuf,
    file: File,
    digest: Digest,
    hashing: Hashing,
    size: u64,
    length: u64,
    /// Kept for the next try when dropped.
    keep: bool,
}

impl Partial {
    /// Begins a file of so many bytes. What a process that is gone had of it is copied: nobody else writes to this file, whatever
    /// a lock may say.
    pub(crate) fn begin(blobs: &Path, digest: &Digest, size: u64) -> Result<Self, Error> {
        make_folder(blobs)?;
        let (path, file) = create_unique(blobs, digest.as_str(), INCOMPLETE)?;
        let hashing = Hashing::begin(digest, size, &file);
        let mut partial = Self { path, file, digest: digest.clone(), hashing, size, length: 0, keep: true };
        if let Some(longest) =
            left_over(blobs, digest, &partial.path).into_iter().max_by_key(|(_, length)| *length)
        {
            partial.adopt(&longest.0)?;
        }
        Ok(partial)
    }

    fn adopt(&mut self, path: &Path) -> Result<(), Error> {
        let Ok(mut from) = File::open(path) else { return Ok(()) };
        loop {
            let mut buffer = self.buffer();
            // What cannot be read is fetched.
            let Ok(count @ 1..) = from.read(&mut buffer) else { return Ok(()) };
            if self.length + count as u64 > self.size {
                return self.restart();
            }
            self.push(buffer, count)?;
        }
    }

    /// Room for the next bytes.
    pub(crate) fn buffer(&mut self) -> Vec<u8> {
        self.hashing.buffer()
    }

    /// Bytes that are there.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The next bytes: the first ones of a buffer.
    ///
    /// # Errors
    /// The disk's; the file is not kept then, as it may have filled the disk.
    pub(crate) fn push(&mut self, buffer: Vec<u8>, count: usize) -> Result<(), Error> {
        if let Err(error) = self.file.write_all(&buffer[..count]) {
            self.keep = false;
            return Err(Error::disk(&self.path, "cannot be written")(error));
        }
        self.hashing.update(buffer, count);
        self.length += count as u64;
        Ok(())
    }

    /// Forgets all bytes.
    pub(crate) fn restart(&mut self) -> Result<(), Error> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(Error::disk(&self.path, "cannot be emptied"))?;
        self.hashing = Hashing::begin(&self.digest, self.size, &self.file);
        self.length = 0;
        Ok(())
    }

    /// What is wrong with the bytes, if anything; nothing can follow them.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn check(&mut self) -> Result<Option<String>, Error> {
        if self.length != self.size {
            return Ok(Some(format!("expected {} bytes, got {}", self.size, self.length)));
        }
        let found = self.hashing.finish().map_err(|error| {
            self.keep = false;
            Error::disk(&self.path, "cannot be written to the disk")(error)
        })?;
        let right = found == self.digest;
        Ok((!right).then(|| format!("expected bytes of digest {}, got {found}", self.digest)))
    }

    /// Puts the checked file in its place.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn publish(mut self, blob: &Path) -> Result<(), Error> {
        self.keep = false;
        crate::disk::publish(&self.file, &self.path, blob)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.keep || self.length == 0 {
            discard(&self.path);
        }
    }
}

/// Files on their way to a digest, other than one's own, with their lengths.
pub(crate) fn left_over(blobs: &Path, digest: &Digest, own: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(blobs).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let same = name.starts_with(digest.as_str()) && name.ends_with(INCOMPLETE) && entry.path() != own;
        if let Some(metadata) = entry.metadata().ok().filter(|metadata| same && metadata.is_file()) {
            found.push((entry.path(), metadata.len()));
        }
    }
    found
}
