//! logitkit (docs to come)
mod binary;
mod categorical_cross_entropy;
mod cross_entropy;
mod elementwise;
mod error;
mod float;
mod kernel;
mod lanes;
mod linear;
mod loss;
mod nll_loss;
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
pub use float::Float;
pub use linear::linear;
pub use loss::{Loss, Reduction};
pub use nll_loss::NllLoss;
pub use predict::{accuracy, perplexity, top_k};
pub use softmax::{
    log_softmax, log_softmax_in_place, log_softmax_into, log_softmax_vjp, log_softmax_vjp_into,
    logsumexp, softmax, softmax_in_place, softmax_into, softmax_vjp, softmax_vjp_into,
};
pub use targets::{ClassIndex, Targets};

/// The instruction set in use.
pub fn simd_level() -> Result<&'static str> {
    Ok(simd::level()?.name())
}
