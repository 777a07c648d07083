//! How calls from Python run: in which threads, how Ctrl-C ends them, in which instruction set.
//!
//! Nothing is built at import. A forked child has none of its parent's threads, so it forgets the
//! parent's pool and builds its own.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::arguments::index_of;
use crate::lanes::{Helpers, with_helpers};
use crate::stop::{Answer, Forked, Watch, watched};

/// The variable that sets the number of threads until `set_num_threads` does.
const VARIABLE: &str = "LOGITKIT_NUM_THREADS";

/// More threads than this are a mistake, and rayon would try to start them.
const MOST: usize = 1024;

/// A pool and the process that built it.
struct Pool {
    process: u32,
    threads: usize,
    /// `None` if the system refused to start its threads.
    handle: Option<Arc<ThreadPool>>,
}

/// What `set_num_threads` asked for, what the machine offers a process, and the pool if it has been
/// needed.
struct State {
    wanted: Option<usize>,
    offered: Option<(u32, usize)>,
    pool: Option<Pool>,
}

/// The state, for threads attached to the interpreter: they keep the lock for less than they stay
/// attached, and `os.fork` runs in one of them while no other is. So no child inherits it locked.
fn state(_: Python<'_>) -> MutexGuard<'static, State> {
    static STATE: Mutex<State> = Mutex::new(State {
        wanted: None,
        offered: None,
        pool: None,
    });
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// The number of threads in force.
    fn threads(&mut self) -> PyResult<usize> {
        if let Some(threads) = self.wanted.or(from_environment()?) {
            return Ok(threads);
        }
        let process = std::process::id();
        match self.offered {
            Some((same, threads)) if same == process => Ok(threads),
            _ => {
                // The affinity mask and the quota of the control group count. They are files to
                // read, so it is done once.
                let offered = std::thread::available_parallelism().map_or(1, usize::from);
                let threads = offered.min(MOST);
                self.offered = Some((process, threads));
                Ok(threads)
            }
        }
    }

    /// The threads beside the calling one.
    fn helpers(&mut self) -> PyResult<Helpers> {
        let threads = self.threads()? - 1;
        if threads == 0 {
            return Ok(Helpers::Nobody);
        }
        let process = std::process::id();
        let kept = self.pool.take().and_then(|pool| {
            if pool.process != process {
                // Its threads stayed with the parent: waiting for them to end would never end.
                std::mem::forget(pool);
                return None;
            }
            (pool.threads == threads).then_some(pool)
        });
        let pool = self.pool.insert(kept.unwrap_or_else(|| {
            let builder = ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(|index| format!("logitkit-{index}"));
            Pool {
                process,
                threads,
                // Where threads cannot be had, the calling one does it all: later, but right.
                handle: builder.build().ok().map(Arc::new),
            }
        }));
        let handle = pool.handle.as_ref();
        Ok(handle.map_or(Helpers::Nobody, |pool| Helpers::Pool(Arc::clone(pool))))
    }
}

/// The number of threads that the environment asks for, read once.
fn from_environment() -> PyResult<Option<usize>> {
    static NUMBER: OnceLock<Result<Option<usize>, String>> = OnceLock::new();
    let number = NUMBER.get_or_init(|| {
        let Some(value) = std::env::var_os(VARIABLE) else {
            return Ok(None);
        };
        let value = value.to_string_lossy();
        let number = value.parse().ok().filter(|n| (1..=MOST).contains(n));
        number.map(Some).ok_or_else(|| {
            format!(
                "{VARIABLE} is {value:?}, expected a number of threads from 1 to {MOST}; correct \
                 it or unset it before Python starts"
            )
        })
    });
    let number = number.as_ref().copied();
    number.map_err(|told| PyValueError::new_err(told.clone()))
}

/// An error if the environment asks for what cannot be. As with the instruction set, it shows at the
/// first call of whatever function, and at every later one.
pub(super) fn check_environment() -> PyResult<()> {
    from_environment().map(|_| ())
}

/// Whether work on this many elements is shared, with the interpreter's lock released.
pub(super) fn is_long(elements: usize) -> bool {
    elements >= crate::lanes::PARALLEL
}

/// Runs work on this many elements: on the calling thread alone if they are few, else with the pool,
/// without the interpreter's lock, and with an eye to signals.
pub(super) fn run<R: Send>(
    py: Python<'_>,
    elements: usize,
    work: impl FnOnce() -> crate::Result<R> + Send,
) -> PyResult<R> {
    if !is_long(elements) {
        // So few are never shared, whoever could help.
        check_environment()?;
        return Ok(work()?);
    }
    let helpers = state(py).helpers()?;
    py.detach(|| {
        let process = std::process::id();
        let watch = Watch::new(move || ask(process));
        // What the work leaves half done is dropped with it, but for the output: its rows are
        // whole, whichever of them there are.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            watched(watch, || with_helpers(helpers, work))
        }));
        match outcome {
            Ok(result) => Ok(result?),
            Err(cause) => Err(interruption(cause)),
        }
    })
}

