//! Letting go of models that nobody calls: one thread, asleep until the next of them is due.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{Registry, State};
use crate::contain::contained;
use crate::{Error, Model};

/// With nothing to wait for, it looks again after this long, as if it had been told.
const REST: Duration = Duration::from_secs(3600);

impl Registry {
    /// Starts the thread at the first model with an `idleTimeout`; it lives as long as the process.
    pub(super) fn watch(self: &Arc<Self>) -> Result<(), Error> {
        let mut state = self.lock();
        let timed = state.settings.as_ref().is_some_and(|settings| settings.idle_timeout.is_some());
        if !timed || state.watched {
            return Ok(());
        }
        let registry = self.clone();
        let thread = std::thread::Builder::new().name("embed-native-idle".into());
        thread.spawn(move || registry.keep_house()).map_err(|source| Error::Threads { source })?;
        state.watched = true;
        Ok(())
    }

    /// Looks and waits under one lock, so that no news is missed in between.
    fn keep_house(&self) {
        loop {
            let mut state = self.lock();
            let (idle, next) = state.unload_idle();
            if idle.is_empty() {
                let wait = next.unwrap_or(REST);
                drop(self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner));
                continue;
            }
            drop(state);
            // A fault in dropping a model would be a bug, and must not end the process.
            drop(contained(|| {
                drop(idle);
                Ok(())
            }));
        }
    }
}

impl State {
    /// The models that are due, taken out, and when the next one may be.
    fn unload_idle(&mut self) -> (Vec<Arc<Model>>, Option<Duration>) {
        let timeout = self.settings.as_ref().and_then(|settings| settings.idle_timeout);
        let Some(timeout) = timeout.map(Duration::from_millis) else { return (Vec::new(), None) };
        let due =
            self.entries.values_mut().filter(|entry| entry.idle_for().is_some_and(|idle| idle >= timeout));
        let unloaded = due.filter_map(|entry| entry.unload()).collect();
        let waits = self.entries.values().filter_map(|entry| entry.idle_for());
        let next = waits.map(|idle| timeout.saturating_sub(idle)).min();
        (unloaded, next.map(|wait| wait.max(Duration::from_millis(1))))
    }
}
