//! A model on its way into the registry.

use std::path::Path;
use std::sync::Arc;

use super::fields::{Fields, Origin};
use super::registration::{Registration, check_name, device};
use super::{Done, Registry, Settings, warm_up};
use crate::{Error, LoadOptions, Model, Ticket, load};

/// What a call of `launch` asks for.
pub(crate) struct Launch {
    /// The registration's name.
    pub(crate) name: String,
    /// What the running model is called by; as the registration, where none is given.
    pub(crate) uid: String,
    /// Instead of the registration's.
    pub(crate) device: Option<String>,
    /// Whether a running model of that uid is replaced.
    pub(crate) restart: bool,
    /// As in [`LoadOptions`].
    pub(crate) onnx_library: Option<String>,
}

const NAMES: [&str; 5] = ["name", "uid", "device", "restart", "onnxLibrary"];

impl Launch {
    /// Reads JSON.
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        let origin = Origin::Call("launch");
        let value = origin.parse(text.as_bytes())?;
        let fields = Fields::of(&value, origin, "options", &NAMES)?;
        let name = fields.text("name")?.unwrap_or_default();
        let uid = fields.text("uid")?.unwrap_or_else(|| name.clone());
        check_name("uid", &uid, origin)?;
        let restart = fields.flag("restart")?.unwrap_or_default();
        let (device, onnx_library) = (device(&fields)?, fields.text("onnxLibrary")?);
        Ok(Self { name, uid, device, restart, onnx_library })
    }
}

/// How a running model is loaded, each time.
pub(crate) struct Plan {
    pub(crate) uid: String,
    pub(crate) registration: Registration,
    pub(crate) options: LoadOptions,
}

impl Plan {
    pub(crate) fn new(launch: Launch, registration: Registration, settings: &Settings) -> Self {
        let Launch { uid, device, onnx_library, .. } = launch;
        let own = registration.options.clone();
        let options = LoadOptions {
            device: device.or(own.device.clone()),
            onnx_library,
            length_cap: Some(settings.max_length),
            ..own
        };
        Self { uid, registration, options }
    }

    fn load(&self) -> Result<Arc<Model>, Error> {
        Model::load(&self.registration.folder, &self.options, self.registration.task)
    }

    fn bytes(&self) -> Result<u64, Error> {
        let folder = Path::new(&self.registration.folder);
        if !folder.is_dir() {
            return Err(Error::OnlyFolders { name: self.registration.folder.clone() });
        }
        load::bytes(folder, &self.options, self.registration.task)
    }
}

/// A load under way. Whatever becomes of it, dropping it leaves the registry as if it had not been, unless it was
/// committed; then those who wait for its uid are told.
pub(crate) struct Loading {
    pub(super) registry: Arc<Registry>,
    pub(super) plan: Arc<Plan>,
    /// Tells loads of one uid apart.
    pub(super) number: u64,
    pub(super) ticket: Ticket,
    pub(super) settings: Settings,
    /// Lives as long as the load holds memory.
    pub(super) token: Arc<()>,
    pub(super) bytes: u64,
    pub(super) committed: bool,
}

impl Loading {
    /// Loads and warms up on the engine's threads; `done` is called when the registry has the model, or has not.
    pub(crate) fn run(self, done: Done) {
        crate::spawn(
            move || self.load(),
            move |outcome| match outcome {
                Err(error) => done(Err(error)),
                Ok((loading, model)) => {
                    let groups = warm_up::groups(&loading.settings, model.info().max_length);
                    let ticket = loading.ticket.clone();
                    let then = |warm: Result<_, Error>| done(warm.and_then(|model| loading.commit(model)));
                    warm_up::run(model, groups, ticket, Box::new(then));
                }
            },
        );
    }

    fn load(mut self) -> Result<(Self, Arc<Model>), Error> {
        self.bytes = self.plan.bytes()?;
        self.reserve()?;
        let model = self.plan.load()?;
        match self.ticket.is_cancelled() {
            true => Err(Error::Cancelled),
            false => Ok((self, model)),
        }
    }

    /// Takes its share of the budget before anything large is read.
    fn reserve(&self) -> Result<(), Error> {
        let mut state = self.registry.lock();
        state.tidy();
        let others = state.entries.values().filter(|entry| entry.counts() && entry.number != self.number);
        let models = self.settings.configured_models.max(others.count() + 1);
        if let Some(budget) = self.settings.memory_budget {
            state.ledger.check(&self.plan.uid, self.bytes, budget, models)?;
        }
        state.ledger.lend(self.bytes, &self.token);
        Ok(())
    }

    /// The model is ready, unless nobody wants it any more.
    fn commit(mut self, model: Arc<Model>) -> Result<Arc<Model>, Error> {
        let mut state = self.registry.lock();
        if self.ticket.is_cancelled() {
            return Err(Error::Cancelled);
        }
        match state.entries.get_mut(&self.plan.uid).filter(|entry| entry.number == self.number) {
            Some(entry) => entry.ready(model.clone(), self.bytes),
            None => return Err(Error::Terminated { uid: self.plan.uid.clone() }),
        }
        self.token = Arc::default();
        state.ledger.lend(self.bytes, &model);
        drop(state);
        self.committed = true;
        Ok(model)
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.token = Arc::default();
        if !self.committed {
            self.registry.lock().give_up(&self.plan.uid, self.number);
        }
        self.registry.wake(&self.plan.uid);
    }
}
