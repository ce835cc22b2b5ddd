//! The digest of a file that is being written. A large one is hashed on a thread of its own, which also brings to the disk what
//! is written: so who reads the network waits for neither.

use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{Builder, JoinHandle};

use crate::Digest;
use crate::digest::Hasher;

/// A buffer's bytes.
const PIECE: usize = 1 << 18;
/// Buffers on their way: they are all the memory that a file takes.
const PIECES: usize = 8;
/// A smaller file is hashed before a thread has begun.
const LARGE: u64 = 4 << 20;
/// Bytes that may wait for the disk.
const FLUSHED: usize = 16 << 20;

/// The digest of what is written so far.
pub(crate) enum Hashing {
    /// On the thread that writes.
    Here(Hasher),
    /// On its own.
    Aside(Aside),
    /// At its end.
    Done,
}

/// A thread that hashes.
pub(crate) struct Aside {
    full: SyncSender<(Vec<u8>, usize)>,
    empty: Receiver<Vec<u8>>,
    thread: JoinHandle<io::Result<Digest>>,
}

impl Hashing {
    /// Begins with nothing of a file that shall have so many bytes.
    pub(crate) fn begin(digest: &Digest, size: u64, file: &File) -> Self {
        let hasher = digest.hasher(size);
        if size < LARGE {
            return Self::Here(hasher);
        }
        // Without a thread or another handle it takes longer.
        match file.try_clone().and_then(|file| Aside::begin(hasher.clone(), file)) {
            Ok(aside) => Self::Aside(aside),
            Err(_) => Self::Here(hasher),
        }
    }

    /// Room for the next bytes.
    pub(crate) fn buffer(&mut self) -> Vec<u8> {
        let used = match self {
            Self::Aside(aside) => aside.empty.try_recv(),
            Self::Here(_) | Self::Done => Err(TryRecvError::Empty),
        };
        used.unwrap_or_else(|_| vec![0; PIECE])
    }

    /// The next bytes: the first ones of a buffer.
    pub(crate) fn update(&mut self, buffer: Vec<u8>, count: usize) {
        match self {
            Self::Here(hasher) => hasher.update(&buffer[..count]),
            // A thread that has ended says why at the end.
            Self::Aside(aside) => drop(aside.full.send((buffer, count))),
            Self::Done => {}
        }
    }

    /// The digest of all bytes.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn finish(&mut self) -> io::Result<Digest> {
        match std::mem::replace(self, Self::Done) {
            Self::Here(hasher) => Ok(hasher.finish()),
            Self::Aside(Aside { full, thread, .. }) => {
                drop(full);
                thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that hashes panicked")))
            }
            Self::Done => Err(io::Error::other("its digest was taken before")),
        }
    }
}

impl Aside {
    fn begin(mut hasher: Hasher, file: File) -> io::Result<Self> {
        let (full, filled) = sync_channel::<(Vec<u8>, usize)>(PIECES);
        let (used, empty) = sync_channel(PIECES + 2);
        let work = move || {
            let mut waiting = 0;
            for (buffer, count) in filled {
                hasher.update(&buffer[..count]);
                waiting += count;
                if waiting >= FLUSHED {
                    file.sync_data()?;
                    waiting = 0;
                }
                // Who writes may have gone.
                let _ = used.try_send(buffer);
            }
            Ok(hasher.finish())
        };
        let thread = Builder::new().name("embed-native hash".into()).spawn(work)?;
        Ok(Self { full, empty, thread })
    }
}
