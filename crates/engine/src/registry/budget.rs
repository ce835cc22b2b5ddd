//! Who has how much of the memory budget.

use std::any::Any;
use std::sync::{Arc, Weak};

use crate::Error;

/// What the models of a budget may hold: 70 % of it. The rest is working space.
pub(crate) fn shared(budget: u64) -> u64 {
    budget / 10 * 7 + budget % 10 * 7 / 10
}

/// The least budget of which models may hold so many bytes.
fn enough(bytes: u64) -> u64 {
    (u128::from(bytes) * 10).div_ceil(7).try_into().unwrap_or(u64::MAX)
}

/// The bytes that are given out, as long as their holders live.
#[derive(Default)]
pub(crate) struct Ledger {
    loans: Vec<(u64, Weak<dyn Any + Send + Sync>)>,
}

impl Ledger {
    /// Bytes of all holders that are alive.
    pub(crate) fn held(&mut self) -> u64 {
        self.loans.retain(|(_, holder)| holder.strong_count() > 0);
        self.loans.iter().fold(0, |sum, (bytes, _)| sum.saturating_add(*bytes))
    }

    /// Notes a loan to somebody: a load under way, or a model, be it held by the registry or by a handle only.
    pub(crate) fn lend<T: Any + Send + Sync>(&mut self, bytes: u64, holder: &Arc<T>) {
        self.loans.retain(|(_, holder)| holder.strong_count() > 0);
        let holder = Arc::downgrade(holder);
        self.loans.push((bytes, holder));
    }

    /// Whether a model of so many bytes may be loaded as one of `models`: it must fit its equal share, and into what
    /// those that run have left, as none of them is shrunk.
    ///
    /// # Errors
    /// [`Error::Budget`] with the numbers.
    pub(crate) fn check(&mut self, uid: &str, bytes: u64, budget: u64, models: usize) -> Result<(), Error> {
        let held = self.held();
        let share = shared(budget) / models.max(1) as u64;
        if bytes <= share && bytes <= shared(budget).saturating_sub(held) {
            return Ok(());
        }
        let enough = enough(bytes.saturating_mul(models.max(1) as u64).max(bytes.saturating_add(held)));
        Err(Error::Budget { uid: uid.into(), bytes, share, budget, models, held, enough })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_gets_an_equal_share_and_no_more_than_is_left() {
        let mut ledger = Ledger::default();
        assert_eq!(shared(1000), 700);
        assert_eq!(shared(u64::MAX), u64::MAX / 10 * 7 + 3);
        assert!(ledger.check("a", 700, 1000, 1).is_ok());
        assert!(ledger.check("a", 701, 1000, 1).is_err());
        let first = Arc::new(());
        ledger.lend(700, &first);
        let error = ledger.check("b", 1, 1000, 2).unwrap_err();
        assert!(matches!(error, Error::Budget { share: 350, held: 700, enough: 1002, .. }), "{error}");
        let told = error.to_string();
        assert!(told.contains("raise memoryBudget to 1002 bytes") && !told.contains("  "), "{told}");
        assert!(ledger.check("b", 1, 1002, 2).is_ok() && ledger.check("b", 1, 1001, 2).is_err());
        drop(first);
        assert!(ledger.check("b", 350, 1000, 2).is_ok(), "what was held is free");
        assert!(ledger.check("b", 351, 1000, 2).is_err(), "the share is what it was");
        assert!(ledger.loans.is_empty());
    }
}
