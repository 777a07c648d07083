//! Targets of the losses over classes: class indices or probabilities, with their weights, turned
//! into the coefficients of each row.
//!
//! Everything about targets is checked here, before a loss reads or writes anything.

use fearless_simd::{Select, Simd, SimdBase, f64x8};
use ndarray::{ArrayView, ArrayView1, CowArray, Dimension, IxDyn};

use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernel::class_loss::{Coefficients, RowTarget};
use crate::kernel::index_loss::IndexTargets;
use crate::lanes::{Rows, ValueKernel, View, check_shape, position, read_values};
use crate::loss::Reduction;
use crate::simd::reduce::ProductSum;
use crate::wide::Wide;

mod sealed {
    pub trait Sealed {}
    impl Sealed for i8 {}
    impl Sealed for i16 {}
    impl Sealed for i32 {}
    impl Sealed for i64 {}
    impl Sealed for isize {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
    impl Sealed for u32 {}
    impl Sealed for u64 {}
    impl Sealed for usize {}
}

/// An integer type of class indices: any width from 8 to 64 bits, signed or not, [`isize`] and
/// [`usize`].
///
/// The trait is sealed. A type other than [`i64`] is converted in a copy of the targets.
pub trait ClassIndex: sealed::Sealed + Copy + TryInto<i64> + 'static {
    /// The index; one that `i64` does not hold is no class, and becomes the largest `i64`.
    #[doc(hidden)]
    fn to_i64(self) -> i64 {
        self.try_into().unwrap_or(i64::MAX)
    }

    /// The indices without a copy, if they are `i64`.
    #[doc(hidden)]
    #[must_use]
    fn borrowed<'a, D: Dimension>(_: &ArrayView<'a, Self, D>) -> Option<ArrayView<'a, i64, D>> {
        None
    }
}

impl ClassIndex for i8 {}
impl ClassIndex for i16 {}
impl ClassIndex for i32 {}
impl ClassIndex for isize {}
impl ClassIndex for u8 {}
impl ClassIndex for u16 {}
impl ClassIndex for u32 {}
impl ClassIndex for u64 {}
impl ClassIndex for usize {}
impl ClassIndex for i64 {
    fn borrowed<'a, D: Dimension>(array: &ArrayView<'a, i64, D>) -> Option<ArrayView<'a, i64, D>> {
        Some(array.clone())
    }
}

/// What a loss over classes is measured against: one class index for each row of the logits, or one
/// probability for each class.
///
/// Made by `into()` from an [`ArrayView`] of integers ([`ClassIndex`]) or of the logits' element
/// type; the losses take either view as it is. A class index goes from 0 to C exclusive, but for
/// `ignore_index`; negative ones do not wrap.
///
/// # Examples
///
/// ```
/// use logitkit::Targets;
/// use ndarray::array;
///
/// let (classes, one_hot) = (array![2_u8, 0], array![[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]);
/// let indices: Targets<'_, f64> = classes.view().into();
/// assert!(matches!(indices, Targets::Indices(_)));
/// let probabilities: Targets<'_, f64> = one_hot.view().into();
/// assert!(matches!(probabilities, Targets::Probabilities(_)));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Targets<'a, T> {
    /// Class indices, in the shape of the logits without the axis of the classes.
    Indices(CowArray<'a, i64, IxDyn>),
    /// Probabilities, in the shape of the logits. Rows need not sum to 1.
    Probabilities(ArrayView<'a, T, IxDyn>),
}

impl<'a, T, I: ClassIndex, D: Dimension> From<ArrayView<'a, I, D>> for Targets<'a, T> {
    fn from(indices: ArrayView<'a, I, D>) -> Self {
        Self::Indices(match I::borrowed(&indices) {
            Some(view) => CowArray::from(view.into_dyn()),
            None => CowArray::from(indices.mapv(ClassIndex::to_i64).into_dyn()),
        })
    }
}

impl<'a, D: Dimension> From<ArrayView<'a, f32, D>> for Targets<'a, f32> {
    fn from(probabilities: ArrayView<'a, f32, D>) -> Self {
        Self::Probabilities(probabilities.into_dyn())
    }
}

