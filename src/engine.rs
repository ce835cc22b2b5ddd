//! Jobs in, settled jobs out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use engine::{CacheTool, CallSettings, Registry, Request, Task, Ticket};
use napi::bindgen_prelude::{Either4, FnArgs, Function};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status};
use napi_derive::napi;

use crate::model::Model;
use crate::options::{EmbedOptions, HubOptions, LoadOptions, Pairs, RerankOptions, ticket};
use crate::settled::{Fault, Rows, Value};

/// The arguments of `settle`: job, fault, value.
type Settled = (u32, Option<Fault>, Option<Value>);
type Settle = ThreadsafeFunction<Settled, (), FnArgs<Settled>, Status, false, true>;

/// The way in, and the one way out, of one JavaScript environment.
#[napi]
pub struct Engine {
    out: Arc<Out>,
    /// Of the engines of this process.
    number: u32,
}

/// Called from any thread.
struct Out {
    settle: RwLock<Settle>,
    tickets: Mutex<HashMap<u32, Ticket>>,
}

impl Out {
    fn tickets(&self) -> MutexGuard<'_, HashMap<u32, Ticket>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a job's end to JavaScript. An environment that is going away takes nothing, and needs nothing.
    fn settle(&self, job: u32, outcome: Result<Value, engine::Error>) {
        self.tickets().remove(&job);
        let (fault, value) = match outcome {
            Ok(value) => (None, Some(value)),
            Err(engine::Error::Cancelled) => return,
            Err(error) => (Some(error.into()), None),
        };
        self.send(job, fault, value);
    }

    fn send(&self, job: u32, fault: Option<Fault>, value: Option<Value>) {
        let settle = self.settle.read().unwrap_or_else(PoisonError::into_inner);
        settle.call((job, fault, value), ThreadsafeFunctionCallMode::NonBlocking);
    }

    fn settle_model(&self, job: u32, loaded: Result<Arc<engine::Model>, engine::Error>) {
        self.settle(job, loaded.map(|loaded| Either4::A(Model::new(loaded))));
    }
}

/// An environment that goes away wants nothing any more.
impl Drop for Engine {
    fn drop(&mut self) {
        self.out.tickets().drain().for_each(|(_, ticket)| ticket.cancel());
    }
}

#[napi]
impl Engine {
    /// `settle(job, fault, value)` runs on this thread once for every job that ends; cancelled jobs do not. Before that it runs
    /// with a `Progress` as often as a download has one.
    #[napi(constructor, catch_unwind)]
    pub fn new(settle: Function<'_, FnArgs<Settled>, ()>) -> napi::Result<Self> {
        let settle = settle
            .build_threadsafe_function::<Settled>()
            .weak::<true>()
            .callee_handled::<false>()
            .build_callback(|context| Ok(FnArgs::from(context.value)))?;
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        Ok(Self { number, out: Arc::new(Out { settle: RwLock::new(settle), tickets: Mutex::default() }) })
    }

    /// Opens a model for a task by name, from its folder or by its own name; settles with a `Model`.
    #[napi(catch_unwind)]
    pub fn load(&self, job: u32, task: String, model: String, options: LoadOptions) {
        let Some(task) = Task::named(&task) else {
            let message = format!("no task is called {task:?}");
            return self.out.settle(job, Err(engine::Error::Internal { message }));
        };
        let out = self.out.clone();
        // Two hand-overs: to a thread that waits for a hub, if the model is named, and to one that computes.
        let (ticket, progress) = (self.ticket(job), self.progress(job));
        engine::fetch(model, options.into(), ticket, progress, move |fetched| match fetched {
            Err(error) => out.settle(job, Err(error)),
            Ok((model, options)) => engine::spawn(
                move || engine::Model::open(&model, &options, task),
                move |loaded| out.settle_model(job, loaded),
            ),
        });
    }

    /// Loads a registered model to run for the whole process, as the JSON `launch` says; settles with a `Model`. Gives its
    /// number for `withdraw_launch`.
    #[napi(catch_unwind)]
    pub fn launch(&self, job: u32, launch: String) -> f64 {
        let (out, ticket) = (self.out.clone(), self.ticket(job));
        Registry::process().launch(&launch, ticket, move |loaded| out.settle_model(job, loaded)) as f64
    }

    /// Opens a running model by its uid; settles with a `Model`.
    #[napi(catch_unwind)]
    pub fn open_running(&self, job: u32, uid: String) {
        let (out, ticket) = (self.out.clone(), self.ticket(job));
        Registry::process().get(&uid, ticket, move |loaded| out.settle_model(job, loaded));
    }

    /// Brings a model's files into the cache and opens nothing; settles with JSON: its name, folder and commit.
    #[napi(catch_unwind)]
    pub fn download(&self, job: u32, model: String, options: LoadOptions) {
        let out = self.out.clone();
        let (ticket, progress) = (self.ticket(job), self.progress(job));
        engine::download(model, options.into(), ticket, progress, move |fetched| {
            let json = |model| Either4::D(serde_json::to_string(&model).unwrap_or_default());
            out.settle(job, fetched.map(json));
        });
    }

