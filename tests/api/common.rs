//! The naive reference, and arrays of every layout to try the crate with.

use std::fmt::Debug;

use logitkit::Float;
use ndarray::{Array, ArrayD, ArrayViewD, ArrayViewMutD, Axis, Dimension, IxDyn, Slice};

/// An element type as the tests see it.
pub(crate) trait Element: Float + Copy + Debug + PartialEq {
    /// By how much a result may differ from the reference, beside its magnitude.
    const TOLERANCE: f64;
    fn of(value: f64) -> Self;
    fn value(self) -> f64;
    fn bits(self) -> u64;
}

impl Element for f32 {
    // 2 ulp are at most this share of the value.
    const TOLERANCE: f64 = 2.4e-7;
    fn of(value: f64) -> Self {
        value as Self
    }
    fn value(self) -> f64 {
        self.into()
    }
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}

impl Element for f64 {
    // The reference is less accurate than the crate.
    const TOLERANCE: f64 = 1e-13;
    fn of(value: f64) -> Self {
        value
    }
    fn value(self) -> f64 {
        self
    }
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

/// Numbers from -1 to 1 without a pattern.
pub(crate) fn noise(seed: usize, index: usize) -> f64 {
    let mut bits = (seed as u64) << 32 ^ index as u64;
    for _ in 0..3 {
        bits = (bits ^ bits >> 31)
            .wrapping_add(1)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    (bits >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// An array of noise of a magnitude, each number one that `f32` holds.
pub(crate) fn random(shape: &[usize], magnitude: f64, seed: usize) -> ArrayD<f64> {
    let mut index = 0;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        index += 1;
        f64::from((magnitude * noise(seed, index)) as f32)
    })
}

/// Random probabilities: rows along the axis sum to 1 but for rounding.
pub(crate) fn random_probs(shape: &[usize], axis: usize, seed: usize) -> ArrayD<f64> {
    let scores = random(shape, 2.0, seed);
    map_rows(&scores, axis, softmax).mapv(|p| f64::from(p as f32))
}

pub(crate) fn random_classes(shape: &[usize], classes: usize, seed: usize) -> ArrayD<i64> {
    let noise = random(shape, 1.0, seed);
    noise.mapv(|x| ((x + 1.0) / 2.0 * classes as f64) as i64 % classes as i64)
}

pub(crate) fn cast<T: Element, D: Dimension>(array: &Array<f64, D>) -> Array<T, D> {
    array.mapv(T::of)
}

pub(crate) fn without(shape: &[usize], axis: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    shape.remove(axis);
    shape
}

/// Fails where results differ from the reference by more than the tolerance of their type times
/// the magnitude of what was added up for them.
pub(crate) fn assert_close<T: Element, D: Dimension>(
    given: &Array<T, D>,
    expected: &ArrayD<f64>,
    magnitude: f64,
    case: &str,
) {
    assert_eq!(given.shape(), expected.shape(), "{case}");
    for ((index, &expected), &given) in expected.indexed_iter().zip(given) {
        let given = given.value();
        let bound = T::TOLERANCE * (expected.abs() + magnitude);
        let equal = given == expected || given.is_nan() && expected.is_nan();
        assert!(
            equal || (given - expected).abs() <= bound,
            "{case} at {index:?}: {given}, expected {expected}"
        );
    }
}

/// How an array of a shape lies in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    Plain,
    Fortran,
    Steps,
    Reversed,
    Rotated,
}

impl Layout {
    pub(crate) const ALL: [Self; 5] = [
        Self::Plain,
        Self::Fortran,
        Self::Steps,
        Self::Reversed,
        Self::Rotated,
    ];

    /// Memory for an array of the shape, filled with one value.
    pub(crate) fn memory<T: Clone>(self, shape: &[usize], fill: T) -> ArrayD<T> {
        let mut shape = shape.to_vec();
        match self {
            Self::Plain | Self::Reversed => {}
            Self::Fortran => shape.reverse(),
            Self::Steps => shape.iter_mut().for_each(|size| *size = 3 * *size + 1),
            Self::Rotated if shape.is_empty() => {}
            Self::Rotated => shape.rotate_left(1),
        }
        ArrayD::from_elem(IxDyn(&shape), fill)
    }

    /// The array in its memory.
    pub(crate) fn view<T>(self, memory: &mut ArrayD<T>) -> ArrayViewMutD<'_, T> {
        let dimensions = memory.ndim();
        let mut view = memory.view_mut();
        match self {
            Self::Plain => {}
            Self::Fortran => view = view.reversed_axes(),
            Self::Steps => view.slice_each_axis_inplace(|_| Slice::new(1, None, 3)),
            Self::Reversed => (0..dimensions).for_each(|axis| view.invert_axis(Axis(axis))),
            Self::Rotated => {
                let axes: Vec<usize> = (0..dimensions)
                    .map(|axis| (axis + dimensions - 1) % dimensions)
                    .collect();
                view = view.permuted_axes(axes);
            }
        }
        view
    }

    /// Memory that holds the array in this layout.
    pub(crate) fn holding<T: Copy>(self, array: &ArrayViewD<'_, T>, fill: T) -> ArrayD<T> {
        let mut memory = self.memory(array.shape(), fill);
        self.view(&mut memory).assign(array);
        memory
    }
}

/// A function of every row along an axis.
pub(crate) fn map_rows(
    array: &ArrayD<f64>,
    axis: usize,
    function: impl Fn(&[f64]) -> Vec<f64>,
) -> ArrayD<f64> {
    let mut result = array.clone();
    for mut lane in result.lanes_mut(Axis(axis)) {
        let row = function(&lane.to_vec());
        lane.iter_mut().zip(row).for_each(|(to, from)| *to = from);
    }
    result
}