impl<'a, D: Dimension> From<ArrayView<'a, f64, D>> for Targets<'a, f64> {
    fn from(probabilities: ArrayView<'a, f64, D>) -> Self {
        Self::Probabilities(probabilities.into_dyn())
    }
}

impl<T: Float> Targets<'_, T> {
    pub(crate) fn view(&self) -> TargetsView<'_> {
        match self {
            Self::Indices(indices) => TargetsView::Indices(indices.view().into()),
            Self::Probabilities(probabilities) => {
                let view = View::from(probabilities.view());
                let dtype = T::NAME;
                TargetsView::Probabilities(Box::new(Probabilities { view, dtype }))
            }
        }
    }
}

/// Targets of any element type.
pub(crate) enum TargetsView<'a> {
    Indices(View<'a, i64>),
    Probabilities(Box<dyn SoftTargets + 'a>),
}

impl TargetsView<'_> {
    fn shape(&self) -> &[usize] {
        match self {
            Self::Indices(view) => view.shape(),
            Self::Probabilities(soft) => soft.shape(),
        }
    }

    /// Class indices for a function that has no use for probabilities.
    pub(crate) fn indices(
        &self,
        function: &'static str,
        shape: &[usize],
        axis: usize,
    ) -> Result<&View<'_, i64>> {
        let mut indices = shape.to_vec();
        indices.remove(axis);
        match self {
            Self::Indices(view) if view.shape() == indices => Ok(view),
            Self::Probabilities(soft) if soft.shape() == shape => Err(Error::IndicesNeeded {
                function,
                shape: shape.to_vec(),
                indices,
                axis,
            }),
            _ => Err(self.shape_error(shape, axis)),
        }
    }

    fn shape_error(&self, shape: &[usize], axis: usize) -> Error {
        let mut indices = shape.to_vec();
        indices.remove(axis);
        let hint = if self.shape() == indices {
            "; class indices are integers: write targets.astype(int) if these hold such"
        } else {
            ""
        };
        Error::TargetsShape {
            dtype: self.dtype(),
            targets: self.shape().to_vec(),
            logits: shape.to_vec(),
            axis,
            indices,
            hint,
        }
    }

    fn dtype(&self) -> &'static str {
        match self {
            Self::Indices(_) => "int64",
            Self::Probabilities(soft) => soft.dtype(),
        }
    }
}

/// Probabilities of whatever element type.
pub(crate) trait SoftTargets: Sync {
    fn shape(&self) -> &[usize];
    fn dtype(&self) -> &'static str;
    fn rows(&self, axis: usize) -> Box<dyn SoftRows + '_>;
}

/// The rows of probabilities along the axis of the classes.
pub(crate) trait SoftRows: Sync {
    /// Fills `out` with the elements of a row from `start` on.
    fn fill(&self, row: usize, start: usize, out: &mut [f64]);
}

/// A number that a probability can be given as.
pub(crate) trait Probability: Copy + Send + Sync {
    fn to_f64(self) -> f64;
}

impl<T: Float> Probability for T {
    #[inline(always)]
    fn to_f64(self) -> f64 {
        Float::to_f64(self)
    }
}

/// Probabilities as a view of one element type.
pub(crate) struct Probabilities<'a, P> {
    pub(crate) view: View<'a, P>,
    /// The name that NumPy gives the type of the targets.
    pub(crate) dtype: &'static str,
}

impl<P: Probability> SoftTargets for Probabilities<'_, P> {
    fn shape(&self) -> &[usize] {
        self.view.shape()
    }

    fn dtype(&self) -> &'static str {
        self.dtype
    }

    fn rows(&self, axis: usize) -> Box<dyn SoftRows + '_> {
        Box::new(self.view.rows(axis))
    }
}

impl<P: Probability> SoftRows for Rows<'_, P> {
    fn fill(&self, row: usize, start: usize, out: &mut [f64]) {
        self.for_each(row, start, out, Probability::to_f64);
    }
}

/// The options that all losses over classes share.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClassOptions<'a> {
    pub(crate) weight: Option<Vec<f64>>,
    pub(crate) sample_weight: Option<View<'a, f64>>,
    pub(crate) ignore_index: Option<i64>,
    pub(crate) label_smoothing: f64,
    pub(crate) reduction: Reduction,
}

