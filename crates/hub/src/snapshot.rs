//! A model at one commit: what files it has, and those of them that are wanted, in a folder.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::cache::Cache;
use crate::client::Client;
use crate::download::Download;
use crate::listing::{Entry, Listing};
use crate::name::is_commit;
use crate::task::Meter;
use crate::tries::Tries;
use crate::{Error, ModelName, Settings, Source, Task, huggingface, modelscope};

/// Files at once. More connections bring more from a distant host, and stand in each other's way at a near one.
const CONNECTIONS: usize = 4;

/// A model at a commit. All that it gives is of that commit, whatever happens to the branch meanwhile.
pub struct Snapshot {
    model: ModelName,
    settings: Settings,
    pub(crate) cache: Cache,
    pub(crate) listing: Listing,
    /// None: nothing may be asked.
    client: Option<Client>,
    /// Why the hub is not asked, if it was tried.
    unreachable: Mutex<Option<Error>>,
    pub(crate) meter: Meter,
}

impl Snapshot {
    /// Finds the commit that the settings' revision names: at the hub; in the cache if no socket may be opened, if the
    /// revision is a commit whose listing was kept, or if the hub cannot be reached.
    ///
    /// # Errors
    /// The hub's, and that the cache does not have it.
    pub fn open(model: &ModelName, settings: &Settings, task: &Task) -> Result<Self, Error> {
        let cache = Cache::new(settings, model);
        let make = |listing, client, unreachable| Self {
            model: model.clone(),
            settings: settings.clone(),
            cache: cache.clone(),
            listing,
            client,
            unreachable: Mutex::new(unreachable),
            meter: Meter::new(task),
        };
        let kept = cache.commit_of(&settings.revision);
        if settings.offline {
            let commit = kept.ok_or_else(|| {
                absent(model, settings, &format!("revision {} is not there", settings.revision))
            })?;
            let listing = cache.listing(&commit).unwrap_or_else(|| cache.found(&commit));
            return Ok(make(listing, None, None));
        }
        let client = Client::new(settings, model)?;
        if let Some(listing) =
            kept.as_deref().filter(|_| is_commit(&settings.revision)).and_then(|commit| cache.listing(commit))
        {
            return Ok(make(listing, Some(client), None));
        }
        match (list(&client, model, settings, kept.is_some(), task), kept) {
            (Ok(listing), _) => {
                cache.keep_listing(&listing)?;
                Ok(make(listing, Some(client), None))
            }
            // The network may come and go; what was whole yesterday is whole today.
            (Err(error), Some(commit)) if error.passes() => {
                let listing = cache.listing(&commit).unwrap_or_else(|| cache.found(&commit));
                Ok(make(listing, None, Some(error)))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// 40 hexadecimal digits.
    pub fn commit(&self) -> &str {
        &self.listing.commit
    }

    /// Where the files are.
    pub fn folder(&self) -> PathBuf {
        self.cache.snapshot(&self.listing.commit)
    }

    /// The paths of all files of the commit, with slashes; those in the cache if nothing more is known.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.listing.files.keys().map(String::as_str)
    }

    /// Brings files into the folder. Those that are there, with the right bytes, are left; unknown paths are ignored.
    ///
    /// # Errors
    /// The first fault; files that are complete stay.
    pub fn fetch(&self, paths: &[String]) -> Result<(), Error> {
        let mut missing = Vec::new();
        for path in paths {
            self.meter.task().check()?;
            let Some(entry) = self.listing.files.get(path) else { continue };
            if !self.cache.has(self.commit(), path, entry) {
                missing.push((path.as_str(), entry.clone()));
            }
        }
        let Some(client) = &self.client else { return self.refuse(&missing) };
        for (path, entry) in &mut missing {
            if entry.digest().is_none() {
                let ask = || huggingface::entry_of(client, &self.model, &self.listing.commit, path);
                *entry = Tries::new(&self.settings.patience, self.meter.task()).run(ask)?;
            }
            self.meter.expect(entry.size);
        }
        // The largest first: the small ones fill the gaps.
        missing.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.size));
        self.fetch_all(client, &missing)
    }

    /// Remembers the commit as that of the revision: for when there is no network.
    ///
    /// # Errors
    /// The disk's.
    pub fn finish(&self) -> Result<(), Error> {
        if self.client.is_none() {
            Ok(())
        } else {
            self.cache.remember(&self.settings.revision, self.commit())
        }
    }

    fn refuse(&self, missing: &[(&str, Entry)]) -> Result<(), Error> {
        if missing.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = missing.iter().map(|(path, _)| *path).collect();
        let unreachable = self.unreachable.lock().unwrap_or_else(PoisonError::into_inner).take();
        let message = format!("missing or damaged: {}", names.join(", "));
        Err(unreachable.unwrap_or_else(|| absent(&self.model, &self.settings, &message)))
    }

    fn fetch_all(&self, client: &Client, files: &[(&str, Entry)]) -> Result<(), Error> {
        let next = AtomicUsize::new(0);
        let fault = Mutex::new(None);
        let work = || {
            while let Some((path, entry)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = self.fetch_one(client, path, entry) {
                    // The others finish the file that they have begun.
                    next.store(files.len(), Ordering::Relaxed);
                    fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..CONNECTIONS.min(files.len()) {
                // Fewer threads bring the same files.
                let _ = std::thread::Builder::new().name("embed-native hub".into()).spawn_scoped(scope, work);
            }
            work();
        });
        fault.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn fetch_one(&self, client: &Client, path: &str, entry: &Entry) -> Result<(), Error> {
        let label = format!("{} {path}", self.model);
        let Some(digest) = entry.digest() else {
            return Err(Error::Integrity { file: label, message: "the hub names no digest for it".into() });
        };
        let from = match self.settings.source {
            Source::HuggingFace => huggingface::path(&self.model, self.commit(), path),
            Source::ModelScope => modelscope::path(&self.model, &self.settings.revision, path),
        };
        let (cache, patience, meter, commit) =
            (&self.cache, &self.settings.patience, &self.meter, self.commit());
        Download { client, cache, patience, meter, label, commit, path, from, entry, digest }.run()
    }
}

/// Asks the hub; once only where the cache can stand in.
fn list(
    client: &Client,
    model: &ModelName,
    settings: &Settings,
    kept: bool,
    task: &Task,
) -> Result<Listing, Error> {
    let mut patience = settings.patience.clone();
    patience.tries = if kept { 1 } else { patience.tries };
    Tries::new(&patience, task).run(|| match settings.source {
        Source::HuggingFace => huggingface::list(client, model, &settings.revision),
        Source::ModelScope => modelscope::list(client, model, &settings.revision),
    })
}

fn absent(model: &ModelName, settings: &Settings, message: &str) -> Error {
    Error::Offline { name: model.to_string(), cache: settings.cache.clone(), message: message.into() }
}
