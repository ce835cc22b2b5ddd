//! First computations, so that the first call finds memory, caches and threads as later ones do.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Done, Settings};
use crate::{CallSettings, Error, Model, Request, Rows, Task, Ticket};

/// The texts of a warm-up, group by group: one text of each length, then batches of each size at the shortest length.
/// Lengths end at the model's own limit.
pub(crate) fn groups(settings: &Settings, max_length: usize) -> VecDeque<Vec<String>> {
    if !settings.warm_up {
        return VecDeque::new();
    }
    let mut lengths: Vec<_> = settings.length_buckets.iter().map(|&tokens| tokens.min(max_length)).collect();
    lengths.dedup();
    let shortest = lengths.first().copied().unwrap_or(1);
    let batches = settings.batch_buckets.iter().filter(|&&texts| texts > 1);
    let batches = batches.map(|&texts| vec![text(shortest); texts]);
    lengths.iter().map(|&tokens| vec![text(tokens)]).chain(batches).collect()
}

/// At least so many tokens; what is too long is cut.
fn text(tokens: usize) -> String {
    "a ".repeat(tokens)
}

/// Computes the groups one after the other on the engine's threads, and gives the model on. A text that fails, fails
/// the load: it would fail in a call.
pub(crate) fn run(model: Arc<Model>, mut groups: VecDeque<Vec<String>>, ticket: Ticket, then: Done) {
    let Some(texts) = groups.pop_front() else { return then(Ok(model)) };
    let query = (model.task() == Task::Rerank).then(|| "a".into());
    let settings = CallSettings { query, ..CallSettings::default() };
    let (computing, next) = (model.clone(), ticket.clone());
    computing.run(Request { texts, settings, ticket }, move |rows| match rows.and_then(sound) {
        Ok(()) => run(model, groups, next, then),
        Err(error) => then(Err(error)),
    });
}

fn sound(rows: Rows) -> Result<(), Error> {
    rows.faults.into_iter().next().map_or(Ok(()), |fault| Err(fault.error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(settings: &Settings, max_length: usize) -> Vec<(usize, usize)> {
        groups(settings, max_length).iter().map(|texts| (texts.len(), texts[0].len() / 2)).collect()
    }

    #[test]
    fn lengths_and_batches_are_the_buckets_within_the_models_limit() {
        let [plain, performance] = Settings::presets();
        assert!(sizes(&plain, 512).is_empty(), "no warm-up");
        let batches = [(2, 512), (3, 512), (4, 512), (5, 512), (6, 512), (7, 512), (8, 512)];
        let short = [(1, 512), (1, 1000)].into_iter().chain(batches).collect::<Vec<_>>();
        assert_eq!(sizes(&performance, 1000), short);
        assert_eq!(sizes(&performance, 8192).len(), 15);
        assert_eq!(sizes(&performance, 64)[..2], [(1, 64), (2, 64)]);
    }
}