impl ClassOptions<'_> {
    pub(crate) fn set_weight<W: Float>(&mut self, weight: ArrayView1<'_, W>) {
        self.weight = Some(weight.iter().map(|w| Float::to_f64(*w)).collect());
    }
}

/// Targets and options, checked, as coefficients of rows.
pub(crate) struct Plan<'a> {
    classes: usize,
    targets: Rowwise<'a>,
    weight: Option<&'a [f64]>,
    sample_weight: Option<Rows<'a, f64>>,
    /// `1 - label_smoothing`, and what smoothing gives each class before its weight.
    sharpness: f64,
    smoothing: f64,
    /// What smoothing gives each class of an index target; empty without smoothing.
    uniform: Vec<f64>,
    uniform_sum: Wide,
    /// Rows without a coefficient count all the same.
    keep_empty: bool,
    divisor: Wide,
}

enum Rowwise<'a> {
    Indices {
        rows: Rows<'a, i64>,
        ignored: Option<i64>,
        /// Rows that are not ignored.
        kept: usize,
    },
    Soft(Box<dyn SoftRows + 'a>),
}

impl<'a> Plan<'a> {
    /// Checks targets and options against logits of a shape. `keep_empty`: the loss has a part
    /// that does not depend on the target.
    pub(crate) fn new(
        shape: &[usize],
        axis: usize,
        targets: &'a TargetsView<'a>,
        options: &'a ClassOptions<'a>,
        keep_empty: bool,
    ) -> Result<Self> {
        let classes = shape[axis];
        let mut indices_shape = shape.to_vec();
        indices_shape.remove(axis);
        if classes == 0 {
            let shape = shape.to_vec();
            return Err(Error::NoClasses { shape, axis });
        }
        let epsilon = options.label_smoothing;
        if !(0.0..=1.0).contains(&epsilon) {
            return Err(Error::Option {
                name: "label_smoothing",
                value: epsilon,
                expected: "a number from 0 to 1",
            });
        }
        if let Some(weight) = &options.weight {
            check_shape("weight", &[weight.len()], &[classes], "the classes")?;
        }
        if let Some(weight) = &options.sample_weight {
            let like = "the logits without the axis of the classes";
            check_shape("sample_weight", weight.shape(), &indices_shape, like)?;
        }
        let targets = Rowwise::new(shape, axis, &indices_shape, targets, options)?;
        let smoothing = epsilon / classes as f64;
        let uniform = match (&targets, &options.weight) {
            (Rowwise::Soft(_), _) => Vec::new(),
            _ if epsilon == 0.0 => Vec::new(),
            (_, Some(weight)) => weight.iter().map(|w| smoothing * w).collect(),
            (_, None) => vec![smoothing; classes],
        };
        let uniform_sum = uniform
            .iter()
            .map(|&a| Wide::new(a))
            .fold(Wide::ZERO, |s, a| s + a);
        let mut plan = Self {
            classes,
            targets,
            weight: options.weight.as_deref(),
            sample_weight: options.sample_weight.as_ref().map(View::elements),
            sharpness: 1.0 - epsilon,
            smoothing,
            uniform,
            uniform_sum,
            keep_empty,
            divisor: Wide::new(1.0),
        };
        if options.reduction == Reduction::Mean {
            plan.divisor = plan.mean_divisor(indices_shape.iter().product())?;
        }
        Ok(plan)
    }

    /// What the sum of the losses is divided by for their mean.
    fn mean_divisor(&self, rows: usize) -> Result<Wide> {
        match &self.targets {
            Rowwise::Indices { kept, .. }
                if self.weight.is_none() && self.sample_weight.is_none() =>
            {
                Ok(Wide::new(*kept as f64))
            }
            Rowwise::Indices { rows, .. } => {
                let mut sum = Wide::ZERO;
                read_values(rows, &WeightSum(self), |grain| sum += grain)?;
                Ok(sum)
            }
            Rowwise::Soft(soft) => Ok((0..rows).fold(Wide::ZERO, |sum, row| {
                let weight = self.row_weight(row);
                if weight != 0.0 && (self.keep_empty || self.has_soft_target(soft.as_ref(), row)) {
                    sum + Wide::new(weight)
                } else {
                    sum
                }
            })),
        }
    }

