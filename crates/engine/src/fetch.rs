//! From what a user named to a folder: as it is, or from a hub, on a thread that waits for networks and disks. What a hub
//! holds as a pickle alone becomes safetensors there.

use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;

use hub::{ModelName, Progress, Settings, Snapshot};
use serde::Serialize;

use crate::contain::contained;
use crate::wanted::{self, Wanted};
use crate::{Error, LoadOptions, Ticket};

/// A model that is in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fetched {
    /// As the user named it.
    pub name: String,
    /// Holds its files.
    pub folder: PathBuf,
    /// The commit, if it came by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

impl From<&str> for Fetched {
    fn from(folder: &str) -> Self {
        Self { name: folder.into(), folder: folder.into(), revision: None }
    }
}

/// Brings a model's files into a folder and opens none of them; tells `done` where they are.
pub fn download(
    model: String,
    options: LoadOptions,
    ticket: Ticket,
    progress: impl Fn(Progress) + Send + Sync + 'static,
    done: impl FnOnce(Result<Fetched, Error>) + Send + 'static,
) {
    fetch(model, options, ticket, progress, |fetched| {
        done(fetched.and_then(|(fetched, options)| {
            crate::load::check_folders(&fetched.folder, &options)?;
            Ok(fetched)
        }));
    });
}

/// Brings a model, and the adapter that the options may name, into folders, and calls `done` with both: at once if they are
/// folders, else on a thread of its own. `progress` is told how far it is.
pub fn fetch(
    model: String,
    options: LoadOptions,
    ticket: Ticket,
    progress: impl Fn(Progress) + Send + Sync + 'static,
    done: impl FnOnce(Result<(Fetched, LoadOptions), Error>) + Send + 'static,
) {
    if is_at_hand(&model) && options.adapter.as_deref().is_none_or(is_at_hand) {
        return done(Ok((Fetched::from(model.as_str()), options)));
    }
    let task = hub::Task::new(ticket.flag(), progress);
    on_own_thread(move || fetch_both(&model, options, &task), done);
}

/// Waits for networks and disks where nothing else waits; without a thread, the fault goes to `done` at once.
pub(crate) fn on_own_thread<T: 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    done: impl FnOnce(Result<T, Error>) + Send + 'static,
) {
    // A thread that does not start drops what it was given, so that a copy stays here.
    let done = Arc::new(Mutex::new(Some(done)));
    let mine = done.clone();
    let spawned = Builder::new().name("embed-native hub".into()).spawn(move || tell(&mine, contained(work)));
    if let Err(source) = spawned {
        tell(&done, Err(Error::Threads { source }));
    }
}

fn tell<T>(done: &Mutex<Option<impl FnOnce(T)>>, outcome: T) {
    let done = done.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(done) = done {
        done(outcome);
    }
}

/// A folder, or what can be none but a path: the loader says what is wrong with it.
fn is_at_hand(model: &str) -> bool {
    Path::new(model).is_dir() || ModelName::parse(model).is_err()
}

fn fetch_both(
    model: &str,
    mut options: LoadOptions,
    task: &hub::Task,
) -> Result<(Fetched, LoadOptions), Error> {
    crate::executor::check(&options)?;
    let fetched = match is_at_hand(model) {
        true => Fetched::from(model),
        false => fetch_one(model, &options.hub, Wanted::model(&options), task)?,
    };
    if let Some(adapter) = options.adapter.take_if(|adapter| !is_at_hand(adapter)) {
        // The revision is the model's.
        let own = hub::Options { revision: None, ..options.hub.clone() };
        let folder = fetch_one(&adapter, &own, Wanted::Adapter, task)?.folder;
        options.adapter = Some(folder.to_string_lossy().into_owned());
    }
    Ok((fetched, options))
}

fn fetch_one(name: &str, options: &hub::Options, wanted: Wanted, task: &hub::Task) -> Result<Fetched, Error> {
    let model = ModelName::parse(name)?;
    let snapshot = Snapshot::open(&model, &Settings::new(options)?, task)?;
    let files: Vec<&str> = snapshot.files().collect();
    snapshot.fetch(&wanted::descriptions(&files))?;
    let folder = snapshot.folder();
    let weights = wanted.weights(&files, &wanted::modules(&folder));
    snapshot.fetch(&weights)?;
    for pickle in &weights {
        let Some(target) = wanted::becomes(pickle) else { continue };
        snapshot.derive(pickle, &target, |from, to| {
            let mut to = BufWriter::new(to);
            Ok::<_, Error>(convert::unpickle(from, &mut to, task.flag())?)
        })?;
    }
    snapshot.finish()?;
    Ok(Fetched { name: name.into(), folder, revision: Some(snapshot.commit().into()) })
}
