//! Calls that several threads compute: one thread leads, those that have nothing else to do help.
//!
//! A text of a few words is too small for a batch, and one thread would compute it while the others sleep. So the thread
//! that runs a pass may lead a [`Team`]: each call that is worth it is cut into parts, by outputs or by heads, and whoever
//! is there takes one after the other. The leader waits for nobody to come and so never for a thread that the
//! system does not run; it waits for the parts that others took. An element's bits do not depend on the parts.
//!
//! Between calls helpers spin, as waking a thread takes as long as some calls do. They sleep when the pass ends.
#![expect(unsafe_code, reason = "a call is lent to other threads")]

use std::any::Any;
use std::cell::{RefCell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::op::attention::Scratch;

/// Multiply-adds that make another part worth while: some microseconds, where handing over takes a third of one.
const PART: usize = 400_000;

/// Looks at the team before a thread that waits lets others run.
const LOOKS: u32 = 1_000;

/// Threads that compute one pass.
#[derive(Default)]
pub struct Team {
    helpers: AtomicUsize,
    turn: AtomicU64,
    done: AtomicUsize,
    call: UnsafeCell<Option<Call>>,
    panicked: AtomicBool,
    ended: AtomicBool,
}

/// A part of a call, by its number.
type Part<'p> = dyn Fn(usize, &mut Scratch) + Sync + 'p;

/// A call whose lifetime is kept by [`Team::share`]: it ends after all parts have.
struct Call(*const Part<'static>);

// SAFETY: `call` is written by the leader while no part is left to take or at work, which `turn` and `done` tell, and
// read by those who took a part; the call itself is `Sync`.
unsafe impl Sync for Team {}
// SAFETY: the same.
unsafe impl Send for Team {}

thread_local! {
    /// The team that the calling thread leads.
    static LED: RefCell<Option<Arc<Team>>> = const { RefCell::new(None) };
    /// What helping needs.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Which call it is, how many parts it has and how many of them are taken, in one word.
#[derive(Clone, Copy)]
struct Turn(u64);

impl Turn {
    fn next(self, parts: usize) -> Self {
        Self(((self.0 >> 32) + 1) << 32 | (parts as u64) << 16)
    }

    fn parts(self) -> usize {
        (self.0 >> 16) as usize & 0xffff
    }

    fn taken(self) -> usize {
        self.0 as usize & 0xffff
    }
}

impl Team {
    /// Runs `pass` on this thread, which leads the team until the pass ends.
    pub fn lead<T>(self: &Arc<Self>, pass: impl FnOnce() -> T) -> T {
        /// The end, however the pass does.
        struct End<'t>(&'t Team);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                LED.set(None);
                self.0.ended.store(true, Ordering::Release);
            }
        }
        let _end = End(self);
        LED.set(Some(self.clone()));
        pass()
    }

    /// Takes parts of the leader's calls until the pass ends or `stay` says no.
    pub fn help(&self, stay: impl Fn() -> bool) {
        self.helpers.fetch_add(1, Ordering::AcqRel);
        SCRATCH.with_borrow_mut(|scratch| {
            let mut wait = Wait::default();
            while !self.ended.load(Ordering::Acquire) {
                match self.take() {
                    Some(part) => {
                        self.run(part, scratch)
                            .unwrap_or_else(|_| self.panicked.store(true, Ordering::Release));
                        wait = Wait::default();
                    }
                    None if stay() => wait.a_moment(),
                    None => break,
                }
            }
            scratch.shrink();
        });
        self.helpers.fetch_sub(1, Ordering::AcqRel);
    }

    /// Runs the parts of a call, with whoever helps; returns when all are done.
    ///
    /// # Panics
    /// When a part does.
    fn share(&self, parts: usize, scratch: &mut Scratch, part: &Part<'_>) {
        let call: *const Part<'_> = part;
        // SAFETY: the same pointer but for the lifetime, which the wait below keeps.
        let call = Call(unsafe { std::mem::transmute::<*const Part<'_>, *const Part<'static>>(call) });
        // SAFETY: all parts of the call before were done, so nobody reads.
        unsafe { *self.call.get() = Some(call) };
        self.done.store(0, Ordering::Relaxed);
        let turn = Turn(self.turn.load(Ordering::Relaxed)).next(parts);
        self.turn.store(turn.0, Ordering::Release);
        let mut own: Result<(), Box<dyn Any + Send>> = Ok(());
        while let Some(part) = self.take() {
            own = own.and(self.run(part, scratch));
        }
        let mut wait = Wait::default();
        while self.done.load(Ordering::Acquire) < parts {
            wait.a_moment();
        }
        own.unwrap_or_else(|panic| resume_unwind(panic));
        assert!(!self.panicked.load(Ordering::Acquire), "a part of a call panicked on another thread");
    }

    /// The number of a part that is now the caller's to run.
    fn take(&self) -> Option<usize> {
        let mut now = Turn(self.turn.load(Ordering::Acquire));
        while now.taken() < now.parts() {
            match self.turn.compare_exchange_weak(now.0, now.0 + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(now.taken()),
                Err(other) => now = Turn(other),
            }
        }
        None
    }

    /// Runs a part that was taken.
    fn run(&self, part: usize, scratch: &mut Scratch) -> Result<(), Box<dyn Any + Send>> {
        // SAFETY: a part of this call is not done yet, so the leader neither writes the call nor lets it end.
        let call = unsafe { (*self.call.get()).as_ref().map(|call| &*call.0) };
        let ended = catch_unwind(AssertUnwindSafe(|| call.into_iter().for_each(|call| call(part, scratch))));
        self.done.fetch_add(1, Ordering::AcqRel);
        ended
    }
}