    /// Whether a row of probabilities has a coefficient other than 0.
    fn has_soft_target(&self, soft: &dyn SoftRows, row: usize) -> bool {
        let mut block = [0.0; 256];
        let mut starts = (0..self.classes).step_by(block.len());
        starts.any(|start| {
            let block = &mut block[..256.min(self.classes - start)];
            self.fill_soft(soft, row, start, block);
            block.iter().any(|&a| a != 0.0)
        })
    }

    #[inline(always)]
    fn is_ignored(&self, index: i64) -> bool {
        matches!(&self.targets, Rowwise::Indices { ignored, .. } if *ignored == Some(index))
    }

    #[inline(always)]
    fn row_weight(&self, row: usize) -> f64 {
        self.sample_weight.as_ref().map_or(1.0, |w| w.value(row))
    }

    #[inline(always)]
    fn class_weight(&self, class: usize) -> f64 {
        self.weight.map_or(1.0, |w| w[class])
    }

    /// `w_c ((1 - eps) t_c + eps / C)` for classes from `start` on.
    fn fill_soft(&self, soft: &dyn SoftRows, row: usize, start: usize, out: &mut [f64]) {
        soft.fill(row, start, out);
        if self.smoothing != 0.0 {
            for t in &mut *out {
                *t = self.sharpness.mul_add(*t, self.smoothing);
            }
        }
        if let Some(weight) = self.weight {
            for (t, w) in out.iter_mut().zip(&weight[start..]) {
                *t = if *w == 0.0 { 0.0 } else { *t * w };
            }
        }
    }
}

impl Coefficients for Plan<'_> {
    #[inline]
    fn row<'a>(&'a self, row: usize, scratch: &'a mut Vec<f64>) -> Option<RowTarget<'a>> {
        let weight = self.row_weight(row);
        if weight == 0.0 {
            return None;
        }
        match &self.targets {
            Rowwise::Indices { rows, ignored, .. } => {
                let index = rows.value(row);
                if Some(index) == *ignored {
                    return None;
                }
                let class = index as usize;
                let coefficient = self.sharpness * self.class_weight(class);
                let empty = coefficient == 0.0 && self.uniform.iter().all(|&a| a == 0.0);
                (!empty || self.keep_empty).then_some(RowTarget {
                    weight,
                    class: Some((class, coefficient)),
                    all: &self.uniform,
                    all_sum: self.uniform_sum,
                })
            }
            Rowwise::Soft(soft) => {
                scratch.resize(self.classes, 0.0);
                self.fill_soft(soft.as_ref(), row, 0, scratch);
                let empty = scratch.iter().all(|&a| a == 0.0);
                let sum = scratch.iter().fold(Wide::ZERO, |s, &a| s + Wide::new(a));
                (!empty || self.keep_empty).then_some(RowTarget {
                    weight,
                    class: None,
                    all: scratch,
                    all_sum: sum,
                })
            }
        }
    }

    fn has_one_class_a_row(&self) -> bool {
        matches!(self.targets, Rowwise::Indices { .. }) && self.uniform.is_empty()
    }

    #[inline]
    fn index_targets(&self, first: usize, rows: usize, targets: &mut IndexTargets) {
        let Rowwise::Indices {
            rows: indices,
            ignored,
            ..
        } = &self.targets
        else {
            return;
        };
        indices.values(first, &mut targets.class[..rows]);
        if self.weight.is_none() && self.sample_weight.is_none() && ignored.is_none() {
            targets.coefficient[..rows].fill(self.sharpness);
            targets.weight[..rows].fill(1.0);
            return;
        }
        for row in 0..rows {
            let weight = self.row_weight(first + row);
            let class = targets.class[row];
            if weight == 0.0 || Some(class) == *ignored {
                targets.class[row] = 0;
                continue;
            }
            let coefficient = self.sharpness * self.class_weight(class as usize);
            if coefficient != 0.0 || self.keep_empty {
                targets.coefficient[row] = coefficient;
                targets.weight[row] = weight;
            }
        }
    }

    fn divisor(&self) -> Wide {
        self.divisor
    }
}

