//! The Python module `logitkit._core`: conversion, dispatch on the dtype, errors, threads.
//!
//! Bodies of a few lines that hand views to the public operations. What arrays are accepted stands
//! in `array`, what to write instead in `advice`, what arguments in `arguments`, how arrays become views in `hold`; no formula and no
//! check of values belongs here.

mod advice;
mod arguments;
mod array;
mod binary;
mod class_loss;
mod errors;
mod hold;
mod interop;
mod linear;
mod predict;
mod softmax;
mod summary;
mod targets;
mod threads;

use pyo3::prelude::pymodule;

/// The extension module.
#[pymodule(gil_used = true)]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::binary::{
        binary_cross_entropy, binary_cross_entropy_and_grad, binary_cross_entropy_with_logits,
        binary_cross_entropy_with_logits_and_grad, binary_cross_entropy_with_logits_and_grad_hess,
    };
    #[pymodule_export]
    use super::class_loss::{
        categorical_cross_entropy, categorical_cross_entropy_and_grad, cross_entropy,
        cross_entropy_and_grad, cross_entropy_and_grad_hess, nll_loss, nll_loss_and_grad,
    };
    #[pymodule_export]
    use super::linear::linear;
    #[pymodule_export]
    use super::predict::{accuracy, perplexity, top_k};
    #[pymodule_export]
    use super::softmax::{
        log_sigmoid, log_softmax, log_softmax_vjp, logsumexp, sigmoid, softmax, softmax_vjp,
        softplus,
    };
    #[pymodule_export]
    use super::summary::{exact_sums, merged_summaries, row_summaries, softmax_given, tempered};
    #[pymodule_export]
    use super::threads::{get_num_threads, set_num_threads, simd_level};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
