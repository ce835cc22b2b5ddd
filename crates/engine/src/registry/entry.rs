//! A running model, and what it is doing.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::Serialize;

use super::launch::Plan;
use crate::load::Task;
use crate::{Info, Model, Ticket};

/// What a user sees of a running model.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// What it is called by.
    pub uid: String,
    /// The registration it was launched by.
    pub model: String,
    /// What it is for.
    pub task: Task,
    /// `"loading"`, `"ready"`, or `"idle"`: let go until it is asked for.
    pub state: &'static str,
    /// About what it holds, or would hold again.
    pub bytes: u64,
    /// What it is and how it runs, while it is ready.
    pub info: Option<Info>,
}

/// A place in the registry.
pub(crate) struct Entry {
    pub(super) plan: Arc<Plan>,
    /// Of its last load.
    pub(super) number: u64,
    phase: Phase,
    bytes: u64,
    /// Once it was ready; before that, a load that fails ends it.
    model: Option<Weak<Model>>,
}

enum Phase {
    Loading(Ticket),
    Ready(Arc<Model>),
    Idle,
}

/// What somebody finds who asks for a model.
pub(crate) enum Found {
    /// The model.
    Ready(Arc<Model>),
    /// A load is under way.
    Loading,
    /// It must be loaded, by this plan.
    Idle(Arc<Plan>),
}

impl Entry {
    /// One whose first load begins.
    pub(crate) fn new(plan: Arc<Plan>, number: u64, ticket: Ticket) -> Self {
        Self { plan, number, phase: Phase::Loading(ticket), bytes: 0, model: None }
    }

    /// Another load begins.
    pub(crate) fn load(&mut self, number: u64, ticket: Ticket) {
        self.number = number;
        self.phase = Phase::Loading(ticket);
    }

    /// The load ended well; the model holds so many bytes.
    pub(crate) fn ready(&mut self, model: Arc<Model>, bytes: u64) {
        self.model = Some(Arc::downgrade(&model));
        self.phase = Phase::Ready(model);
        self.bytes = bytes;
    }

    /// The load failed or nobody waits for it: back to where it was. False: it never was anywhere.
    pub(crate) fn fall_back(&mut self) -> bool {
        self.phase = Phase::Idle;
        self.model.is_some()
    }

    /// Whether a load is under way that nobody waits for.
    pub(crate) fn is_given_up(&self) -> bool {
        matches!(&self.phase, Phase::Loading(ticket) if ticket.is_cancelled())
    }

    /// Whether a load is under way.
    pub(crate) fn is_loading(&self) -> bool {
        matches!(self.phase, Phase::Loading(_))
    }

    /// Whether it has, or is about to have, a share of the budget.
    pub(crate) fn counts(&self) -> bool {
        !matches!(self.phase, Phase::Idle)
    }

    /// The model, or how to come by it. One that was let go and is still in somebody's hands is not loaded again.
    pub(crate) fn find(&mut self) -> Found {
        if let Phase::Idle = self.phase
            && let Some(model) = self.model.as_ref().and_then(Weak::upgrade)
        {
            self.phase = Phase::Ready(model);
        }
        match &self.phase {
            Phase::Loading(_) => Found::Loading,
            Phase::Ready(model) => Found::Ready(model.clone()),
            Phase::Idle => Found::Idle(self.plan.clone()),
        }
    }

    /// How long it has been without a call.
    pub(crate) fn idle_for(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Ready(model) => Some(model.used.ago()),
            _ => None,
        }
    }

    /// Lets the model go, to be dropped where no lock is held.
    pub(crate) fn unload(&mut self) -> Option<Arc<Model>> {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Ready(model) => Some(model),
            other => {
                self.phase = other;
                None
            }
        }
    }

    /// What a user sees.
    pub(crate) fn describe(&self) -> Running {
        let (state, info) = match &self.phase {
            Phase::Loading(_) => ("loading", None),
            Phase::Ready(model) => ("ready", Some(model.info().clone())),
            Phase::Idle => ("idle", None),
        };
        let registration = &self.plan.registration;
        Running {
            uid: self.plan.uid.clone(),
            model: registration.name.clone(),
            task: registration.task,
            state,
            bytes: self.bytes,
            info,
        }
    }
}
