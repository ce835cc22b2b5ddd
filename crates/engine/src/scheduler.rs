//! The queue and the threads that all models of the process share.
//!
//! Threads start with the first task and then live as long as the process; they are named `embed-native-N`
//! and never touch JavaScript. Jobs take turns, task by task, so a short one does not wait for the end of a
//! long one; jobs of one line are one in that, and begin in their order. Background jobs take their turns when no interactive one waits, and now and then all the same.
//! A lane bounds how many tasks of one model run at once. Threads that have nothing to do help those that lead a
//! [`Team`], until something else waits.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use kernels::{Team, step_back};

use crate::Error;
use crate::contain::contained;

/// A piece of work for one thread.
pub(crate) type Task = Box<dyn FnOnce() + Send>;

/// Whether somebody waits for a job.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Somebody does: before background work.
    #[default]
    Interactive,
    /// Nobody does: in the gaps.
    Background,
}

/// Of so many tasks one is a background job's, however many interactive ones wait: nothing starves.
const BACKGROUND_SHARE: usize = 16;

/// Bounds how many of a model's tasks run at once.
pub(crate) struct Lane {
    limit: usize,
    running: AtomicUsize,
}

impl Lane {
    /// At most `limit` threads, and at most as many as there are.
    pub(crate) fn new(limit: Option<usize>) -> Arc<Self> {
        let threads = Scheduler::process().threads;
        let limit = limit.map_or(threads, |limit| limit.clamp(1, threads));
        Arc::new(Self { limit, running: AtomicUsize::new(0) })
    }

    /// Threads it may use.
    pub(crate) fn threads(&self) -> usize {
        self.limit
    }

    // Changed under the queue's lock only; atomic because it is shared.
    fn has_room(&self) -> bool {
        self.running.load(Ordering::Relaxed) < self.limit
    }
}

/// Tells apart those that take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Party {
    /// A job by itself.
    Job(usize),
    /// All jobs of a line.
    Line(u64),
}

impl Party {
    fn of(line: Option<u64>) -> Self {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        line.map_or_else(|| Self::Job(LAST.fetch_add(1, Ordering::Relaxed)), Self::Line)
    }
}

/// The tasks of one party that wait.
struct Waiting {
    party: Party,
    priority: Priority,
    lane: Arc<Lane>,
    tasks: VecDeque<Task>,
}

/// The process's queue.
pub(crate) struct Scheduler {
    threads: usize,
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Whether jobs wait: as in the queue, for those who look often.
    busy: AtomicBool,
    /// How often something was added to the queue, for those who look often.
    news: AtomicUsize,
}

/// How far the engine's threads stand behind the one that runs JavaScript, in steps of `nice`, where the system knows them: it has
/// a core at once when it has something to do, also where as many threads compute as there are cores.
const STEPS_BACK: i32 = 5;

/// A thread that has nothing to do looks around for so long before it sleeps: it takes about as long to wake one, and a
/// program that embeds one text after the other is soon back.
const LINGER: Duration = Duration::from_micros(200);

#[derive(Default)]
struct Queue {
    /// In the order of their turns.
    jobs: VecDeque<Waiting>,
    /// Tasks handed out since the last one of a background job.
    passed: usize,
    /// Threads that were started.
    threads: usize,
    /// Those that sleep.
    asleep: usize,
    /// Passes that could do with help.
    teams: Vec<Led>,
}

/// A pass that a thread leads, in its model's lane.
struct Led {
    team: Arc<Team>,
    lane: Arc<Lane>,
}

/// Runs `work` on one of the engine's threads, in its turn, and gives what it makes to `done`; without a
/// thread, the fault goes to `done` at once.
pub fn spawn<T: 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    done: impl FnOnce(Result<T, Error>) + Send + 'static,
) {
    let scheduler = Scheduler::process();
    match scheduler.start() {
        Err(error) => done(Err(error)),
        Ok(()) => {
            let task = move || done(contained(work));
            scheduler.push(&Place::new(Lane::new(None), Priority::default(), None), vec![Box::new(task)]);
        }
    }
}