/// Runs both: side by side, where this thread leads a team and somebody comes to help.
pub fn both<A: Send, B: Send>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B + Send) -> (A, B) {
    let Some(team) = LED.take() else { return (one(), other()) };
    let (one, other) = (Once::of(one), Once::of(other));
    team.share(2, &mut Scratch::default(), &|part, _| if part == 0 { one.run() } else { other.run() });
    LED.set(Some(team));
    (one.made(), other.made())
}

/// Work that is done by whoever comes first, and what it made.
struct Once<F, T>(Mutex<(Option<F>, Option<T>)>);

impl<T, F: FnOnce() -> T> Once<F, T> {
    fn of(work: F) -> Self {
        Self(Mutex::new((Some(work), None)))
    }

    fn run(&self) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.1 = held.0.take().map(|work| work());
    }

    /// Each part of a call runs, so there is something.
    fn made(self) -> T {
        let held = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        held.1.unwrap_or_else(|| unreachable!("a part that did not run"))
    }
}

/// Runs a call of so many multiply-adds in as many parts as are worth it, at most `most`: `part(i, of, scratch)`. All by
/// itself where this thread leads no team, or nobody helps.
pub(crate) fn in_parts(
    work: usize,
    most: usize,
    scratch: &mut Scratch,
    part: impl Fn(usize, usize, &mut Scratch) + Sync,
) {
    let worth = most.min(work / PART);
    // Taken, so that a call within a part is whole.
    let team = if worth > 1 { LED.take() } else { None };
    let parts = team.as_ref().map_or(1, |team| worth.min(1 + team.helpers.load(Ordering::Acquire)));
    match &team {
        Some(team) if parts > 1 => team.share(parts, scratch, &|i, scratch| part(i, parts, scratch)),
        _ => part(0, 1, scratch),
    }
    if team.is_some() {
        LED.set(team);
    }
}

/// Number `i` of `of` parts of `0..count`, about equal.
pub(crate) fn range_of(i: usize, of: usize, count: usize) -> std::ops::Range<usize> {
    i * count / of..(i + 1) * count / of
}

/// How long a thread has waited.
#[derive(Default)]
struct Wait(u32);

