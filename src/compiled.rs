//! The functions on views, compiled in this crate for each element type.
//!
//! The public functions are generic, and generic code is compiled by whoever calls it: vector code
//! for several instruction sets takes minutes, and a debug build makes it slow. So they only turn
//! arrays into views and call what stands here. Here belongs every function that runs a kernel, and
//! nothing else.

use std::any::Any;

use crate::binary::binary_loss;
use crate::coefficients::ClassOptions;
use crate::elementwise::map_elements;
use crate::error::Result;
use crate::float::Float;
use crate::kernel::binary::{FromLogits, FromProbs};
use crate::kernel::class_loss::LogitsLoss;
use crate::kernel::elementwise::{LogSigmoid, Sigmoid, Softplus};
use crate::kernel::predict::Ranked;
use crate::kernel::probs_loss::{LogProbsLoss, ProbsLoss};
use crate::kernel::softmax::{LogSoftmax, Softmax};
use crate::kernel::vjp::{LogSoftmaxVjp, SoftmaxVjp};
use crate::lanes::{Outputs, View, ViewMut};
use crate::loss::{Loss, Losses, Reduction, class_losses};
use crate::predict::{accuracy_of, perplexity_of, ranked_rows};
use crate::softmax::{logsumexp_rows, map_classes, vjp};
use crate::targets::TargetsView;

/// From the elements of an array, each for itself.
pub(crate) type MapElements<T> = fn(&View<'_, T>, &ViewMut<'_, T>) -> Result<()>;

/// From the classes along an axis.
pub(crate) type MapClasses<T> = fn(&View<'_, T>, usize, &ViewMut<'_, T>) -> Result<()>;

/// From a result and its cotangent, along an axis.
pub(crate) type Vjp<T> = fn(&[View<'_, T>; 2], usize, &ViewMut<'_, T>) -> Result<()>;

/// A loss over classes, and its derivatives if there is a place for them: of the loss, its options, the
/// scores, the targets, the axis.
pub(crate) type ClassLosses<T, L> = fn(
    &L,
    &ClassOptions<'_>,
    &View<'_, T>,
    &TargetsView<'_>,
    usize,
    Option<Outputs<'_, '_, T>>,
) -> Result<Losses<T>>;

/// A binary loss, and its derivatives if there is a place for them: of the loss, the scores and targets,
/// the weights.
pub(crate) type BinaryLosses<T, L> = for<'a> fn(
    L,
    [&View<'a, T>; 2],
    [Option<View<'a, T>>; 2],
    Reduction,
    Option<Outputs<'_, '_, T>>,
) -> Result<Loss<T>>;

/// Of the scores, the targets, k, the axis and the index of rows to leave out.
pub(crate) type Accuracy<T> =
    fn(&View<'_, T>, &TargetsView<'_>, i128, usize, Option<i64>) -> Result<f64>;

/// The functions for one element type.
pub(crate) struct Compiled<T> {
    pub(crate) softmax: MapClasses<T>,
    pub(crate) log_softmax: MapClasses<T>,
    pub(crate) logsumexp: fn(&View<'_, T>, usize) -> Result<Vec<T>>,
    pub(crate) softmax_vjp: Vjp<T>,
    pub(crate) log_softmax_vjp: Vjp<T>,
    pub(crate) sigmoid: MapElements<T>,
    pub(crate) log_sigmoid: MapElements<T>,
    pub(crate) softplus: MapElements<T>,
    pub(crate) cross_entropy: ClassLosses<T, LogitsLoss>,
    pub(crate) nll_loss: ClassLosses<T, LogProbsLoss>,
    pub(crate) categorical_cross_entropy: ClassLosses<T, ProbsLoss>,
    pub(crate) binary_cross_entropy_with_logits: BinaryLosses<T, FromLogits>,
    pub(crate) binary_cross_entropy: BinaryLosses<T, FromProbs>,
    pub(crate) top_k: fn(&View<'_, T>, i128, usize) -> Result<Ranked<T>>,
    pub(crate) accuracy: Accuracy<T>,
    pub(crate) perplexity: fn(&View<'_, T>, &TargetsView<'_>, usize, Option<i64>) -> Result<f64>,
}

impl<T: Float> Compiled<T> {
    const fn new() -> Self {
        Self {
            softmax: |x, axis, out| map_classes(x, axis, out, &Softmax),
            log_softmax: |x, axis, out| map_classes(x, axis, out, &LogSoftmax),
            logsumexp: logsumexp_rows,
            softmax_vjp: |inputs, axis, out| vjp(inputs, axis, out, &SoftmaxVjp, "probs"),
            log_softmax_vjp: |inputs, axis, out| {
                vjp(inputs, axis, out, &LogSoftmaxVjp, "log_probs")
            },
            sigmoid: |x, out| map_elements(x, out, Sigmoid),
            log_sigmoid: |x, out| map_elements(x, out, LogSigmoid),
            softplus: |x, out| map_elements(x, out, Softplus),
            cross_entropy: class_losses,
            nll_loss: class_losses,
            categorical_cross_entropy: class_losses,
            binary_cross_entropy_with_logits: binary_loss,
            binary_cross_entropy: binary_loss,
            top_k: ranked_rows,
            accuracy: accuracy_of,
            perplexity: perplexity_of,
        }
    }
}

/// The functions for an element type.
pub(crate) fn compiled<T: Float>() -> &'static Compiled<T> {
    let tables: [&dyn Any; 2] = [of_f32(), of_f64()];
    let table = tables.into_iter().find_map(<dyn Any>::downcast_ref);
    table.expect("each element type has its table")
}

/// Never inlined, as is the other: whoever inlines it compiles all that is in it.
#[inline(never)]
fn of_f32() -> &'static Compiled<f32> {
    const { &Compiled::new() }
}

#[inline(never)]
fn of_f64() -> &'static Compiled<f64> {
    const { &Compiled::new() }
}
