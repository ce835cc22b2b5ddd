//! A file that appears whole or not at all.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Error;

/// A name beside a place that no other work of this machine has: for what takes its name once it is whole.
pub fn beside(path: &Path) -> PathBuf {
    static WORKS: AtomicUsize = AtomicUsize::new(0);
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}-{}.part", process::id(), WORKS.fetch_add(1, Ordering::Relaxed)));
    path.with_file_name(name)
}

/// Writes a file beside its place, brings it to the disk and puts it there, instead of what there is.
///
/// # Errors
/// Those of `write`, and the disk's; the place is left as it was.
pub fn place(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), Error>,
) -> Result<(), Error> {
    let temporary = beside(path);
    let disk = |source| Error::disk(path, source);
    let placed = written(&temporary, write, disk).and_then(|()| fs::rename(&temporary, path).map_err(disk));
    if placed.is_err() {
        // What is left of it is named as what it is.
        let _ = fs::remove_file(&temporary);
    }
    placed
}

fn written(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), Error>,
    disk: impl Fn(std::io::Error) -> Error,
) -> Result<(), Error> {
    let mut file = BufWriter::with_capacity(1 << 18, File::create(path).map_err(&disk)?);
    write(&mut file)?;
    let file = file.into_inner().map_err(|error| disk(error.into_error()))?;
    file.sync_all().map_err(disk)
}

/// Removes a file.
///
/// # Errors
/// The disk's.
pub fn remove(path: &Path) -> Result<(), Error> {
    fs::remove_file(path).map_err(|source| Error::disk(path, source))
}
