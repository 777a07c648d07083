//! The crate runs in its caller's pool and starts no threads of its own. In a process of its own:
//! whether there is a global pool is a matter of the whole process.

use logitkit::CrossEntropy;
use ndarray::{Array1, Array2, Axis};
use rayon::ThreadPoolBuilder;

/// How many threads the process has, where that can be told.
fn threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

#[test]
fn work_stays_in_the_caller_s_pool() {
    let pool = ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .expect("threads");
    let before = pool.install(threads);
    let logits = Array2::<f32>::from_shape_fn((20_000, 50), |(row, class)| {
        ((row * 31 + class * 17) % 101) as f32 / 10.0
    });
    let targets = Array1::from_shape_fn(20_000, |row| (row % 50) as i64);
    pool.install(|| {
        logitkit::softmax(logits.view(), Axis(1)).expect("valid arguments");
        logitkit::sigmoid(logits.view()).expect("valid arguments");
        CrossEntropy::new()
            .loss_and_grad(logits.view(), targets.view(), Axis(1))
            .expect("valid arguments");
    });
    assert_eq!(pool.install(threads), before);
    // Refused if the global pool had been used: the first use starts it.
    ThreadPoolBuilder::new()
        .num_threads(1)
        .build_global()
        .expect("no global pool was started");
}