    /// Converts the weights of a folder as the JSON `wanted` says; settles with JSON: where it is, what was written.
    #[napi(catch_unwind)]
    pub fn convert(&self, job: u32, folder: String, wanted: String) {
        let (out, ticket) = (self.out.clone(), self.ticket(job));
        engine::convert(folder, &wanted, ticket, move |converted| {
            let json = |converted| Either4::D(serde_json::to_string(&converted).unwrap_or_default());
            out.settle(job, converted.map(json));
        });
    }

    /// Uses a tool on the cache, of one model or of all; settles with JSON.
    #[napi(catch_unwind)]
    pub fn cache(&self, job: u32, tool: String, model: Option<String>, options: HubOptions) {
        let (out, ticket) = (self.out.clone(), self.ticket(job));
        let tool = CacheTool::named(&tool).unwrap_or(CacheTool::List);
        engine::use_cache(tool, model, options.into(), ticket, move |json| {
            out.settle(job, json.map(Either4::D))
        });
    }

    /// Runs texts through a model of any kind but a reranker; they share options; settles with `Rows`. Jobs of one line begin
    /// in their order, and take turns with others as one.
    #[napi(catch_unwind)]
    pub fn embed(&self, job: u32, line: u32, model: &Model, texts: Vec<String>, options: EmbedOptions) {
        let ticket = ticket(self.line(line), options.priority.as_deref());
        self.run(job, model, Request { texts, settings: options.into(), ticket });
    }

    /// Scores documents against a query; settles with `Rows` of one column. Lines are as in `embed`.
    #[napi(catch_unwind)]
    pub fn rerank(&self, job: u32, line: u32, model: &Model, pairs: Pairs, options: RerankOptions) {
        let ticket = ticket(self.line(line), options.priority.as_deref());
        let settings = CallSettings { query: Some(pairs.query), ..options.into() };
        self.run(job, model, Request { texts: pairs.documents, settings, ticket });
    }

    /// Counts tokens; settles with `Rows` without columns.
    #[napi(catch_unwind)]
    pub fn count(&self, job: u32, model: &Model, texts: Vec<String>) {
        let Some(loaded) = model.loaded() else { return self.disposed(job) };
        let ticket = Ticket::default();
        let done = self.settling(job, &ticket);
        loaded.count(texts, ticket, done);
    }

    /// Drops what has not begun of a job, which then does not settle. Unknown jobs are ignored.
    #[napi(catch_unwind)]
    pub fn cancel(&self, job: u32) {
        if let Some(ticket) = self.out.tickets().remove(&job) {
            ticket.cancel();
        }
    }

    /// Drops what has not begun of `count` texts of a job, from `row` on; the job settles all the same. Unknown jobs are ignored.
    #[napi(catch_unwind)]
    pub fn drop_rows(&self, job: u32, row: u32, count: u32) {
        if let Some(ticket) = self.out.tickets().get(&job) {
            ticket.drop_rows(row as usize..row.saturating_add(count) as usize);
        }
    }

    /// While `active`, the event loop stays alive for what this engine has to say.
    #[napi(catch_unwind)]
    pub fn hold(&self, env: Env, active: bool) -> napi::Result<()> {
        hold(&self.out, &env, active)
    }
}

impl Engine {
    /// A line of this environment's, as the process knows it.
    fn line(&self, line: u32) -> u64 {
        u64::from(self.number) << 32 | u64::from(line)
    }

    /// A new ticket, noted as the job's.
    fn ticket(&self, job: u32) -> Ticket {
        let ticket = Ticket::default();
        self.out.tickets().insert(job, ticket.clone());
        ticket
    }

    /// Notes a job's ticket; what it returns sends the job's rows to JavaScript.
    fn settling(
        &self,
        job: u32,
        ticket: &Ticket,
    ) -> impl FnOnce(Result<engine::Rows, engine::Error>) + Send + 'static {
        self.out.tickets().insert(job, ticket.clone());
        let out = self.out.clone();
        move |rows| out.settle(job, rows.map(|rows| Either4::B(Rows::from(rows))))
    }

    fn run(&self, job: u32, model: &Model, request: Request) {
        let Some(loaded) = model.loaded() else { return self.disposed(job) };
        let done = self.settling(job, &request.ticket);
        loaded.run(request, done);
    }

    /// What tells the job how far its files are.
    fn progress(&self, job: u32) -> impl Fn(engine::Progress) + Send + Sync + 'static {
        let told = self.out.clone();
        move |progress| told.send(job, None, Some(Either4::C(progress.into())))
    }

    fn disposed(&self, job: u32) {
        self.out.settle(job, Err(engine::Error::Disposed));
    }
}

#[expect(
    deprecated,
    reason = "clones keep the loop alive from birth to drop; this one must be able to let go"
)]
fn hold(out: &Out, env: &Env, active: bool) -> napi::Result<()> {
    let mut settle = out.settle.write().unwrap_or_else(PoisonError::into_inner);
    if active { settle.refer(env) } else { settle.unref(env) }
}
