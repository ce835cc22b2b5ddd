//! The queue and the threads that all models of the process share.
//!
//! Threads start with the first task and then live as long as the process; they are named `embed-native-N`
//! and never touch JavaScript. Work that began goes before work that waits. A lane bounds how many tasks of
//! one model run at once.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

type Work = Box<dyn FnOnce() + Send>;

/// Bounds how many of a model's tasks run at once.
pub(crate) struct Lane {
    limit: usize,
}

impl Lane {
    /// At most `limit` threads, and at most as many as there are.
    pub(crate) fn new(limit: Option<usize>) -> Arc<Self> {
        let threads = Scheduler::process().threads;
        Arc::new(Self { limit: limit.map_or(threads, |limit| limit.clamp(1, threads)) })
    }

    /// Threads it may use.
    pub(crate) fn threads(&self) -> usize {
        self.limit
    }
}

struct Task {
    lane: Arc<Lane>,
    work: Work,
}

/// Where a task goes.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// Behind everything that waits.
    Last,
    /// Before it: the rest of something that began.
    First,
}

/// The process's queue.
pub(crate) struct Scheduler {
    threads: usize,
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Task>,
    /// How many tasks run, by lane (its address).
    running: Vec<(usize, usize)>,
    /// Threads that were started.
    threads: usize,
}

/// Runs `work` on one of the engine's threads, behind what waits.
pub fn spawn(work: impl FnOnce() + Send + 'static) {
    let scheduler = Scheduler::process();
    scheduler.push(&Lane::new(None), Place::Last, vec![Box::new(work)]);
}

impl Scheduler {
    /// The process's scheduler.
    pub(crate) fn process() -> &'static Scheduler {
        static SCHEDULER: OnceLock<Scheduler> = OnceLock::new();
        SCHEDULER.get_or_init(|| Scheduler {
            threads: crate::threads::allowed(),
            queue: Mutex::default(),
            wake: Condvar::new(),
        })
    }

    /// Adds tasks, in their order.
    pub(crate) fn push(&'static self, lane: &Arc<Lane>, place: Place, works: Vec<Work>) {
        let count = works.len();
        let tasks = works.into_iter().map(|work| Task { lane: lane.clone(), work });
        let mut queue = self.lock();
        match place {
            Place::Last => queue.tasks.extend(tasks),
            Place::First => tasks.rev().for_each(|task| queue.tasks.push_front(task)),
        }
        self.start(&mut queue);
        drop(queue);
        for _ in 0..count.min(self.threads) {
            self.wake.notify_one();
        }
    }

    /// Starts the threads that are missing. Fewer than wished for still do the work; with none at all the
    /// caller is told by a panic, which the doorway turns into an exception.
    fn start(&'static self, queue: &mut Queue) {
        while queue.threads < self.threads {
            let name = format!("embed-native-{}", queue.threads);
            match std::thread::Builder::new().name(name).spawn(move || self.run()) {
                Ok(_) => queue.threads += 1,
                Err(error) => {
                    assert!(queue.threads > 0, "the system gives this process no thread: {error}");
                    return;
                }
            }
        }
    }

    fn run(&self) {
        loop {
            let Task { lane, work } = self.next();
            // Work reports its own panics to whoever waits; this only keeps the thread.
            drop(catch_unwind(AssertUnwindSafe(work)));
            self.lock().leave(&lane);
            self.wake.notify_one();
        }
    }

    fn next(&self) -> Task {
        let mut queue = self.lock();
        loop {
            match queue.take() {
                Some(task) => return task,
                None => queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// The first task whose lane has room.
    fn take(&mut self) -> Option<Task> {
        let place = self.tasks.iter().position(|task| self.running(&task.lane) < task.lane.limit)?;
        let task = self.tasks.remove(place)?;
        self.enter(&task.lane);
        Some(task)
    }

    fn running(&self, lane: &Arc<Lane>) -> usize {
        let address = Arc::as_ptr(lane).addr();
        self.running.iter().find(|(known, _)| *known == address).map_or(0, |&(_, count)| count)
    }

    fn enter(&mut self, lane: &Arc<Lane>) {
        let address = Arc::as_ptr(lane).addr();
        match self.running.iter_mut().find(|(known, _)| *known == address) {
            Some((_, count)) => *count += 1,
            None => self.running.push((address, 1)),
        }
    }

    fn leave(&mut self, lane: &Arc<Lane>) {
        let address = Arc::as_ptr(lane).addr();
        if let Some(place) = self.running.iter().position(|(known, _)| *known == address) {
            self.running[place].1 -= 1;
            if self.running[place].1 == 0 {
                self.running.swap_remove(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_lane_of_one_never_runs_two() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        let (send, receive) = mpsc::channel();
        let lane = Lane::new(Some(1));
        for _ in 0..20 {
            let send = send.clone();
            let work = move || {
                let others = RUNNING.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(std::time::Duration::from_millis(1));
                RUNNING.fetch_sub(1, Ordering::SeqCst);
                send.send(others).unwrap();
            };
            Scheduler::process().push(&lane, Place::Last, vec![Box::new(work)]);
        }
        assert!(receive.iter().take(20).all(|others| others == 0));
    }

    #[test]
    fn a_panic_leaves_the_threads_alive() {
        let (send, receive) = mpsc::channel();
        for number in 0..64 {
            let send = send.clone();
            spawn(move || {
                send.send(number).unwrap();
                std::panic::resume_unwind(Box::new("on purpose"));
            });
        }
        assert_eq!(receive.iter().take(64).count(), 64);
    }
}