/// Whether a signal is to end the call. Only the main thread gets signals.
fn ask(process: u32) -> Answer {
    let asked = Python::try_attach(|py| {
        if !is_main_thread(py)? {
            return Ok(Answer::AskNoMore);
        }
        // This runs the handlers, whatever they do.
        py.check_signals()?;
        let is_child = std::process::id() != process;
        Ok(if is_child {
            Answer::End(Box::new(Forked))
        } else {
            Answer::GoOn
        })
    });
    match asked {
        Some(Ok(answer)) => answer,
        Some(Err(error)) => Answer::End(Box::<PyErr>::new(error)),
        // The interpreter is about to end.
        None => Answer::AskNoMore,
    }
}

fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    main.eq(threading.call_method0("get_ident")?)
}

/// The exception that a call was ended with; anything else goes on as the panic that it is.
fn interruption(cause: Box<dyn Any + Send>) -> PyErr {
    if cause.is::<Forked>() {
        return PyRuntimeError::new_err(
            "the process was forked by a signal handler within a call, and the child lacks the \
             threads that worked on it; make the call again, or end the child in the handler",
        );
    }
    match cause.downcast::<PyErr>() {
        Ok(error) => *error,
        Err(panic) => resume_unwind(panic),
    }
}

#[doc = include_str!("docs/set_num_threads.rst")]
#[pyfunction]
#[pyo3(text_signature = "(n)")]
pub(super) fn set_num_threads(n: &Bound<'_, PyAny>) -> PyResult<()> {
    check_environment()?;
    let wrong_type = || {
        let given = n
            .get_type()
            .name()
            .map_or_else(|_| "?".into(), |name| name.to_string());
        PyTypeError::new_err(format!(
            "n is of type {given}, expected an int of at least 1"
        ))
    };
    let index = index_of(n)?.ok_or_else(wrong_type)?;
    let threads = index
        .extract::<usize>()
        .ok()
        .filter(|n| (1..=MOST).contains(n));
    let threads = threads.ok_or_else(|| {
        PyValueError::new_err(format!(
            "n is {index}, expected a number of threads from 1 to {MOST}"
        ))
    })?;
    let mut state = state(n.py());
    state.wanted = Some(threads);
    // The system may give now what it refused before.
    if state
        .pool
        .as_ref()
        .is_some_and(|pool| pool.handle.is_none())
    {
        state.pool = None;
    }
    Ok(())
}

#[doc = include_str!("docs/get_num_threads.rst")]
#[pyfunction]
pub(super) fn get_num_threads(py: Python<'_>) -> PyResult<usize> {
    state(py).threads()
}

#[doc = include_str!("docs/simd_level.rst")]
#[pyfunction]
pub(super) fn simd_level() -> PyResult<&'static str> {
    Ok(crate::simd_level()?)
}
