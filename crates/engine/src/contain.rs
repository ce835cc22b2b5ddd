//! A panic ends the work that caused it, never the host.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use crate::Error;

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `work`; a panic becomes [`Error::Internal`] with its message and place.
///
/// # Errors
/// Those of `work`, and a contained panic.
pub fn contained<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    static QUIET: Once = Once::new();
    QUIET.call_once(keep_contained_panics_quiet);
    let outer = CONTAINED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(outer);
    outcome.unwrap_or_else(|_| {
        let message = LAST.take().unwrap_or_else(|| "panic without a message".into());
        Err(Error::Internal { message })
    })
}

/// What a contained panic says goes to whoever catches it, not to the host's standard error. An addon has a
/// Rust runtime of its own, so this hook sees no other library's panics.
fn keep_contained_panics_quiet() {
    let previous = take_hook();
    set_hook(Box::new(move |panic| match CONTAINED.get() {
        true => drop(LAST.replace(Some(panic.to_string()))),
        false => previous(panic),
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_place() {
        let Err(Error::Internal { message }) = contained::<()>(|| panic!("number {}", 7)) else {
            panic!("not contained")
        };
        assert!(message.contains("number 7") && message.contains("contain.rs"), "{message}");
    }
}
