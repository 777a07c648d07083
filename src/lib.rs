//! Turns the logits of a classifier into probabilities, predictions, losses and gradients, on
//! [`ndarray`] views of any dimension, any axis and any strides.
//!
//! ```
//! use logitkit::{CrossEntropy, softmax};
//! use ndarray::{Axis, array};
//!
//! let logits = array![[2.0, 1.0, 0.1], [0.5, 2.5, 1.0]]; // two samples, three classes
//! let probs = softmax(logits.view(), Axis(1))?;
//! assert!((probs[[0, 0]] - 0.659_f64).abs() < 1e-3);
//!
//! let targets = array![0, 1]; // the true classes
//! let (loss, grad) = CrossEntropy::new().loss_and_grad(logits.view(), targets.view(), Axis(1))?;
//! assert!((loss.reduced().expect("a mean") - 0.3617).abs() < 1e-4);
//! assert!((grad[[0, 0]] + 0.170).abs() < 1e-3);
//! # Ok::<(), logitkit::Error>(())
//! ```
//!
//! # What there is
//!
//! | item | computes |
//! | --- | --- |
//! | [`softmax`], [`log_softmax`], [`logsumexp`] | probabilities along an axis, their logarithms, the logarithm of the sum of exponentials |
//! | [`softmax_vjp`], [`log_softmax_vjp`] | their gradients, given the gradient of what follows |
//! | [`sigmoid`], [`log_sigmoid`], [`softplus`] | the same for one class, element by element |
//! | [`CrossEntropy`] | the loss of logits, given class indices or probabilities |
//! | [`NllLoss`] | the same from log-probabilities |
//! | [`CategoricalCrossEntropy`] | the same from probabilities |
//! | [`BinaryCrossEntropyWithLogits`], [`BinaryCrossEntropy`] | the loss of yes-or-no answers, from logits or probabilities |
//! | [`linear`] | the fully connected layer `x @ weight.T + bias` |
//! | [`top_k`], [`accuracy`], [`perplexity`] | the best classes, how often they are right, `exp` of the mean cross entropy |
//! | [`simd_level`] | the instruction set in use |
//!
//! A function whose name ends in `_into` writes to an array of the caller, one that ends in
//! `_in_place` to its input. A loss is a struct of options with chained setters; its methods are
//! `loss`, `loss_and_grad` and `loss_and_grad_into`; [`CrossEntropy`] and
//! [`BinaryCrossEntropyWithLogits`] have `loss_and_grad_hess` and `loss_and_grad_hess_into` besides,
//! which add the diagonal of the Hessian. [`Element`] types are [`f32`], [`f64`],
//! [`half::f16`] and [`half::bf16`]; of the last two losses are `f32`. Whatever is refused is refused
//! with an [`Error`], before anything is written.
//!
//! # Features
//!
//! `python`, off by default: the Python bindings. Without it the crate has no Python in its
//! dependency tree.
//!
//! # Threads
//!
//! The crate runs in the rayon pool of its caller and starts none of its own: call it inside
//! `ThreadPool::install` to choose one. Small arrays stay on the calling thread.
//!
//! # Instruction set
//!
//! It is the best that the machine offers. The environment variable `LOGITKIT_SIMD` (`fallback`,
//! `sse4.2`, `avx2`, `avx512`, `neon`) caps it, for tests and comparisons; `fallback` is what every
//! machine of the architecture has: SSE2 on x86-64, NEON on ARM, else none. It is read once; a level
//! that the machine lacks, or an unknown name, makes every function but [`linear`] return
//! [`Error::SimdLevel`].
//!
//! # Debug builds
//!
//! The kernels are compiled with this crate, not with yours. Let your `Cargo.toml` say
//!
//! ```toml
//! [profile.dev.package.logitkit]
//! opt-level = 3
//! ```
//!
//! They are as fast in a debug build as in a release then. Unoptimised, vector code takes over 17 GB of
//! memory to compile, where 3 are enough, and runs a hundred times slower.
//!
//! # Accuracy
//!
//! Results are at most 2 ulp from the exactly rounded ones for every finite input, in f32 and f64;
//! each item says where that means ulp of a larger term, and where it is 4 ulp (f64 losses with
//! weights, smoothing or soft targets). So a confident right answer keeps its small loss, where the
//! usual formulas round it to 0. Results in f16 and bf16 are within 1 ulp of that type. Sums are kept
//! wider than the data, and those over rows are
//! compensated. [`linear`] is a plain matrix product and has no such bound.
//!
//! # Reproducibility
//!
//! Results have the same bits for 1 and for any number of threads, at any alignment, and on AVX2,
//! AVX-512 and NEON.

mod binary;
mod categorical_cross_entropy;
mod coefficients;
mod compiled;
mod cross_entropy;
mod elementwise;
mod error;
#[cfg(feature = "python")]
mod exact;
mod float;
mod hints;
mod kernel;
mod lanes;
mod linear;
mod loss;
mod nll_loss;
#[cfg(feature = "python")]
mod parts;
mod predict;
#[cfg(feature = "python")]
#[allow(
    clippy::doc_markdown,
    clippy::doc_lazy_continuation,
    clippy::doc_link_with_quotes,
    clippy::missing_errors_doc,
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_rust_codeblocks,
    reason = "the doc comments of the bindings are Python docstrings"
)]
#[allow(
    clippy::too_many_arguments,
    reason = "Python's keyword arguments are arguments in Rust"
)]
mod python;
mod simd;
mod softmax;
mod stop;
#[cfg(feature = "python")]
mod summary;
mod targets;
mod wide;

pub use binary::{BinaryCrossEntropy, BinaryCrossEntropyWithLogits};
pub use categorical_cross_entropy::CategoricalCrossEntropy;
pub use cross_entropy::CrossEntropy;
pub use elementwise::{
    log_sigmoid, log_sigmoid_in_place, log_sigmoid_into, sigmoid, sigmoid_in_place, sigmoid_into,
    softplus, softplus_in_place, softplus_into,
};
pub use error::{Error, Result};
pub use float::{Element, Float};
pub use kernel::hessian::Hessian;
pub use linear::linear;
pub use loss::{Loss, LossAndGrad, LossAndGradHess, Reduction};
pub use nll_loss::NllLoss;
pub use predict::{accuracy, perplexity, top_k};
pub use softmax::{
    log_softmax, log_softmax_in_place, log_softmax_into, log_softmax_vjp, log_softmax_vjp_into,
    logsumexp, softmax, softmax_in_place, softmax_into, softmax_vjp, softmax_vjp_into,
};
pub use targets::{ClassIndex, Targets};

/// The name of the instruction set in use.
///
/// It is the best that the machine offers, or the one that the environment variable `LOGITKIT_SIMD`
/// caps it to. The names are `fallback` (what every machine of the architecture has), `sse4.2`,
/// `avx2`, `avx512` and `neon`. Every level keeps the bounds that the functions state.
///
/// # Errors
///
/// [`SimdLevel`](Error::SimdLevel) if `LOGITKIT_SIMD` holds an unknown name or a level that the
/// machine lacks.
///
/// # Examples
///
/// ```
/// let level = logitkit::simd_level()?;
/// assert!(["fallback", "sse4.2", "avx2", "avx512", "neon"].contains(&level));
/// # Ok::<(), logitkit::Error>(())
/// ```
pub fn simd_level() -> Result<&'static str> {
    Ok(simd::level()?.name())
}

/// The README's Rust example is a test, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
