//! The models of a process, by name: what is registered, what runs, and who has how much memory.
//!
//! There is one registry a process, whatever thread asks. A *registration* says what to load; a *running model* has a uid
//! and is held here until it is terminated, or has had no call for `idleTimeout`. Whoever got a model from here holds
//! it, too: it lives, and counts against the budget, until the last hand lets go. A running model is what its files
//! were when it was loaded; a load after they changed shares nothing with it ([`nn::FileId`]).
//!
//! ```text
//! join ── settings, registrations ─┐
//! launch ─ Loading: size → budget → load → warm-up → commit ── Entry: loading → ready ⇄ idle
//! get ──── the model, or a wait for its load, or a load of an idle one
//! ```

mod budget;
mod entry;
mod fields;
mod idle;
mod launch;
mod registration;
mod settings;
mod warm_up;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::Serialize;

pub use self::entry::Running;
pub use self::registration::Registration;
pub use self::settings::Settings;

use self::budget::{Ledger, shared};
use self::entry::{Entry, Found};
use self::fields::{Origin, meant};
use self::launch::{Launch, Loading, Plan};
use self::settings::Asked;
use crate::{Error, Model, Ticket, Totals};

/// Told once how a load ended.
type Done = Box<dyn FnOnce(Result<Arc<Model>, Error>) + Send>;
/// Asks again, once a load has ended.
type Waiter = Box<dyn FnOnce() + Send>;

/// The models of a process.
#[derive(Default)]
pub struct Registry {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    settings: Option<Settings>,
    registrations: BTreeMap<String, Registration>,
    entries: BTreeMap<String, Entry>,
    ledger: Ledger,
    /// Who waits for the load of which uid.
    waiting: Vec<(String, Waiter)>,
    loads: u64,
    /// Whether the thread that lets go of idle models runs.
    watched: bool,
}

/// What all models of a process come to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// The budget in bytes, if there is one.
    pub memory_budget: Option<u64>,
    /// What models may hold of it.
    pub shared: Option<u64>,
    /// About what they hold, those that only handles hold included.
    pub held: u64,
    /// Registrations.
    pub registered: usize,
    /// Running models, idle ones included.
    pub running: usize,
    /// Those of them that are loaded.
    pub ready: usize,
    /// What all models of the process have done, those of `Embedder.load` and of other threads included.
    pub work: Totals,
}

