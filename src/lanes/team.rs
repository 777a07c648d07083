//! Shares numbered tasks between the calling thread and those of a rayon pool.
//!
//! The calling thread begins at once. Threads that sleep take tens of microseconds to wake, and
//! more on a virtual machine: they join when they are there, and nobody waits for one that has not
//! begun when the tasks are done. rayon's own iterators hand the work over and wait.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rayon::ThreadPool;

#[cfg(feature = "python")]
use crate::stop::Forked;
use crate::stop::checkpoint;

/// Whose threads help the calling one.
#[derive(Clone, Default)]
pub(crate) enum Helpers {
    /// The other threads of the rayon pool that the caller runs in.
    #[default]
    CallersPool,
    /// All threads of a pool.
    #[cfg_attr(
        not(feature = "python"),
        allow(dead_code, reason = "Rust callers bring their own pool")
    )]
    Pool(Arc<ThreadPool>),
    /// Nobody.
    #[cfg_attr(
        not(feature = "python"),
        allow(dead_code, reason = "Rust callers bring their own pool")
    )]
    Nobody,
}

thread_local! {
    static HELPERS: RefCell<Helpers> = RefCell::default();
}

/// Runs work whose tasks these threads help with.
#[cfg(feature = "python")]
pub(crate) fn with_helpers<R>(helpers: Helpers, work: impl FnOnce() -> R) -> R {
    struct Restore(Helpers);
    impl Drop for Restore {
        fn drop(&mut self) {
            HELPERS.set(std::mem::take(&mut self.0));
        }
    }
    let _restore = Restore(HELPERS.replace(helpers));
    work()
}

/// Results of the tasks from 0 to `count`, in that order. A thread makes one state for all of its
/// tasks.
pub(super) fn map<State, R: Send>(
    count: usize,
    state: impl Fn() -> State + Sync,
    task: impl Fn(&mut State, usize) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(count));
    let work = || {
        // Whoever ends leaves nothing to begin; of interest where it is by an unwinding.
        let _end = OnDrop(|| next.store(count, Ordering::Relaxed));
        let mut first = next.fetch_add(1, Ordering::Relaxed);
        if first >= count {
            return;
        }
        let mut state = state();
        let mut own = Vec::new();
        while first < count {
            checkpoint();
            own.push((first, task(&mut state, first)));
            first = next.fetch_add(1, Ordering::Relaxed);
        }
        lock(&results).append(&mut own);
    };
    share(count.saturating_sub(1), &work);
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Each number is there once, so every exchange brings one result to its place.
    for place in 0..results.len() {
        while results[place].0 != place {
            let right = results[place].0;
            results.swap(place, right);
        }
    }
    results.into_iter().map(|(_, result)| result).collect()
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// Runs `work` on this thread, and on up to `most` others while it does.
fn share(most: usize, work: &(dyn Fn() + Sync)) {
    let helpers = HELPERS.with_borrow(Helpers::clone);
    let threads = match &helpers {
        Helpers::CallersPool => rayon::current_num_threads() - 1,
        Helpers::Pool(pool) => pool.current_num_threads(),
        Helpers::Nobody => 0,
    };
    let threads = threads.min(most);
    if threads == 0 {
        return work();
    }
    // SAFETY: only the lifetime changes. `Team::close`, which runs before this function returns or
    // unwinds, waits for those that use the reference, and lets nobody else use it.
    let work: &'static (dyn Fn() + Sync) = unsafe { std::mem::transmute(work) };
    let team = Arc::new(Team::default());
    for _ in 0..threads {
        let team = Arc::clone(&team);
        let help = move || team.help(work);
        match &helpers {
            Helpers::Pool(pool) => pool.spawn(help),
            _ => rayon::spawn(help),
        }
    }
    let own = catch_unwind(AssertUnwindSafe(work));
    // Of those that helped nobody is there to be waited for, or to use the reference.
    #[cfg(feature = "python")]
    let own = match own {
        Err(cause) if cause.is::<Forked>() => resume_unwind(cause),
        own => own,
    };
    if let Err(panic) = own.and(team.close()) {
        resume_unwind(panic);
    }
}

type Outcome = Result<(), Box<dyn Any + Send>>;

/// Who helps with one call.
#[derive(Default)]
struct Team {
    members: Mutex<Members>,
    /// How many help: what `close` looks at without the lock.
    active: AtomicUsize,
    left: Condvar,
}

#[derive(Default)]
struct Members {
    closed: bool,
    panic: Option<Box<dyn Any + Send>>,
}

/// How often `close` looks before it sleeps: what is left of a task is short.
const LOOKS: usize = 20_000;

impl Team {
    /// Helps, unless it is too late.
    fn help(&self, work: &(dyn Fn() + Sync)) {
        {
            let members = lock(&self.members);
            if members.closed {
                return;
            }
            // Under the lock, so that `close` either sees this or has closed before.
            self.active.fetch_add(1, Ordering::Relaxed);
        }
        let outcome = catch_unwind(AssertUnwindSafe(work));
        let mut members = lock(&self.members);
        if let Err(panic) = outcome {
            members.panic = Some(panic);
        }
        self.active.fetch_sub(1, Ordering::Release);
        self.left.notify_one();
    }

    /// Lets nobody begin any more, and waits for those that help.
    fn close(&self) -> Outcome {
        lock(&self.members).closed = true;
        for _ in 0..LOOKS {
            if self.active.load(Ordering::Acquire) == 0 {
                break;
            }
            std::hint::spin_loop();
        }
        let mut members = lock(&self.members);
        while self.active.load(Ordering::Acquire) != 0 {
            members = self
                .left
                .wait(members)
                .unwrap_or_else(PoisonError::into_inner);
        }
        members.panic.take().map_or(Ok(()), Err)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    fn pool(threads: usize) -> ThreadPool {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
        builder.build().expect("threads can be started")
    }

    #[test]
    fn results_come_in_the_order_of_the_tasks() {
        for threads in [1, 2, 7] {
            for count in [0, 1, 2, 1000] {
                let squares = pool(threads).install(|| map(count, || (), |(), i| i * i));
                let want: Vec<_> = (0..count).map(|i| i * i).collect();
                assert_eq!(squares, want, "{threads} threads");
            }
        }
    }

    #[test]
    fn others_help_where_there_are_any() {
        let barrier = Barrier::new(3);
        // Each task waits for two others: one thread alone would wait for ever.
        let waits = pool(3).install(|| map(3, || (), |(), _| barrier.wait().is_leader()));
        assert_eq!(waits.iter().filter(|&&leads| leads).count(), 1);
    }

    #[test]
    fn a_panic_ends_the_others() {
        for threads in [1, 2, 7] {
            let begun = AtomicUsize::new(0);
            let run = || {
                let task = |(): &mut (), i: usize| {
                    begun.fetch_add(1, Ordering::Relaxed);
                    if i == 10 {
                        resume_unwind(Box::new("task 10 is bad"));
                    }
                };
                map(1 << 24, || (), task)
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| pool(threads).install(run)));
            outcome.expect_err("a task panics");
            assert!((11..1 << 24).contains(&begun.load(Ordering::Relaxed)));
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_after_all_have_left() {
        for bad in [0, 99] {
            let run = || map(100, || (), |(), i| assert!(i != bad, "task {i} is bad"));
            let outcome = catch_unwind(AssertUnwindSafe(|| pool(4).install(run)));
            let panic = outcome.expect_err("a task panics");
            let message = panic.downcast_ref::<String>().expect("a message");
            assert_eq!(*message, format!("task {bad} is bad"));
        }
    }
}
