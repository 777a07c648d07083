//! How a call ends before its work is done: for memory that cannot be had, or because its caller
//! wants it to end.
//!
//! Both come up deep within work that has no errors of its own: in a kernel, or between two tasks
//! that threads share. They leave it by an unwinding, without a panic's message. Checks of arguments
//! do not belong here: they come first, and return.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::error::{Error, Result};

/// Ends the call with an error, from within [`catching`].
#[cold]
pub(crate) fn give_up(error: Error) -> ! {
    resume_unwind(Box::new(error))
}

/// Runs work that may [`give_up`].
pub(crate) fn catching<R>(work: impl FnOnce() -> R) -> Result<R> {
    // What the work leaves half done is dropped with it: no caller uses a result that came with an
    // error.
    catch_unwind(AssertUnwindSafe(work)).map_err(|cause| match cause.downcast::<Error>() {
        Ok(error) => *error,
        Err(cause) => resume_unwind(cause),
    })
}

/// Fills up a vector to so many elements, from within [`catching`]. One that grows again and again is
/// moved as seldom as by `Vec::resize`.
#[inline]
pub(crate) fn fill_up<T: Clone>(vector: &mut Vec<T>, elements: usize, value: T) {
    make_room(vector, elements);
    vector.resize(elements, value);
}

/// Makes room in a vector for so many elements in all, from within [`catching`].
#[inline]
pub(crate) fn make_room<T>(vector: &mut Vec<T>, elements: usize) {
    let more = elements.saturating_sub(vector.len());
    if vector.try_reserve(more).is_err() {
        give_up(Error::memory_for::<T>(elements));
    }
}

/// Ends the call if its caller wants it to end. To be called wherever the calling thread may be kept
/// for long.
#[inline]
pub(crate) fn checkpoint() {
    #[cfg(feature = "python")]
    watch::look();
}

#[cfg(feature = "python")]
pub(crate) use watch::{Answer, Forked, Watch, watched};

#[cfg(feature = "python")]
mod watch {
    use std::any::Any;
    use std::cell::Cell;
    use std::panic::resume_unwind;
    use std::time::{Duration, Instant};

    /// What a call's caller wants.
    pub(crate) enum Answer {
        GoOn,
        /// Go on, and do not ask again.
        AskNoMore,
        /// Unwind with this.
        End(Box<dyn Any + Send>),
    }

    /// What a call in a forked child unwinds with: the threads that helped it are not there, so
    /// nobody is to be waited for.
    pub(crate) struct Forked;

    /// Asks a call's caller from time to time.
    pub(crate) struct Watch {
        next: Instant,
        ask: Box<dyn FnMut() -> Answer>,
    }

    impl Watch {
        pub(crate) fn new(ask: impl FnMut() -> Answer + 'static) -> Self {
            Self {
                next: Instant::now() + PERIOD,
                ask: Box::new(ask),
            }
        }
    }

    /// Short beside the half second in which a call is to end, and long beside what asking costs.
    const PERIOD: Duration = Duration::from_millis(100);

    thread_local! {
        static WATCH: Cell<Option<Watch>> = const { Cell::new(None) };
    }

    /// Runs work whose checkpoints ask.
    pub(crate) fn watched<R>(watch: Watch, work: impl FnOnce() -> R) -> R {
        struct Restore(Option<Watch>);
        impl Drop for Restore {
            fn drop(&mut self) {
                WATCH.set(self.0.take());
            }
        }
        let _restore = Restore(WATCH.replace(Some(watch)));
        work()
    }

    pub(super) fn look() {
        // Taken out meanwhile: the answer may come from code that makes calls of its own.
        let Some(mut watch) = WATCH.take() else {
            return;
        };
        if Instant::now() >= watch.next {
            match (watch.ask)() {
                Answer::GoOn => watch.next = Instant::now() + PERIOD,
                Answer::AskNoMore => return,
                Answer::End(cause) => resume_unwind(cause),
            }
        }
        WATCH.set(Some(watch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gives_up_returns_its_error() {
        assert_eq!(catching(|| 1), Ok(1));
        let error = Error::Memory { bytes: 7 };
        assert_eq!(catching(|| give_up(error.clone())), Err::<(), _>(error));
    }

    #[test]
    fn a_panic_goes_on() {
        let caught = catch_unwind(|| catching(|| resume_unwind(Box::new("a panic"))));
        let cause = caught.expect_err("no error was given up with");
        assert_eq!(cause.downcast_ref(), Some(&"a panic"));
    }

    #[test]
    fn room_that_cannot_be_had_is_an_error() {
        let mut vector = vec![1_u64];
        let made = catching(|| make_room(&mut vector, 1 << 60));
        assert_eq!(made, Err(Error::Memory { bytes: 1 << 63 }));
        catching(|| make_room(&mut vector, 100)).expect("there is room");
        assert!(vector.capacity() >= 100);
    }
}
