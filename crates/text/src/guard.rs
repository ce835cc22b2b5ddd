//! Panics of the `tokenizers` crate become errors.
//!
//! A crafted `tokenizer.json` can make that crate panic while loading (a BPE
//! merge longer than any token) and while encoding (indexing, `unwrap`). Who
//! calls this crate decides whether the panic hook prints (`engine::contained`
//! keeps it quiet).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work`; a panic or an error of any kind comes back as its message.
///
/// `AssertUnwindSafe`: the tokenizer's only shared mutable state is its word
/// cache, whose lock is tried and skipped when poisoned.
pub(crate) fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("it panicked: {}", message(&*panic))),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        let result: Result<(), String> = guarded(|| panic!("at {}", 7));
        assert_eq!(result, Err("it panicked: at 7".into()));
    }

    #[test]
    fn an_error_keeps_its_message() {
        let result: Result<(), String> = guarded(|| Err("no".into()));
        assert_eq!(result, Err("no".into()));
    }
}
