//! The one error type. Every message that a user of the crate or of the Python module reads is
//! written here; the Python bindings only choose the exception class. What to write instead of an
//! array of the wrong shape is told by `hints`.

use thiserror::Error;

use crate::hints;
use crate::lanes::shape_without;

/// What an operation of this crate can refuse. Nothing has been written when one is returned.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The axis is not one of the array's.
    #[error(
        "axis {axis} is out of bounds for an array of dimension {dimensions}; \
         give an axis from 0 to {dimensions} exclusive"
    )]
    AxisOutOfBounds {
        /// The axis that was given.
        axis: usize,
        /// How many dimensions the array has.
        dimensions: usize,
    },
    /// Two arrays that must have one shape have two.
    #[error(
        "{name} has shape {given:?}, expected {expected:?}, the shape of {like}{}",
        hints::of_shape(name, given, expected)
    )]
    Shape {
        /// The argument at fault.
        name: &'static str,
        /// Its shape.
        given: Vec<usize>,
        /// The shape it must have.
        expected: Vec<usize>,
        /// Whose shape that is.
        like: &'static str,
    },
    /// An array of the wrong number of dimensions.
    #[error("{name} has shape {given:?}, expected {expected}")]
    Dimensions {
        /// The argument at fault.
        name: &'static str,
        /// Its shape.
        given: Vec<usize>,
        /// What is accepted.
        expected: &'static str,
    },
    /// Targets that are neither class indices nor probabilities for these logits.
    #[error(
        "targets of dtype {dtype} have shape {targets:?}, logits have shape {logits:?} with \
         classes on axis {axis}; give integer class indices of shape {indices:?}, or \
         probabilities (floats, or a one-hot matrix of ints or bools) of shape {logits:?}{hint}{}",
        hints::of_targets(dtype, targets, logits, *axis)
    )]
    TargetsShape {
        /// The element type of the targets.
        dtype: &'static str,
        /// Their shape.
        targets: Vec<usize>,
        /// The shape of the logits.
        logits: Vec<usize>,
        /// The axis of the classes.
        axis: usize,
        /// The shape that class indices must have.
        indices: Vec<usize>,
        /// What to write instead, if that can be told.
        hint: &'static str,
    },
    /// Targets of the logits' shape where class indices are needed.
    #[error(
        "{function} needs class indices, but targets have the shape of the scores {shape:?}; \
         give integer class indices of shape {indices:?}, for instance targets.argmax(axis={axis})"
    )]
    IndicesNeeded {
        /// The function that was called.
        function: &'static str,
        /// The shape of scores and targets.
        shape: Vec<usize>,
        /// The shape that class indices must have.
        indices: Vec<usize>,
        /// The axis of the classes.
        axis: usize,
    },
    /// Targets that are no class indices for these scores where nothing else is taken.
    #[error(
        "{function} needs class indices, but targets of dtype {dtype} have shape {targets:?} beside \
         scores of shape {scores:?} with classes on axis {axis}; give integer class indices of shape \
         {:?}{hint}{}",
        shape_without(scores, *axis),
        hints::of_indices(targets, scores, *axis)
    )]
    IndicesShape {
        /// The function that was called.
        function: &'static str,
        /// The element type of the targets.
        dtype: &'static str,
        /// Their shape.
        targets: Vec<usize>,
        /// The shape of the scores.
        scores: Vec<usize>,
        /// The axis of the classes.
        axis: usize,
        /// What to write instead, if that can be told.
        hint: &'static str,
    },
    /// A class index that names no class.
    #[error(
        "targets{position:?} is {value}, which is not a class index: there are {classes} classes, \
         so indices go from 0 to {classes} exclusive and negative ones do not wrap{hint}"
    )]
    ClassIndex {
        /// Where the index stands in the targets.
        position: Vec<usize>,
        /// The index.
        value: i128,
        /// How many classes there are.
        classes: usize,
        /// What to write instead, if that can be told.
        hint: &'static str,
    },
    /// `ignore_index` beside probabilities.
    #[error(
        "ignore_index={0} needs class indices as targets, but these are probabilities; leave rows \
         out with sample_weight=0 instead"
    )]
    IgnoreIndexWithProbabilities(i128),
    /// No class to choose from.
    #[error(
        "logits have shape {shape:?}: axis {axis} holds no classes, and a loss needs at least one"
    )]
    NoClasses {
        /// The shape of the logits.
        shape: Vec<usize>,
        /// The axis of the classes.
        axis: usize,
    },
    /// An option outside its range.
    #[error("{name} is {value:?}, expected {expected}")]
    Option {
        /// The option.
        name: &'static str,
        /// What was given.
        value: f64,
        /// What is accepted.
        expected: &'static str,
    },
    /// A reduction that does not exist.
    #[error("reduction is {0:?}, expected \"none\", \"mean\" or \"sum\"")]
    Reduction(String),
    /// A multiple of the Hessian that does not exist.
    #[error("hessian is {0:?}, expected \"exact\", \"bound\" or \"friedman\"")]
    Hessian(String),
    /// A number of best classes that cannot be had.
    #[error("k is {k}, but axis {axis} has {classes} classes; give a k from 0 to {classes}")]
    K {
        /// The number asked for.
        k: i128,
        /// The axis of the classes.
        axis: usize,
        /// How many classes there are.
        classes: usize,
    },
    /// A value outside the interval that its meaning allows.
    #[error(
        "{name}{position:?} is {value:?}, expected a value in [0, 1]{hint}{}",
        hints::of_sign(name, *value)
    )]
    NotAProbability {
        /// The argument at fault.
        name: &'static str,
        /// Where the value stands.
        position: Vec<usize>,
        /// The value.
        value: f64,
        /// What to write instead, if that can be told.
        hint: &'static str,
    },
    /// Shapes that do not broadcast.
    #[error(
        "{name} has shape {given:?}, which does not broadcast to {expected:?}, the shape of {like}{}",
        hints::of_broadcast(name, given, expected)
    )]
    Broadcast {
        /// The argument at fault.
        name: &'static str,
        /// Its shape.
        given: Vec<usize>,
        /// The shape it must broadcast to.
        expected: Vec<usize>,
        /// Whose shape that is.
        like: &'static str,
    },
    /// A result, or the work on it, for which there is no memory.
    #[error("{bytes} bytes cannot be allocated; work on a part of the array at a time")]
    Memory {
        /// How many bytes were asked for.
        bytes: u128,
    },
    /// An instruction set that cannot be had.
    #[error("{0}")]
    SimdLevel(String),
}

impl Error {
    /// There is no memory for so many elements.
    pub(crate) fn memory_for<T>(elements: usize) -> Self {
        Self::Memory {
            bytes: elements as u128 * size_of::<T>() as u128,
        }
    }
}

/// What the operations of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
