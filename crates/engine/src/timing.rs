//! Where the time of a job goes, and how fast a model is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The times of one job. Work of several threads is added up.
#[derive(Debug, Default, Clone, Copy)]
pub struct Timing {
    /// From the start of the job to its first task.
    pub queue: Duration,
    /// Texts to token ids.
    pub tokenization: Duration,
    /// In the backend.
    pub inference: Duration,
}

/// Measures one job; its tasks share it.
pub(crate) struct Clock {
    start: Instant,
    queue: OnceLock<Duration>,
    tokenization: AtomicU64,
    inference: AtomicU64,
}

impl Clock {
    /// Begins now.
    pub(crate) fn start() -> Self {
        let (tokenization, inference) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { start: Instant::now(), queue: OnceLock::new(), tokenization, inference }
    }

    /// Runs and times `work`, the first of which ends the wait.
    pub(crate) fn tokenization(&self, work: impl FnOnce()) {
        self.queue.get_or_init(|| self.start.elapsed());
        let start = Instant::now();
        work();
        add(&self.tokenization, start.elapsed());
    }

    /// Runs and times `work`; gives its time.
    pub(crate) fn inference<E>(&self, work: impl FnOnce() -> Result<(), E>) -> Result<Duration, E> {
        let start = Instant::now();
        work()?;
        let taken = start.elapsed();
        add(&self.inference, taken);
        Ok(taken)
    }

    /// The times so far.
    pub(crate) fn timing(&self) -> Timing {
        let read = |nanoseconds: &AtomicU64| Duration::from_nanos(nanoseconds.load(Ordering::Relaxed));
        Timing {
            queue: self.queue.get().copied().unwrap_or_default(),
            tokenization: read(&self.tokenization),
            inference: read(&self.inference),
        }
    }
}

fn add(sum: &AtomicU64, time: Duration) {
    sum.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
}

/// When a model was last asked or at work.
pub(crate) struct LastUse(Mutex<Instant>);

impl LastUse {
    /// That is now.
    pub(crate) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long ago that was.
    pub(crate) fn ago(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

impl Default for LastUse {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

/// Nanoseconds a token has taken of late.
#[derive(Default)]
pub(crate) struct Pace(AtomicU64);

/// A new measurement counts one in so many.
const MEMORY: u64 = 8;

impl Pace {
    /// A batch of so many tokens took so long.
    pub(crate) fn note(&self, tokens: usize, time: Duration) {
        let now = time.as_nanos() as u64 / tokens.max(1) as u64;
        let before = self.0.load(Ordering::Relaxed);
        let mixed = if before == 0 { now } else { (before * (MEMORY - 1) + now) / MEMORY };
        self.0.store(mixed, Ordering::Relaxed);
    }

    /// How long so many tokens take, once something was measured.
    pub(crate) fn time_of(&self, tokens: usize) -> Option<Duration> {
        let pace = self.0.load(Ordering::Relaxed);
        (pace > 0).then(|| Duration::from_nanos(pace.saturating_mul(tokens as u64)))
    }

    /// How many tokens take about so long; at least one, without limit until something was measured.
    pub(crate) fn tokens_of(&self, time: Duration) -> usize {
        let tokens = (time.as_nanos() as u64).checked_div(self.0.load(Ordering::Relaxed));
        tokens.map_or(usize::MAX, |tokens| tokens.max(1) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_follows_what_it_is_told() {
        let pace = Pace::default();
        assert_eq!(pace.tokens_of(Duration::from_millis(1)), usize::MAX);
        assert_eq!(pace.time_of(1), None);
        pace.note(100, Duration::from_millis(1));
        assert_eq!(pace.tokens_of(Duration::from_millis(25)), 2500);
        assert_eq!(pace.time_of(2500), Some(Duration::from_millis(25)));
        (0..100).for_each(|_| pace.note(100, Duration::from_millis(10)));
        assert!((250..260).contains(&pace.tokens_of(Duration::from_millis(25))), "slower now");
        assert_eq!(pace.tokens_of(Duration::ZERO), 1);
    }

    #[test]
    fn times_are_added_up_and_the_wait_is_measured_once() {
        let clock = Clock::start();
        std::thread::sleep(Duration::from_millis(2));
        clock.tokenization(|| std::thread::sleep(Duration::from_millis(1)));
        let queue = clock.timing().queue;
        clock.tokenization(|| std::thread::sleep(Duration::from_millis(1)));
        clock.inference(|| Ok::<(), ()>(())).unwrap();
        let timing = clock.timing();
        assert!(timing.queue >= Duration::from_millis(2) && timing.queue == queue);
        assert!(timing.tokenization >= Duration::from_millis(2));
        assert!(clock.inference(|| Err(7)).is_err());
    }
}
