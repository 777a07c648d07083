//! The pool of threads that calls from Python run in, and the instruction set.
//!
//! Nothing is built at import. A forked child has none of its parent's threads, so it forgets the
//! parent's pool and builds its own.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::{PyMemoryError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBool;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::lanes::{Helpers, with_helpers};

/// A pool and the process that built it.
struct Pool {
    process: u32,
    threads: usize,
    handle: Arc<ThreadPool>,
}

/// What `set_num_threads` asked for, and the pool if it has been needed.
struct State {
    wanted: Option<usize>,
    pool: Option<Pool>,
}

static STATE: Mutex<State> = Mutex::new(State {
    wanted: None,
    pool: None,
});

fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The threads beside the calling one.
fn helpers() -> PyResult<Helpers> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let threads = state.wanted.unwrap_or_else(default_threads) - 1;
    if threads == 0 {
        return Ok(Helpers::Nobody);
    }
    let process = std::process::id();
    if let Some(pool) = state.pool.take() {
        if pool.process == process && pool.threads == threads {
            let handle = Arc::clone(&pool.handle);
            state.pool = Some(pool);
            return Ok(Helpers::Pool(handle));
        }
        if pool.process != process {
            // Its threads stayed with the parent: waiting for them to end would never end.
            std::mem::forget(pool);
        }
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("logitkit-{index}"))
        .build()
        .map_err(|error| {
            PyMemoryError::new_err(format!(
                "{threads} threads could not be started: {error}; call set_num_threads with fewer"
            ))
        })?;
    let pool = Arc::new(pool);
    state.pool = Some(Pool {
        process,
        threads,
        handle: Arc::clone(&pool),
    });
    Ok(Helpers::Pool(pool))
}

/// Runs work on this many elements: on the calling thread alone if they are few, else with the pool
/// and without the interpreter's lock.
pub(super) fn run<R: Send>(
    py: Python<'_>,
    elements: usize,
    work: impl FnOnce() -> crate::Result<R> + Send,
) -> PyResult<R> {
    if elements < crate::lanes::PARALLEL {
        return Ok(work()?);
    }
    let helpers = helpers()?;
    Ok(py.detach(|| with_helpers(helpers, work))?)
}

#[doc = include_str!("docs/set_num_threads.rst")]
#[pyfunction]
#[pyo3(text_signature = "(n)")]
pub(super) fn set_num_threads(n: &Bound<'_, PyAny>) -> PyResult<()> {
    let wrong_type = || {
        let given = n
            .get_type()
            .name()
            .map_or_else(|_| "?".into(), |name| name.to_string());
        PyTypeError::new_err(format!(
            "n is of type {given}, expected an int of at least 1"
        ))
    };
    if n.is_instance_of::<PyBool>() {
        return Err(wrong_type());
    }
    let index = n.call_method0("__index__").map_err(|_| wrong_type())?;
    // More threads than this are a mistake, and rayon would try to start them.
    let threads = index
        .extract::<usize>()
        .ok()
        .filter(|n| (1..=1024).contains(n));
    let threads = threads.ok_or_else(|| {
        PyValueError::new_err(format!(
            "n is {index}, expected a number of threads from 1 to 1024"
        ))
    })?;
    STATE.lock().unwrap_or_else(PoisonError::into_inner).wanted = Some(threads);
    Ok(())
}

#[doc = include_str!("docs/get_num_threads.rst")]
#[pyfunction]
pub(super) fn get_num_threads() -> usize {
    let state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    state.wanted.unwrap_or_else(default_threads)
}

#[doc = include_str!("docs/simd_level.rst")]
#[pyfunction]
pub(super) fn simd_level() -> PyResult<&'static str> {
    Ok(crate::simd_level()?)
}
