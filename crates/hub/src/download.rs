//! One file, from the hub to its place in the cache.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::Instant;

use crate::cache::Cache;
use crate::client::{Answer, Client, broken};
use crate::disk::discard;
use crate::listing::Entry;
use crate::lock::Lock;
use crate::partial::{Partial, left_over};
use crate::task::Meter;
use crate::tries::Tries;
use crate::{Digest, Error, Patience};

/// A file that is wanted.
pub(crate) struct Download<'a> {
    pub(crate) client: &'a Client,
    pub(crate) cache: &'a Cache,
    pub(crate) patience: &'a Patience,
    pub(crate) meter: &'a Meter,
    /// The model and the file, for messages.
    pub(crate) label: String,
    pub(crate) commit: &'a str,
    /// The file's path in the model.
    pub(crate) path: &'a str,
    /// The file's path at the hub.
    pub(crate) from: String,
    pub(crate) entry: &'a Entry,
    pub(crate) digest: Digest,
}

/// Wrong bytes may be a fault of the way, or of what a process before had: once more, from the beginning.
const WRONG_TWICE: u32 = 2;

impl Download<'_> {
    /// Brings the file into the snapshot, from the blobs if they have it.
    ///
    /// # Errors
    /// The hub's and the disk's; bytes that are not those promised.
    pub(crate) fn run(&self) -> Result<(), Error> {
        let (blobs, digest) = (self.cache.blobs(), &self.digest);
        let growth = || left_over(&blobs, digest, Path::new("")).iter().map(|(_, length)| length).sum();
        let _lock = Lock::take(&self.cache.locks, digest, self.meter.task(), growth)?;
        if self.cache.has(self.commit, self.path, self.entry) {
            self.moved(self.entry.size as i64, self.entry.size);
            return Ok(());
        }
        if self.cache.has_blob(digest, self.entry.size) {
            self.moved(self.entry.size as i64, self.entry.size);
        } else {
            self.fetch()?;
        }
        self.cache.show(self.commit, self.path, digest)
    }

    fn fetch(&self) -> Result<(), Error> {
        let blob = self.cache.blob(&self.digest);
        let mut partial = Partial::begin(&self.cache.blobs(), &self.digest, self.entry.size)?;
        self.moved(partial.length() as i64, partial.length());
        let filled = self.fill(&mut partial);
        if let Err(Error::Integrity { .. }) = filled {
            partial.restart()?;
        }
        filled?;
        self.meter.task().check()?;
        let published = partial.publish(&blob);
        // Under a lock that lies another process may have taken our file for a leftover, once it had its own.
        match published {
            Err(error) if !self.cache.has_blob(&self.digest, self.entry.size) => return Err(error),
            _ => self.cache.note_checked(&blob, &self.digest),
        }
        left_over(&self.cache.blobs(), &self.digest, Path::new(""))
            .iter()
            .for_each(|(path, _)| discard(path));
        Ok(())
    }

    /// Until all bytes are there, and right.
    fn fill(&self, partial: &mut Partial) -> Result<(), Error> {
        let mut tries = Tries::new(self.patience, self.meter.task());
        let mut wrong = 0;
        loop {
            self.meter.task().check()?;
            let before = partial.length();
            let pulled = if before < self.entry.size { self.pull(partial) } else { Ok(()) };
            // A few bytes a try would be a try for ever.
            if partial.length() >= before + self.patience.slowest {
                tries.progressed();
            }
            if let Err(error) = pulled {
                tries.again(error)?;
            } else if let Some(message) = partial.check()? {
                wrong += 1;
                self.restart(partial)?;
                if wrong == WRONG_TWICE {
                    return Err(Error::Integrity { file: self.label.clone(), message });
                }
            } else {
                return Ok(());
            }
        }
    }

    /// One request: appends what it brings.
    fn pull(&self, partial: &mut Partial) -> Result<(), Error> {
        let start = Some(partial.length()).filter(|&length| length > 0);
        let address = self.client.address(&self.from)?;
        let answer = match self.client.get(&address, start) {
            // It has fewer bytes than we: what we have is not its.
            Err(Error::Status { status: 416, .. }) if start.is_some() => {
                self.restart(partial)?;
                self.client.get(&address, None)?
            }
            answer => answer?,
        };
        self.check_commit(&answer)?;
        self.check_kind(&answer)?;
        if !continues(&answer, start) {
            self.restart(partial)?;
        }
        if answer.status == 206 && !continues(&answer, start) {
            // Bytes from another place: the next request asks for all.
            return Err(Error::Network {
                url: answer.from.shown(),
                message: "it sent another part of the file".into(),
            });
        }
        self.take(partial, answer)
    }

    /// The hub says which commit a file is of.
    fn check_commit(&self, answer: &Answer) -> Result<(), Error> {
        match answer.hub.get("x-repo-commit").and_then(|value| value.to_str().ok()) {
            Some(commit) if commit != self.commit => {
                let message = format!("expected it of commit {}, got it of {commit}", self.commit);
                Err(Error::Integrity { file: self.label.clone(), message })
            }
            _ => Ok(()),
        }
    }

    /// A page to sign in comes with 200, too.
    fn check_kind(&self, answer: &Answer) -> Result<(), Error> {
        let kind =
            answer.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !kind.trim_start().starts_with("text/html") || self.path.ends_with(".html") {
            return Ok(());
        }
        Err(Error::Answer { url: answer.from.shown(), what: format!("a page of HTML for {}", self.path) })
    }

    /// Reads a body to its end, or to the size that the file has.
    fn take(&self, partial: &mut Partial, answer: Answer) -> Result<(), Error> {
        let Answer { mut body, from, .. } = answer;
        let (mut since, mut at) = (Instant::now(), partial.length());
        while partial.length() < self.entry.size {
            self.meter.task().check()?;
            let mut buffer = partial.buffer();
            let most =
                usize::try_from(self.entry.size - partial.length()).unwrap_or(usize::MAX).min(buffer.len());
            match body.read(&mut buffer[..most]) {
                Ok(0) => {
                    return Err(Error::Network { url: from.shown(), message: self.short(partial.length()) });
                }
                Ok(count) => {
                    // Who waited may have gone while this came.
                    self.meter.task().check()?;
                    partial.push(buffer, count)?;
                    self.moved(count as i64, partial.length());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(&from, &error)),
            }
            if since.elapsed() > self.patience.slow_window {
                if partial.length() - at < self.patience.slowest {
                    let message =
                        format!("it sends {} bytes in {:?}", partial.length() - at, since.elapsed());
                    return Err(Error::Network { url: from.shown(), message });
                }
                (since, at) = (Instant::now(), partial.length());
            }
        }
        // All bytes are there: how the body ends does not matter, their digest does. Read to its end the connection can be used
        // again.
        let _ = body.read(&mut [0]);
        Ok(())
    }

    fn short(&self, length: u64) -> String {
        format!("the answer ended after {length} of {} bytes", self.entry.size)
    }

    fn restart(&self, partial: &mut Partial) -> Result<(), Error> {
        self.moved(-(partial.length() as i64), 0);
        partial.restart()
    }

    fn moved(&self, new: i64, now: u64) {
        self.meter.moved(self.path, new, now, self.entry.size);
    }
}

/// Whether an answer begins where we are: all of the file from the beginning, or the part that was asked for.
fn continues(answer: &Answer, start: Option<u64>) -> bool {
    let range = answer.headers.get("content-range").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let begins =
        range.trim().strip_prefix("bytes ").and_then(|range| range.split('-').next()?.trim().parse().ok());
    match answer.status {
        206 => begins == Some(start.unwrap_or(0)),
        _ => start.is_none(),
    }
}
