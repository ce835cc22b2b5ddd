//! One model's folder in the cache, in the layout of Python's huggingface_hub
//! (<https://huggingface.co/docs/huggingface_hub/guides/manage-cache>, v2.4), so that both use the same files:
//!
//! | place | holds |
//! |---|---|
//! | `blobs/<digest>` | bytes, named by what they come to |
//! | `snapshots/<commit>/<path>` | links to blobs; files where links cannot be had |
//! | `refs/<revision>` | the commit of a branch or a tag |
//! | `trees/<commit>.json` | the listing of a commit |
//! | `.verified/<digest>` | ours: size and time of a blob whose bytes were checked |
//! | `.made/<digest>` | ours: digest and size of what was made of that blob |
//!
//! A blob that we did not check ourselves is hashed once before it is used.

use std::fs::{self, File, Metadata};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::disk::{discard, link, make_folder, read_small, replace};
use crate::listing::{Entry, Listing};
use crate::name::{is_commit, is_safe_path};
use crate::{Digest, Error, ModelName, Settings};

/// A model's folder.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    pub(crate) root: PathBuf,
    pub(crate) locks: PathBuf,
    links: bool,
}

impl Cache {
    /// Makes nothing yet.
    pub(crate) fn new(settings: &Settings, model: &ModelName) -> Self {
        let root = settings.cache.join(model.folder());
        Self { locks: settings.cache.join(".locks").join(model.folder()), root, links: settings.links }
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.as_str())
    }

    /// A commit's folder.
    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// The commit that a revision named when it was last asked for.
    pub(crate) fn commit_of(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return self.snapshot(revision).is_dir().then(|| revision.into());
        }
        let text = String::from_utf8(read_small(&self.root.join("refs").join(revision))?).ok()?;
        Some(text.trim().to_string()).filter(|commit| is_commit(commit))
    }

    /// Remembers the commit of a revision.
    pub(crate) fn remember(&self, revision: &str, commit: &str) -> Result<(), Error> {
        if is_commit(revision) || self.commit_of(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        note(replace(&self.root.join("refs").join(revision), commit.as_bytes()))
    }

    fn tree(&self, commit: &str) -> PathBuf {
        self.root.join("trees").join(format!("{commit}.json"))
    }

    /// The listing that was kept of a commit.
    pub(crate) fn listing(&self, commit: &str) -> Option<Listing> {
        Listing::kept(commit, &read_small(&self.tree(commit))?)
    }

    /// Keeps a listing.
    pub(crate) fn keep_listing(&self, listing: &Listing) -> Result<(), Error> {
        if self.listing(&listing.commit).as_ref() == Some(listing) {
            return Ok(());
        }
        note(replace(&self.tree(&listing.commit), &listing.to_json()))
    }

    /// The files that a snapshot has, where no listing was kept; digests as its links name them.
    pub(crate) fn found(&self, commit: &str) -> Listing {
        let root = self.snapshot(commit);
        let entry = |path: String| found_entry(&root.join(&path)).map(|entry| (path, entry));
        Listing::new(commit.into(), self.places(commit).into_iter().filter_map(entry))
    }

    /// The paths of all that stands in a snapshot, links that lead nowhere included.
    pub(crate) fn places(&self, commit: &str) -> Vec<String> {
        let root = self.snapshot(commit);
        let mut files = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(root.join(&folder)).into_iter().flatten().flatten() {
                let Ok(name) = entry.file_name().into_string() else { continue };
                let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                // A folder that is a link could lead anywhere, and in a circle.
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() && is_safe_path(&path) => folders.push(path),
                    Ok(_) => files.push(path),
                    Err(_) => {}
                }
            }
        }
        files.sort();
        files
    }

    /// Whether a snapshot has a file, and its bytes are right. What was made wrong is removed, so that the next download
    /// makes it right.
    pub(crate) fn has(&self, commit: &str, path: &str, entry: &Entry) -> bool {
        let place = self.snapshot(commit).join(path);
        match (entry.digest(), linked_digest(&place)) {
            (Some(wanted), Some(found)) if wanted != found => false,
            (Some(wanted), _) => self.is_sound(&place, &wanted, entry.size),
            // Nobody ever said what it comes to.
            (None, _) => {
                fs::metadata(&place).is_ok_and(|metadata| metadata.is_file() && metadata.len() == entry.size)
            }
        }
    }

    /// Whether the cache has a blob, with the right bytes.
    pub(crate) fn has_blob(&self, digest: &Digest, size: u64) -> bool {
        let blob = self.blob(digest);
        let sound = self.is_sound(&blob, digest, size);
        if !sound && fs::symlink_metadata(&blob).is_ok() {
            discard(&blob);
        }
        sound
    }

    fn is_sound(&self, path: &Path, digest: &Digest, size: u64) -> bool {
        // Before it is opened: opening a FIFO waits for a writer.
        let Ok(metadata) = fs::metadata(path) else { return false };
        if !metadata.is_file() || metadata.len() != size {
            return false;
        }
        let stamp = stamp(&metadata);
        let note = self.root.join(".verified").join(digest.as_str());
        if read_small(&note).is_some_and(|known| known == stamp.as_bytes()) {
            return true;
        }
        let sound = File::open(path)
            .and_then(|mut file| digest.of_reader(size, &mut file))
            .is_ok_and(|found| found == *digest);
        if sound {
            // A cache that cannot be written is hashed again the next time.
            let _ = replace(&note, stamp.as_bytes());
        }
        sound
    }

    /// Notes that a blob was just written with the right bytes.
    pub(crate) fn note_checked(&self, path: &Path, digest: &Digest) {
        if let Ok(metadata) = fs::metadata(path) {
            // Without the note it is hashed once more.
            let _ = replace(&self.root.join(".verified").join(digest.as_str()), stamp(&metadata).as_bytes());
        }
    }

    /// What was made of the file of a digest.
    pub(crate) fn made_of(&self, digest: &Digest) -> Option<Entry> {
        let note = String::from_utf8(read_small(&self.made(digest))?).ok()?;
        let (made, size) = note.split_once(' ')?;
        Some(Entry::of(size.parse().ok()?, Digest::parse(made)?.as_str()))
    }

    /// Notes what was made of the file of a digest.
    pub(crate) fn note_made(&self, of: &Digest, made: &Digest, size: u64) -> Result<(), Error> {
        replace(&self.made(of), format!("{made} {size}").as_bytes())
    }

    fn made(&self, digest: &Digest) -> PathBuf {
        self.root.join(".made").join(digest.as_str())
    }

    /// Shows a blob in a snapshot.
    ///
    /// # Errors
    /// Neither a link nor a copy can be made.
    pub(crate) fn show(&self, commit: &str, path: &str, digest: &Digest) -> Result<(), Error> {
        let place = self.snapshot(commit).join(path);
        let folder = place.parent().unwrap_or(&self.root);
        make_folder(folder)?;
        let up = "../".repeat(path.matches('/').count() + 2);
        let target = PathBuf::from(format!("{up}blobs/{digest}"));
        if self.links && link(&target, &place).is_ok() {
            return Ok(());
        }
        self.copy(digest, &place)
    }

    /// Where links cannot be had, a snapshot holds the file itself, as Python's does.
    fn copy(&self, digest: &Digest, place: &Path) -> Result<(), Error> {
        let blob = self.blob(digest);
        let folder = place.parent().unwrap_or(&self.root);
        let (temporary, file) = crate::disk::create_unique(folder, "copy", ".incomplete")?;
        let copied = File::open(&blob).and_then(|mut from| std::io::copy(&mut from, &mut &file));
        let done = copied.map_err(Error::disk(place, "cannot be copied from the blobs"));
        done.and_then(|_| crate::disk::publish(&file, &temporary, place))
            .inspect_err(|_| discard(&temporary))?;
        discard(&blob);
        self.note_checked(place, digest);
        Ok(())
    }
}

/// A cache that may only be read serves those models that are whole in it; notes about them are not needed.
fn note(written: Result<(), Error>) -> Result<(), Error> {
    written.or_else(|error| if error.is_read_only() { Ok(()) } else { Err(error) })
}

/// Size and time: what changes when bytes do.
fn stamp(metadata: &Metadata) -> String {
    let time =
        metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    format!("{} {}", metadata.len(), time.as_nanos())
}

/// The digest that a link of a snapshot names.
pub(crate) fn linked_digest(path: &Path) -> Option<Digest> {
    Digest::parse(fs::read_link(path).ok()?.file_name()?.to_str()?)
}

fn found_entry(path: &Path) -> Option<Entry> {
    let metadata = fs::metadata(path).ok().filter(Metadata::is_file)?;
    let digest = linked_digest(path);
    Some(Entry::of(metadata.len(), digest.as_ref().map_or("", Digest::as_str)))
}
