//! A file of a snapshot that is no hub's, but made of one: as `model.safetensors` of a pickle.
//!
//! It is a blob like others, named by what its bytes come to, and checked before each use. What it was made of is left where
//! it is. A process that ends before the file is whole leaves nothing but a file on its way, which `prune` removes.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;

use crate::disk::{create_unique, discard, make_folder, publish};
use crate::listing::Entry;
use crate::lock::Lock;
use crate::partial::INCOMPLETE;
use crate::{Digest, Error, Snapshot};

impl Snapshot {
    /// Makes the file `to` of this folder out of `from`, which is there, unless that was done before. `make` reads the one and
    /// writes the other.
    ///
    /// # Errors
    /// Those of `make`, and the disk's; nothing is kept then.
    pub fn derive<E: From<Error>>(
        &self,
        from: &str,
        to: &str,
        make: impl FnOnce(&Path, &mut File) -> Result<(), E>,
    ) -> Result<(), E> {
        let (cache, commit) = (&self.cache, self.commit());
        let source = self.folder().join(from);
        let listed = self.listing.files.get(from).and_then(Entry::digest);
        let Some(of) = listed.or_else(|| crate::cache::linked_digest(&source)) else {
            let message = "nothing says what its bytes come to".into();
            return Err(Error::Integrity { file: from.into(), message }.into());
        };
        let _lock = Lock::take(&cache.locks, &of, self.meter.task(), || 0)?;
        if let Some(made) = cache.made_of(&of) {
            if cache.has(commit, to, &made) {
                return Ok(());
            }
            if let Some(digest) = made.digest().filter(|digest| cache.has_blob(digest, made.size)) {
                return Ok(cache.show(commit, to, &digest)?);
            }
        }
        let blobs = cache.blobs();
        make_folder(&blobs)?;
        let (temporary, mut file) = create_unique(&blobs, &format!("made-of-{of}"), INCOMPLETE)?;
        let made = make(&source, &mut file).and_then(|()| Ok(self.keep(&of, &mut file, &temporary)?));
        let digest = made.inspect_err(|_| discard(&temporary))?;
        Ok(cache.show(commit, to, &digest)?)
    }

    /// Gives a written file its name among the blobs.
    fn keep(&self, of: &Digest, file: &mut File, temporary: &Path) -> Result<Digest, Error> {
        let disk = |error| Error::disk(temporary, "cannot be read")(error);
        file.seek(SeekFrom::Start(0)).map_err(disk)?;
        let digest = Digest::sha256(file).map_err(disk)?;
        let size = file.metadata().map_err(disk)?.len();
        let blob = self.cache.blob(&digest);
        publish(file, temporary, &blob)?;
        self.cache.note_checked(&blob, &digest);
        self.cache.note_made(of, &digest, size)?;
        Ok(digest)
    }
}