/// One number of every row along an axis.
pub(crate) fn fold_rows(
    array: &ArrayD<f64>,
    axis: usize,
    function: impl Fn(&[f64]) -> f64,
) -> ArrayD<f64> {
    let values = array
        .lanes(Axis(axis))
        .into_iter()
        .map(|lane| function(&lane.to_vec()));
    let shape = without(array.shape(), axis);
    // An empty array may have more lanes than its shape without the axis has places.
    let count = shape.iter().product();
    let values = values
        .chain(std::iter::repeat(f64::NEG_INFINITY))
        .take(count);
    ArrayD::from_shape_vec(IxDyn(&shape), values.collect()).expect("one number for each row")
}

fn maximum(row: &[f64]) -> f64 {
    row.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

pub(crate) fn log_sum_exp(row: &[f64]) -> f64 {
    let max = maximum(row);
    if max == f64::NEG_INFINITY {
        return max;
    }
    max + row.iter().map(|x| (x - max).exp()).sum::<f64>().ln()
}

pub(crate) fn softmax(row: &[f64]) -> Vec<f64> {
    let max = maximum(row);
    let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
    row.iter().map(|x| (x - max).exp() / sum).collect()
}

pub(crate) fn log_softmax(row: &[f64]) -> Vec<f64> {
    let lse = log_sum_exp(row);
    row.iter().map(|x| x - lse).collect()
}

pub(crate) fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

pub(crate) fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

/// What the loss of a class is: of logits, of log-probabilities, of probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Logits,
    LogProbs,
    Probs,
}

/// Options of the losses over classes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) weight: Option<Vec<f64>>,
    pub(crate) sample_weight: Option<ArrayD<f64>>,
    pub(crate) ignore_index: Option<i64>,
    pub(crate) label_smoothing: f64,
    pub(crate) z_loss: f64,
    pub(crate) eps: f64,
}

#[derive(Clone, Debug)]
pub(crate) enum Target {
    Classes(ArrayD<i64>),
    Soft(ArrayD<f64>),
}

/// Losses of the rows, the gradient of their sum, and what the mean divides by.
pub(crate) struct Reference {
    pub(crate) losses: ArrayD<f64>,
    pub(crate) gradient: ArrayD<f64>,
    pub(crate) divisor: f64,
}

/// The losses by the formulas, row by row.
pub(crate) fn class_loss(
    kind: Kind,
    scores: &ArrayD<f64>,
    targets: &Target,
    axis: usize,
    options: &Options,
) -> Reference {
    let classes = scores.shape()[axis];
    let weight = |c: usize| options.weight.as_ref().map_or(1.0, |w| w[c]);
    let epsilon = options.label_smoothing;
    let mut gradient = ArrayD::zeros(scores.raw_dim());
    let mut losses = Vec::new();
    let mut divisor = 0.0;
    let lanes = scores
        .lanes(Axis(axis))
        .into_iter()
        .zip(gradient.lanes_mut(Axis(axis)));
    for (row, (scores, mut gradient)) in lanes.enumerate() {
        let scores = scores.to_vec();
        let sample = options
            .sample_weight
            .as_ref()
            .map_or(1.0, |s| *s.iter().nth(row).expect("one for each row"));
        let mut a = vec![0.0; classes];
        let counted = match targets {
            Target::Classes(indices) => {
                let y = *indices.iter().nth(row).expect("one for each row");
                if Some(y) == options.ignore_index {
                    None
                } else {
                    let y = y as usize;
                    a[y] = (1.0 - epsilon) * weight(y);
                    (0..classes).for_each(|c| a[c] += epsilon / classes as f64 * weight(c));
                    Some(weight(y))
                }
            }
            Target::Soft(soft) => {
                let t = soft
                    .lanes(Axis(axis))
                    .into_iter()
                    .nth(row)
                    .expect("one for each row");
                let smoothed = |t: f64| (1.0 - epsilon) * t + epsilon / classes as f64;
                (0..classes).for_each(|c| a[c] = weight(c) * smoothed(t[c]));
                Some(1.0)
            }
        };
        let (Some(counted), true) = (counted, sample != 0.0) else {
            losses.push(0.0);
            continue;
        };
        divisor += sample * counted;
        let lse = log_sum_exp(&scores);
        let clip = |p: f64| {
            if options.eps > 0.0 {
                p.clamp(options.eps, 1.0 - options.eps)
            } else {
                p
            }
        };
        let cost = |c: usize| match kind {
            Kind::Logits => lse - scores[c],
            Kind::LogProbs => -scores[c],
            Kind::Probs => -clip(scores[c]).ln(),
        };
        let terms = (0..classes)
            .filter(|&c| a[c] != 0.0)
            .map(|c| a[c] * cost(c));
        losses.push(sample * (terms.sum::<f64>() + options.z_loss * lse * lse));
        let total: f64 = a.iter().sum();
        let probs = softmax(&scores);
        for c in 0..classes {
            gradient[c] = sample
                * match kind {
                    Kind::Logits => total * probs[c] - a[c] + 2.0 * options.z_loss * lse * probs[c],
                    Kind::LogProbs => -a[c],
                    Kind::Probs if a[c] == 0.0 || clip(scores[c]) != scores[c] => 0.0,
                    Kind::Probs => -a[c] / scores[c],
                };
        }
    }
    let shape = without(scores.shape(), axis);
    let losses = ArrayD::from_shape_vec(IxDyn(&shape), losses).expect("one loss for each row");
    Reference {
        losses,
        gradient,
        divisor,
    }
}
