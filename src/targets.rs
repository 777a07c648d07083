//! Targets of the losses over classes: class indices or probabilities, of whatever element type.
//!
//! Here belong their types, their checks, and the errors for wrong ones. What becomes of them in a
//! loss stands in `coefficients`.

use std::ops::Range;

use fearless_simd::Simd;
use half::{bf16, f16};
use ndarray::{ArrayView, CowArray, Dimension, IxDyn};

use crate::error::{Error, Result};
use crate::float::Element;
use crate::kernel::spread::{Mixing, NumberRows};
use crate::lanes::{Rows, ValueKernel, View, find_number, position, read_values, shape_without};

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

impl<'a, D: Dimension> From<ArrayView<'a, f16, D>> for Targets<'a, f16> {
    fn from(probabilities: ArrayView<'a, f16, D>) -> Self {
        Self::Probabilities(probabilities.into_dyn())
    }
}

impl<'a, D: Dimension> From<ArrayView<'a, bf16, D>> for Targets<'a, bf16> {
    fn from(probabilities: ArrayView<'a, bf16, D>) -> Self {
        Self::Probabilities(probabilities.into_dyn())
    }
}

impl<'a, D: Dimension> From<ArrayView<'a, f64, D>> for Targets<'a, f64> {
    fn from(probabilities: ArrayView<'a, f64, D>) -> Self {
        Self::Probabilities(probabilities.into_dyn())
    }
}

impl<T: Element> Targets<'_, T> {
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
        let indices = shape_without(shape, axis);
        match self {
            Self::Indices(view) if view.shape() == indices => Ok(view),
            Self::Probabilities(soft) if soft.shape() == shape => Err(Error::IndicesNeeded {
                function,
                shape: shape.to_vec(),
                indices,
                axis,
            }),
            _ => Err(Error::IndicesShape {
                function,
                dtype: self.dtype(),
                targets: self.shape().to_vec(),
                scores: shape.to_vec(),
                axis,
                hint: self.hint(&indices),
            }),
        }
    }

    pub(crate) fn shape_error(&self, shape: &[usize], axis: usize) -> Error {
        let indices = shape_without(shape, axis);
        Error::TargetsShape {
            dtype: self.dtype(),
            targets: self.shape().to_vec(),
            logits: shape.to_vec(),
            axis,
            hint: self.hint(&indices),
            indices,
        }
    }

    /// How numbers of the shape of class indices become such, which depends on what they are.
    fn hint(&self, indices: &[usize]) -> &'static str {
        match self {
            Self::Probabilities(soft) if soft.shape() == indices => {
                if soft.holds(|value| !value.is_nan() && value.fract() != 0.0) {
                    "; class indices are whole, and not all of these are"
                } else if soft.holds(f64::is_nan) {
                    "; NaN is no class: write np.nan_to_num(targets, nan=-100).astype(int) and pass \
                     ignore_index=-100 to leave such rows out"
                } else {
                    "; write np.asarray(targets, int) for the indices that these hold"
                }
            }
            _ => "",
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

    /// Whether a condition holds for any of them.
    fn holds(&self, condition: fn(f64) -> bool) -> bool;
}

/// The rows of probabilities along the axis of the classes.
pub(crate) trait SoftRows: NumberRows {
    /// Whether a row has a coefficient other than 0.
    fn has_coefficient(&self, row: usize, mixing: &Mixing<'_>) -> bool;

    /// Whether each of these rows has one.
    fn have_coefficients(&self, rows: Range<usize>, mixing: &Mixing<'_>) -> bool;

    fn as_numbers(&self) -> &dyn NumberRows;
}

/// A number that a probability can be given as.
pub(crate) trait Probability: Copy + Send + Sync + 'static {
    fn to_f64(self) -> f64;
}

impl<T: Element> Probability for T {
    #[inline(always)]
    fn to_f64(self) -> f64 {
        Element::to_f64(self)
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

    fn holds(&self, condition: fn(f64) -> bool) -> bool {
        let elements = self.view.elements();
        let holds = |row| condition(elements.value(row).to_f64());
        find_number(elements.count(), holds).is_some()
    }
}

impl<P: Probability> NumberRows for Rows<'_, P> {
    fn fill(&self, row: usize, start: usize, out: &mut [f64]) {
        self.for_each(row, start, out, Probability::to_f64);
    }

    fn fill_rows(&self, first: usize, out: &mut [f64]) {
        let rows = first..first + out.len() / self.len();
        if let Some(numbers) = self.slice_of_rows(rows.clone()) {
            for (number, out) in numbers.iter().zip(out) {
                *out = Probability::to_f64(*number);
            }
            return;
        }
        for (row, out) in rows.zip(out.chunks_exact_mut(self.len())) {
            self.for_each(row, 0, out, Probability::to_f64);
        }
    }

    fn f32s(&self, row: usize) -> Option<&[f32]> {
        self.slice_of(row)
    }

    fn f64s(&self, row: usize) -> Option<&[f64]> {
        self.slice_of(row)
    }
}

impl<P: Probability> SoftRows for Rows<'_, P> {
    fn has_coefficient(&self, row: usize, mixing: &Mixing<'_>) -> bool {
        if mixing.smoothing == 0.0 && mixing.weight.is_none() {
            return self.holds(row, |t| t.to_f64() != 0.0);
        }
        let mut classes = 0..self.len();
        classes.any(|class| {
            let target = self.element(row, class).to_f64();
            !mixing.leaves_nothing(class, target)
        })
    }

    fn have_coefficients(&self, mut rows: Range<usize>, mixing: &Mixing<'_>) -> bool {
        if let Some(numbers) = self.slice_of_rows(rows.clone())
            && mixing.smoothing == 0.0
            && mixing.weight.is_none()
        {
            let mut rows = numbers.chunks_exact(self.len());
            return rows.all(|row| row.iter().any(|t| t.to_f64() != 0.0));
        }
        rows.all(|row| self.has_coefficient(row, mixing))
    }

    fn as_numbers(&self) -> &dyn NumberRows {
        self
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
    let row = find_number(elements.count(), |row| check.is_wrong(elements.value(row)));
    let Some(row) = row else {
        // Another thread has written to it meanwhile.
        return Ok(found.kept);
    };
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
