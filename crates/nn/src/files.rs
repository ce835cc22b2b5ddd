//! Reading files that somebody else wrote: regular ones only, and no more than is sensible.
//!
//! A FIFO would block the thread for ever, a device has no end, and a link that leads nowhere is a broken
//! download rather than an absent file.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::Error;

/// The largest file that is read whole: tokenizers of large vocabularies have some 35 MB.
const LARGEST: u64 = 256 << 20;

/// Whether there is anything of that name, be it a link that leads nowhere.
///
/// # Errors
/// A folder that cannot be searched.
pub fn exists(path: &Path) -> Result<bool, Error> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(source) => Err(Error::Read { path: path.into(), source }),
    }
}

/// Opens a regular file.
///
/// # Errors
/// Anything else, or what cannot be read.
pub fn open(path: &Path) -> Result<(File, Metadata), Error> {
    let fault = |source| Error::Read { path: path.into(), source };
    // Before it is opened: opening a FIFO waits for a writer.
    if !path.metadata().map_err(fault)?.is_file() {
        return Err(Error::Broken {
            path: path.into(),
            message: "is not a regular file: put the file itself there".into(),
        });
    }
    let file = File::open(path).map_err(fault)?;
    let metadata = file.metadata().map_err(fault)?;
    Ok((file, metadata))
}

/// Reads a whole file; `None` where there is none.
///
/// # Errors
/// Not a regular file, too large, or not readable.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    if !exists(path)? {
        return Ok(None);
    }
    read_whole(path, LARGEST).map(Some)
}

/// Reads a whole file of at most `largest` bytes, which is there.
///
/// # Errors
/// As [`read`], and where there is none.
pub fn read_whole(path: &Path, largest: u64) -> Result<Vec<u8>, Error> {
    let (file, metadata) = open(path)?;
    if metadata.len() > largest {
        let message = format!("has {} bytes; at most {largest} are read", metadata.len());
        return Err(Error::Broken { path: path.into(), message });
    }
    let mut bytes = Vec::new();
    file.take(largest).read_to_end(&mut bytes).map_err(|source| Error::Read { path: path.into(), source })?;
    Ok(bytes)
}