/// Where a job's tasks stand in the queue.
pub(crate) struct Place {
    party: Party,
    lane: Arc<Lane>,
    priority: Priority,
    /// Whether tasks of the job were queued before.
    began: AtomicBool,
}

impl Place {
    /// The place of a new job, in a line or by itself.
    pub(crate) fn new(lane: Arc<Lane>, priority: Priority, line: Option<u64>) -> Self {
        Self { party: Party::of(line), lane, priority, began: AtomicBool::new(false) }
    }
}

impl Scheduler {
    /// The process's scheduler.
    pub(crate) fn process() -> &'static Scheduler {
        static SCHEDULER: OnceLock<Scheduler> = OnceLock::new();
        SCHEDULER.get_or_init(|| Scheduler {
            threads: crate::threads::allowed(),
            queue: Mutex::default(),
            wake: Condvar::new(),
            busy: AtomicBool::new(false),
            news: AtomicUsize::new(0),
        })
    }

    /// Starts the threads that are missing; fewer than wished for still do the work.
    pub(crate) fn start(&'static self) -> Result<(), Error> {
        let mut queue = self.lock();
        while queue.threads < self.threads {
            let name = format!("embed-native-{}", queue.threads);
            let run = move || {
                step_back(STEPS_BACK);
                self.run();
            };
            match std::thread::Builder::new().name(name).spawn(run) {
                Ok(_) => queue.threads += 1,
                Err(_) if queue.threads > 0 => break,
                Err(source) => return Err(Error::Threads { source }),
            }
        }
        Ok(())
    }

    /// Adds tasks of a job: its first ones behind all of its line, later ones before those that wait, as what began is
    /// finished first.
    pub(crate) fn push(&self, place: &Place, tasks: Vec<Task>) {
        let count = tasks.len();
        let mut queue = self.lock();
        queue.add(place, tasks);
        self.busy.store(!queue.jobs.is_empty(), Ordering::Relaxed);
        self.announce(queue, count + 1);
    }

    /// Wakes as many threads as there is something to do for, and who may help them.
    fn announce(&self, queue: MutexGuard<'_, Queue>, wanted: usize) {
        let asleep = queue.asleep;
        self.news.fetch_add(1, Ordering::Release);
        drop(queue);
        (0..wanted.min(asleep)).for_each(|_| self.wake.notify_one());
    }

    /// Runs a pass of this lane, with the help of threads that have nothing to do.
    pub(crate) fn led<T>(&self, lane: &Arc<Lane>, pass: impl FnOnce() -> T) -> T {
        let team = Arc::new(Team::default());
        let mut queue = self.lock();
        queue.teams.push(Led { team: team.clone(), lane: lane.clone() });
        let room = lane.limit.saturating_sub(lane.running.load(Ordering::Relaxed));
        self.announce(queue, room);
        let _listed = Listed { scheduler: self, team: &team };
        team.lead(pass)
    }

    fn run(&self) {
        loop {
            let (lane, work) = self.next();
            // Work reports its own panics to whoever waits; this only keeps the thread.
            drop(catch_unwind(AssertUnwindSafe(|| match work {
                Turn::Task(task) => task(),
                Turn::Help(team) => team.help(|| !self.busy.load(Ordering::Relaxed)),
            })));
            let queue = self.lock();
            lane.running.fetch_sub(1, Ordering::Relaxed);
            // The lane has room for one that was passed over.
            if !queue.jobs.is_empty() {
                self.announce(queue, 1);
            }
        }
    }

    fn next(&self) -> (Arc<Lane>, Turn) {
        let mut queue = self.lock();
        loop {
            let next = queue.take().or_else(|| queue.help());
            self.busy.store(!queue.jobs.is_empty(), Ordering::Relaxed);
            if let Some(next) = next {
                return next;
            }
            let seen = self.news.load(Ordering::Relaxed);
            drop(queue);
            let found = self.linger(seen);
            queue = self.lock();
            if found || self.news.load(Ordering::Relaxed) != seen {
                continue;
            }
            queue.asleep += 1;
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.asleep -= 1;
        }
    }

    /// Looks around for a while; whether there is news.
    fn linger(&self, seen: usize) -> bool {
        let start = Instant::now();
        while self.news.load(Ordering::Acquire) == seen {
            if start.elapsed() >= LINGER {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A team is on the list until its pass ends, however it does.
struct Listed<'l> {
    scheduler: &'l Scheduler,
    team: &'l Arc<Team>,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.scheduler.lock().teams.retain(|led| !Arc::ptr_eq(&led.team, self.team));
    }
}

/// What a thread does next.
enum Turn {
    Task(Task),
    Help(Arc<Team>),
}

impl Queue {
    fn add(&mut self, place: &Place, tasks: Vec<Task>) {
        let &Place { party, ref lane, priority, ref began } = place;
        let began = began.swap(true, Ordering::Relaxed);
        match self.jobs.iter_mut().find(|waiting| waiting.party == party) {
            Some(waiting) if began => tasks.into_iter().rev().for_each(|task| waiting.tasks.push_front(task)),
            Some(waiting) => waiting.tasks.extend(tasks),
            None if tasks.is_empty() => {}
            None => {
                self.jobs.push_back(Waiting { party, priority, lane: lane.clone(), tasks: tasks.into() });
            }
        }
    }

    /// A pass to help with, when nothing waits.
    fn help(&self) -> Option<(Arc<Lane>, Turn)> {
        let led = self.teams.iter().filter(|_| self.jobs.is_empty()).find(|led| led.lane.has_room())?;
        led.lane.running.fetch_add(1, Ordering::Relaxed);
        Some((led.lane.clone(), Turn::Help(led.team.clone())))
    }

    /// The next task of the first party whose lane has room; that party's next turn comes last.
    fn take(&mut self) -> Option<(Arc<Lane>, Turn)> {
        let preferred =
            if self.passed + 1 < BACKGROUND_SHARE { Priority::Interactive } else { Priority::Background };
        let ready = |waiting: &Waiting| waiting.lane.has_room();
        let place = self.jobs.iter().position(|waiting| waiting.priority == preferred && ready(waiting));
        let place = place.or_else(|| self.jobs.iter().position(ready))?;
        let background = self.jobs[place].priority == Priority::Background;
        self.passed = if background { 0 } else { (self.passed + 1).min(BACKGROUND_SHARE) };
        let mut waiting = self.jobs.remove(place)?;
        let task = waiting.tasks.pop_front()?;
        let lane = waiting.lane.clone();
        lane.running.fetch_add(1, Ordering::Relaxed);
        if !waiting.tasks.is_empty() {
            self.jobs.push_back(waiting);
        }
        Some((lane, Turn::Task(task)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_lane_of_one_never_runs_two() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        let (send, receive) = mpsc::channel();
        let lane = Lane::new(Some(1));
        Scheduler::process().start().unwrap();
        for _ in 0..20 {
            let send = send.clone();
            let work = move || {
                let others = RUNNING.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(std::time::Duration::from_millis(1));
                RUNNING.fetch_sub(1, Ordering::SeqCst);
                send.send(others).unwrap();
            };
            let place = Place::new(lane.clone(), Priority::default(), None);
            Scheduler::process().push(&place, vec![Box::new(work)]);
        }
        assert!(receive.iter().take(20).all(|others| others == 0));
    }

    #[test]
    fn a_panic_leaves_the_threads_alive() {
        let (send, receive) = mpsc::channel();
        for number in 0..64 {
            let send = send.clone();
            let work = move || -> Result<(), Error> { panic!("on purpose: {number}") };
            spawn(work, move |outcome| send.send(outcome.is_err()).unwrap());
        }
        assert!(receive.iter().take(64).all(|failed| failed));
    }

    /// The order in which one thread runs jobs of `(name, priority, tasks)`.
    fn order_of(jobs: &[(&'static str, Priority, usize)]) -> Vec<String> {
        order_in_lines(
            &jobs.iter().map(|&(name, priority, count)| (name, priority, count, None)).collect::<Vec<_>>(),
        )
    }

    /// The same of jobs with a line.
    fn order_in_lines(jobs: &[(&'static str, Priority, usize, Option<u64>)]) -> Vec<String> {
        let mut queue = Queue::default();
        let order = Arc::new(Mutex::new(Vec::new()));
        for &(name, priority, count, line) in jobs {
            let task = |number| -> Task {
                let order = order.clone();
                Box::new(move || order.lock().unwrap().push(format!("{name} {number}")))
            };
            let lane = Arc::new(Lane { limit: usize::MAX, running: AtomicUsize::new(0) });
            queue.add(&Place::new(lane, priority, line), (0..count).map(task).collect());
        }
        while let Some((_, Turn::Task(task))) = queue.take() {
            task();
        }
        let order = order.lock().unwrap();
        order.clone()
    }

    #[test]
    fn jobs_take_turns() {
        let same = Priority::Interactive;
        let order = order_of(&[("long", same, 4), ("short", same, 1), ("other", same, 2)]);
        assert_eq!(order, ["long 0", "short 0", "other 0", "long 1", "other 1", "long 2", "long 3"]);
    }

    #[test]
    fn jobs_of_a_line_take_turns_as_one_in_their_order() {
        let (same, line) = (Priority::Interactive, Some(7));
        let jobs = [("first", same, 2, line), ("second", same, 1, line), ("other", same, 2, Some(8))];
        assert_eq!(order_in_lines(&jobs), ["first 0", "other 0", "first 1", "other 1", "second 0"]);
    }

    #[test]
    fn what_began_is_finished_before_the_next_of_its_line() {
        let (mut queue, order) = (Queue::default(), Arc::new(Mutex::new(Vec::new())));
        let task = |name: &'static str| -> Vec<Task> {
            let order = order.clone();
            vec![Box::new(move || order.lock().unwrap().push(name))]
        };
        let lane = Arc::new(Lane { limit: usize::MAX, running: AtomicUsize::new(0) });
        let [first, second] = [(); 2].map(|()| Place::new(lane.clone(), Priority::default(), Some(7)));
        let run_one = |queue: &mut Queue| match queue.take() {
            Some((_, Turn::Task(task))) => task(),
            _ => panic!("a task waits"),
        };
        queue.add(&first, task("read first"));
        queue.add(&second, task("read second"));
        run_one(&mut queue);
        queue.add(&first, task("compute first"));
        (0..2).for_each(|_| run_one(&mut queue));
        assert!(queue.take().is_none());
        assert_eq!(*order.lock().unwrap(), ["read first", "compute first", "read second"]);
    }

    #[test]
    fn background_jobs_wait_for_interactive_ones() {
        let order = order_of(&[("bulk", Priority::Background, 3), ("query", Priority::Interactive, 2)]);
        assert_eq!(order, ["query 0", "query 1", "bulk 0", "bulk 1", "bulk 2"]);
    }

    #[test]
    fn a_pass_is_helped_when_nothing_waits_and_its_lane_has_room() {
        let lane = Arc::new(Lane { limit: 2, running: AtomicUsize::new(1) });
        let led = || Led { team: Arc::default(), lane: lane.clone() };
        let mut queue = Queue { teams: vec![led()], ..Queue::default() };
        queue.jobs.push_back(Waiting {
            party: Party::of(None),
            priority: Priority::default(),
            lane: lane.clone(),
            tasks: VecDeque::from([Box::new(|| {}) as Task]),
        });
        assert!(queue.help().is_none(), "a task waits");
        queue.jobs.clear();
        assert!(queue.help().is_some());
        assert_eq!(lane.running.load(Ordering::Relaxed), 2);
        assert!(queue.help().is_none(), "the lane is full");
    }

    #[test]
    fn a_pass_that_panics_needs_no_more_help() {
        let scheduler = Scheduler::process();
        let lane = Lane::new(None);
        let led = catch_unwind(AssertUnwindSafe(|| scheduler.led(&lane, || panic!("on purpose"))));
        assert!(led.is_err());
        assert!(scheduler.lock().teams.iter().all(|led| !Arc::ptr_eq(&led.lane, &lane)));
    }

    #[test]
    fn background_jobs_do_not_starve() {
        let order = order_of(&[("bulk", Priority::Background, 2), ("query", Priority::Interactive, 100)]);
        let places: Vec<_> = order.iter().enumerate().filter(|(_, name)| name.starts_with("bulk")).collect();
        assert_eq!(places.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [15, 31]);
    }
}