impl<'a> Rowwise<'a> {
    fn new(
        shape: &[usize],
        axis: usize,
        indices_shape: &[usize],
        targets: &'a TargetsView<'a>,
        options: &ClassOptions<'_>,
    ) -> Result<Self> {
        match targets {
            TargetsView::Indices(view) if view.shape() == indices_shape => {
                let ignored = options.ignore_index;
                let kept = check_indices(view, shape[axis], ignored)?;
                let rows = view.elements();
                Ok(Self::Indices {
                    rows,
                    ignored,
                    kept,
                })
            }
            TargetsView::Probabilities(soft) if soft.shape() == shape => {
                if let Some(index) = options.ignore_index {
                    return Err(Error::IgnoreIndexWithProbabilities(index.into()));
                }
                Ok(Self::Soft(soft.rows(axis)))
            }
            _ => Err(targets.shape_error(shape, axis)),
        }
    }
}

/// How many indices are not ignored; an error at the first of them that names no class.
pub(crate) fn check_indices(
    indices: &View<'_, i64>,
    classes: usize,
    ignored: Option<i64>,
) -> Result<usize> {
    let elements = indices.elements();
    let check = IndexCheck { classes, ignored };
    let mut found = Indices::default();
    read_values(&elements, &check, |grain| {
        found.kept += grain.kept;
        found.wrong |= grain.wrong;
    })?;
    if !found.wrong {
        return Ok(found.kept);
    }
    let row = (0..elements.count()).find(|&row| check.is_wrong(elements.value(row)));
    let row = row.expect("a wrong index was found");
    Err(class_index_error(
        position(row, indices.shape()),
        elements.value(row).into(),
        classes,
    ))
}

struct IndexCheck {
    classes: usize,
    ignored: Option<i64>,
}

#[derive(Default)]
struct Indices {
    kept: usize,
    wrong: bool,
}

impl IndexCheck {
    #[inline(always)]
    fn is_wrong(&self, index: i64) -> bool {
        (index < 0 || index as u64 >= self.classes as u64) && Some(index) != self.ignored
    }
}

impl ValueKernel<i64> for IndexCheck {
    type Total = Indices;

    #[inline(always)]
    fn values<S: Simd>(&self, _simd: S, _first: usize, indices: &[i64], total: &mut Indices) {
        // Without a branch for each index the compiler makes vectors of it.
        let (mut wrong, mut kept) = (0, 0);
        let (ignored, ignores) = (self.ignored.unwrap_or(0), self.ignored.is_some());
        for &index in indices {
            let is_kept = u64::from(!ignores || index != ignored);
            wrong |= u64::from(index as u64 >= self.classes as u64) & is_kept;
            kept += is_kept;
        }
        total.kept += kept as usize;
        total.wrong |= wrong != 0;
    }
}

/// The sum of the weights of rows with class indices.
struct WeightSum<'a, 'b>(&'a Plan<'b>);

impl ValueKernel<i64> for WeightSum<'_, '_> {
    type Total = Wide;

    #[inline(always)]
    fn values<S: Simd>(&self, simd: S, first: usize, indices: &[i64], total: &mut Wide) {
        let mut sum = ProductSum::new(simd);
        for (eight, indices) in indices.chunks(8).enumerate() {
            let (mut weights, mut class_weights) = ([0.0; 8], [0.0; 8]);
            for (lane, &index) in indices.iter().enumerate() {
                if !self.0.is_ignored(index) {
                    weights[lane] = self.0.row_weight(first + eight * 8 + lane);
                    class_weights[lane] = self.0.class_weight(index as usize);
                }
            }
            let weights = f64x8::from_slice(simd, &weights);
            // A row of weight 0 is left out, whatever its class weighs.
            let zero = f64x8::splat(simd, 0.0);
            let class_weights = f64x8::from_slice(simd, &class_weights);
            let class_weights = weights.simd_eq(zero).select(zero, class_weights);
            sum.add(weights, class_weights);
        }
        *total += sum.total();
    }
}

/// The error for an index that names no class.
pub(crate) fn class_index_error(position: Vec<usize>, value: i128, classes: usize) -> Error {
    Error::ClassIndex {
        position,
        value,
        classes,
        hint: if value == -100 {
            "; if -100 marks rows to leave out, pass ignore_index=-100"
        } else {
            "; correct it, or pass ignore_index to leave such rows out"
        },
    }
}