impl Registry {
    /// The process's registry.
    pub fn process() -> &'static Arc<Self> {
        static REGISTRY: OnceLock<Arc<Registry>> = OnceLock::new();
        REGISTRY.get_or_init(Arc::default)
    }

    /// Takes part with these options, as JSON: the first to ask for settings decides them, and the models that a file
    /// names are registered. All of it or nothing. `memory`: bytes of the machine that this process may use.
    ///
    /// # Errors
    /// Options or a file that are wrong; a budget that cannot be had; settings other than those that hold; a name that is
    /// taken.
    pub fn join(&self, options: &str, memory: u64) -> Result<Settings, Error> {
        let Asked { settings, models } = Asked::read(options, memory)?;
        let mut state = self.lock();
        if let (Some(asked), Some(held)) = (&settings, &state.settings)
            && let Some(difference) = held.difference(asked)
        {
            let message = format!(
                "the models of this process have other settings: {difference}; the first `new Models` of the process decided them, also \
                 one without options and one in a worker thread: make the one with options first, or join with the same or with none"
            );
            return Err(Error::Settings { message });
        }
        models.iter().try_for_each(|model| state.check_new(model))?;
        state.registrations.extend(models.into_iter().map(|model| (model.name.clone(), model)));
        Ok(state.settings.get_or_insert(settings.unwrap_or_default()).clone())
    }

    /// Registers a model under a name; `about` is JSON. The same registration twice is one.
    ///
    /// # Errors
    /// What is wrong with `about`; a name that is reserved or taken.
    pub fn register(&self, name: &str, about: &str) -> Result<Registration, Error> {
        let origin = Origin::Call("register");
        let about = origin.parse(about.as_bytes())?;
        let model = Registration::read(name, &about, origin, Path::new(""))?;
        let mut state = self.lock();
        state.check_new(&model)?;
        state.registrations.insert(model.name.clone(), model.clone());
        Ok(model)
    }

    /// What is registered, by name.
    pub fn registrations(&self) -> Vec<Registration> {
        self.lock().registrations.values().cloned().collect()
    }

    /// Loads a registered model to run under a uid; `launch` is JSON. Its size is checked against the budget before its
    /// weights are read. `done` is called once it is ready, or will not be; then nothing of it stays. Gives the number
    /// by which the launch can be [withdrawn](Self::withdraw); 0 where it did not begin.
    pub fn launch(
        self: &Arc<Self>,
        launch: &str,
        ticket: Ticket,
        done: impl FnOnce(Result<Arc<Model>, Error>) + Send + 'static,
    ) -> u64 {
        match Launch::read(launch).and_then(|launch| self.begin(launch, ticket)) {
            Ok(loading) => {
                let number = loading.number;
                loading.run(Box::new(done));
                number
            }
            Err(error) => {
                done(Err(error));
                0
            }
        }
    }

    /// Takes a launch back whose outcome nobody waited for: a ticket is too late for one that ended meanwhile.
    pub fn withdraw(&self, number: u64) {
        let uid = {
            let state = self.lock();
            let mut entries = state.entries.iter();
            entries.find(|(_, entry)| entry.number == number).map(|(uid, _)| uid.clone())
        };
        if let Some(uid) = uid {
            // Terminated by somebody else in between is as good.
            drop(self.terminate(&uid));
        }
    }

    /// Gives the model of a uid: at once, after a load that is under way, or after loading an idle one again.
    pub fn get(
        self: &Arc<Self>,
        uid: &str,
        ticket: Ticket,
        done: impl FnOnce(Result<Arc<Model>, Error>) + Send + 'static,
    ) {
        let mut state = self.lock();
        match state.find(uid) {
            Err(error) => {
                drop(state);
                done(Err(error));
            }
            Ok(Found::Ready(model)) => {
                drop(state);
                // Its time without a call begins anew.
                model.used.note();
                self.changed.notify_all();
                done(Ok(model));
            }
            Ok(Found::Loading) => {
                let (registry, name) = (self.clone(), uid.to_string());
                state.waiting.push((uid.into(), Box::new(move || registry.get(&name, ticket, done))));
            }
            Ok(Found::Idle(plan)) => {
                let loading = state.load(self, plan, ticket);
                drop(state);
                loading.run(Box::new(done));
            }
        }
    }

    /// What runs, by uid.
    pub fn list(&self) -> Vec<Running> {
        let mut state = self.lock();
        state.tidy();
        state.entries.values().map(Entry::describe).collect()
    }

    /// What it all comes to.
    pub fn stats(&self) -> Stats {
        let mut state = self.lock();
        state.tidy();
        let memory_budget = state.settings.as_ref().and_then(|settings| settings.memory_budget);
        Stats {
            memory_budget,
            shared: memory_budget.map(shared),
            held: state.ledger.held(),
            registered: state.registrations.len(),
            running: state.entries.len(),
            ready: state.entries.values().filter(|entry| entry.idle_for().is_some()).count(),
            work: Totals::of_process(),
        }
    }

    /// Lets a running model go: its uid is free. It lives on in the hands of those who have it; a load under way ends
    /// with [`Error::Terminated`].
    ///
    /// # Errors
    /// Nothing runs under that uid.
    pub fn terminate(&self, uid: &str) -> Result<(), Error> {
        let mut state = self.lock();
        state.tidy();
        let entry = state.entries.remove(uid).ok_or_else(|| state.unknown_uid(uid))?;
        drop(state);
        drop(entry);
        self.wake(uid);
        Ok(())
    }

    /// Terminates all running models; registrations and settings stay. Gives their number.
    pub fn stop_all(&self) -> usize {
        let mut state = self.lock();
        state.tidy();
        let entries = std::mem::take(&mut state.entries);
        drop(state);
        entries.keys().for_each(|uid| self.wake(uid));
        entries.len()
    }

    fn begin(self: &Arc<Self>, launch: Launch, ticket: Ticket) -> Result<Loading, Error> {
        let mut state = self.lock();
        state.tidy();
        let registration = state.registrations.get(&launch.name).cloned();
        let registration = registration.ok_or_else(|| state.unknown_name(&launch.name))?;
        let (uid, restart) = (launch.uid.clone(), launch.restart);
        if !restart && state.entries.contains_key(&uid) {
            let reason = "runs already; terminate it, choose another uid, or launch with restart";
            return Err(Error::Taken { what: "uid", name: uid, reason: reason.into() });
        }
        let settings = state.settings.clone().unwrap_or_default();
        let plan = Arc::new(Plan::new(launch, registration, &settings));
        let replaced = state.entries.remove(&uid);
        let loading = state.load(self, plan, ticket);
        drop(state);
        drop(replaced);
        self.watch()?;
        Ok(loading)
    }

    /// Lets those ask again who wait for a uid.
    fn wake(&self, uid: &str) {
        let mut state = self.lock();
        let (woken, waiting) =
            std::mem::take(&mut state.waiting).into_iter().partition(|(name, _)| name == uid);
        state.waiting = waiting;
        drop(state);
        self.changed.notify_all();
        let woken: Vec<(String, Waiter)> = woken;
        woken.into_iter().for_each(|(_, ask)| ask());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A name is free, or means the same already.
    fn check_new(&self, model: &Registration) -> Result<(), Error> {
        match self.registrations.get(&model.name) {
            Some(other) if other != model => {
                let reason = format!("is registered for {}, or with other options", other.folder);
                Err(Error::Taken { what: "model", name: model.name.clone(), reason })
            }
            _ => Ok(()),
        }
    }

    /// Takes back loads that nobody waits for any more.
    fn tidy(&mut self) {
        self.entries.retain(|_, entry| !entry.is_given_up() || entry.fall_back());
    }

    fn find(&mut self, uid: &str) -> Result<Found, Error> {
        self.tidy();
        match self.entries.get_mut(uid) {
            Some(entry) => Ok(entry.find()),
            None => Err(self.unknown_uid(uid)),
        }
    }

    /// Notes that a load begins.
    fn load(&mut self, registry: &Arc<Registry>, plan: Arc<Plan>, ticket: Ticket) -> Loading {
        self.loads += 1;
        let number = self.loads;
        match self.entries.get_mut(&plan.uid) {
            Some(entry) => entry.load(number, ticket.clone()),
            None => {
                let entry = Entry::new(plan.clone(), number, ticket.clone());
                self.entries.insert(plan.uid.clone(), entry);
            }
        }
        let settings = self.settings.clone().unwrap_or_default();
        let (registry, token) = (registry.clone(), Arc::default());
        Loading { registry, plan, number, ticket, settings, token, bytes: 0, committed: false }
    }

    /// A load came to nothing.
    fn give_up(&mut self, uid: &str, number: u64) {
        self.entries.retain(|name, entry| {
            let its = name == uid && entry.number == number && entry.is_loading();
            !its || entry.fall_back()
        });
    }

    fn unknown_name(&self, name: &str) -> Error {
        let hint = hint(name, self.registrations.keys(), "register it first");
        Error::UnknownModel { what: "registered model", name: name.into(), hint }
    }

    fn unknown_uid(&self, uid: &str) -> Error {
        let hint = hint(uid, self.entries.keys(), "launch it first");
        Error::UnknownModel { what: "running model", name: uid.into(), hint }
    }
}

fn hint<'a>(name: &str, known: impl Iterator<Item = &'a String>, remedy: &str) -> String {
    let names: Vec<_> = known.map(String::as_str).collect();
    let meant = meant(name, names.iter().copied());
    match names.is_empty() {
        true => format!(", and no other: {remedy}"),
        false => format!("{meant}; there are {}: {remedy}", names.join(", ")),
    }
}