impl Wait {
    /// Spins; after a while others may run.
    fn a_moment(&mut self) {
        self.0 = (self.0 + 1).min(LOOKS);
        if self.0 < LOOKS { std::hint::spin_loop() } else { std::thread::yield_now() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_run_once_alone_and_side_by_side() {
        let counts = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let count = |i: usize| {
            in_parts(usize::MAX, 8, &mut Scratch::default(), |_, of, _| assert_eq!(of, 1, "within a part"));
            counts[i].fetch_add(1, Ordering::Relaxed) + 10 * i
        };
        for round in 0..100 {
            let expected = (round, 10 + round);
            match round % 3 {
                0 => assert_eq!(both(|| count(0), || count(1)), expected),
                1 => Arc::new(Team::default()).lead(|| assert_eq!(both(|| count(0), || count(1)), expected)),
                _ => with_helpers(|_| {
                    assert_eq!(both(|| count(0), || count(1)), expected);
                    // The team is led on.
                    in_parts(usize::MAX, 3, &mut Scratch::default(), |_, of, _| assert_eq!(of, 3));
                }),
            }
        }
    }

    #[test]
    #[should_panic(expected = "a part of a call panicked")]
    fn a_panic_of_one_is_told() {
        with_helpers(|_| {
            let met = std::sync::Barrier::new(2);
            let leader = std::thread::current().id();
            let part = || {
                met.wait();
                assert!(std::thread::current().id() == leader, "on purpose");
            };
            both(part, part);
        });
    }

    /// Leads a team of three while `pass` runs.
    fn with_helpers<T>(pass: impl FnOnce(&Team) -> T) -> T {
        let team = Arc::new(Team::default());
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| team.help(|| true));
            }
            while team.helpers.load(Ordering::Acquire) < 2 {
                std::thread::yield_now();
            }
            team.lead(|| pass(&team))
        })
    }

    #[test]
    fn each_part_of_each_call_runs_once() {
        let counts: Vec<_> = (0..64).map(|_| AtomicUsize::new(0)).collect();
        with_helpers(|_| {
            for call in 0..2_000 {
                let most = call % 64 + 1;
                in_parts(usize::MAX, most, &mut Scratch::default(), |i, of, _| {
                    range_of(i, of, most).for_each(|i| _ = counts[i].fetch_add(1, Ordering::Relaxed));
                });
                assert!(
                    counts[..most].iter().all(|count| count.swap(0, Ordering::Relaxed) == 1),
                    "call {call}"
                );
            }
        });
    }

    #[test]
    fn a_call_that_is_small_or_nobody_helps_with_is_whole() {
        let parts = |work| {
            let most = AtomicUsize::new(0);
            in_parts(work, 8, &mut Scratch::default(), |_, of, _| most.store(of, Ordering::Relaxed));
            most.into_inner()
        };
        assert_eq!(parts(usize::MAX), 1);
        assert_eq!(Arc::new(Team::default()).lead(|| parts(usize::MAX)), 1);
        assert_eq!(with_helpers(|_| [parts(PART), parts(2 * PART), parts(usize::MAX)]), [1, 2, 3]);
    }

    #[test]
    fn helpers_leave_when_they_are_told() {
        let team = Team::default();
        team.help(|| false);
        assert_eq!(team.helpers.into_inner(), 0);
    }

    /// A call whose leader waits in its part until a helper is in another; `fails` says who panics.
    fn call_that_panics(fails: impl Fn(bool) -> bool + Sync) {
        with_helpers(|_| {
            let (leader, helped) = (std::thread::current().id(), AtomicBool::new(false));
            in_parts(usize::MAX, 3, &mut Scratch::default(), |_, _, _| {
                let leads = std::thread::current().id() == leader;
                helped.fetch_or(!leads, Ordering::AcqRel);
                while !helped.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
                assert!(!fails(leads), "on purpose");
            });
        });
    }

    #[test]
    #[should_panic(expected = "panicked on another thread")]
    fn a_panic_of_a_helper_reaches_the_leader() {
        call_that_panics(|leads| !leads);
    }

    #[test]
    #[should_panic(expected = "on purpose")]
    fn a_panic_of_the_leader_waits_for_the_others() {
        call_that_panics(|leads| leads);
    }
}
