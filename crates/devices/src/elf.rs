//! Whether a library of Linux is all there: the system's loader maps what its header promises, and a file that was
//! cut short ends the process by a signal at the first page that is not there.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Where the parts to load lie, in a 64-bit little-endian file:
/// <https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html>.
const CLASS_64: u8 = 2;
const LITTLE_ENDIAN: u8 = 1;
const HEADER: u64 = 64;

/// False for such a file that ends before what it promises; true for whole ones, and for all of another kind, which
/// the loader refuses or checks by itself.
///
/// # Errors
/// The file cannot be read.
pub fn is_whole(library: &Path) -> io::Result<bool> {
    of(&mut File::open(library)?)
}

fn of(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let length = file.seek(SeekFrom::End(0))?;
    let header = part(file, 0, HEADER)?;
    if !header.starts_with(b"\x7fELF") || header.get(4..6) != Some(&[CLASS_64, LITTLE_ENDIAN]) {
        return Ok(true);
    }
    let Some([table, size, count]) = whereabouts(&header) else { return Ok(false) };
    let table = part(file, table, size * count)?;
    let mut entries = table.chunks_exact(size.max(1) as usize);
    let whole = |entry: &[u8]| end(entry).is_some_and(|end| end <= length);
    Ok(entries.len() as u64 == count && entries.all(whole))
}

/// At most so many bytes from there on.
fn part(file: &mut (impl Read + Seek), at: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let mut found = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.take(bytes).read_to_end(&mut found)?;
    Ok(found)
}

/// The table of parts: its place, the bytes of an entry, the entries.
fn whereabouts(header: &[u8]) -> Option<[u64; 3]> {
    Some([number(header, 0x20, 8)?, number(header, 0x36, 2)?, number(header, 0x38, 2)?])
}

/// Where a part ends in the file.
fn end(entry: &[u8]) -> Option<u64> {
    number(entry, 0x08, 8)?.checked_add(number(entry, 0x20, 8)?)
}

fn number(bytes: &[u8], at: usize, count: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + count)?;
    Some(bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// One part: 16 bytes from 0x78.
    fn file() -> Vec<u8> {
        let mut file = vec![0; 0x88];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (file[0x20], file[0x36], file[0x38]) = (0x40, 0x38, 1);
        (file[0x48], file[0x60]) = (0x78, 0x10);
        file
    }

    fn whole(bytes: &[u8]) -> bool {
        of(&mut Cursor::new(bytes)).unwrap()
    }

    #[test]
    fn what_is_cut_short_is_not_whole() {
        let file = file();
        assert!(whole(&file));
        assert!((6..file.len()).all(|length| !whole(&file[..length])));
        assert!(whole(b"this is a text") && whole(b""));
    }

    #[test]
    fn what_promises_nonsense_is_not_whole() {
        for (place, value) in [(0x27, 0xff), (0x37, 0xff), (0x4f, 0xff), (0x67, 0xff)] {
            let mut file = file();
            file[place] = value;
            assert!(!whole(&file), "{place:#x}");
        }
    }
}
