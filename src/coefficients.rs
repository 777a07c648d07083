//! The coefficients of each row of a loss over classes: targets and options, checked and put
//! together.
//!
//! Here belong the options that all these losses share, their checks, and what the sum of the
//! losses is divided by for their mean.

use fearless_simd::{Select, Simd, SimdBase, f64x8};
use ndarray::ArrayView1;

use crate::error::{Error, Result};
use crate::float::Element;
use crate::kernel::class_loss::{Coefficients, RowTarget};
use crate::kernel::rows::{ROWS, load};
use crate::kernel::spread::{Mixing, Soft, Spread};
use crate::kernel::tile_gradient::TileTargets;
use crate::kernel::tile_spread::TileSpread;
use crate::lanes::{
    Rows, ValueKernel, View, check_shape, read_numbers, read_values, reserved, shape_without,
};
use crate::loss::Reduction;
use crate::simd::reduce::ProductSum;
use crate::simd::transpose::to_columns;
use crate::stop::fill_up;
use crate::targets::{SoftRows, TargetsView, check_indices};
use crate::wide::Wide;

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
    pub(crate) fn set_weight<W: Element>(&mut self, weight: ArrayView1<'_, W>) {
        self.weight = Some(weight.iter().map(|w| w.to_f64()).collect());
    }
}

/// Targets and options, checked, as coefficients of rows.
pub(crate) struct Plan<'a> {
    targets: Rowwise<'a>,
    sample_weight: Option<Rows<'a, f64>>,
    /// What becomes of a soft target as a coefficient, and of 0 as that of the other classes of an
    /// index.
    mixing: Mixing<'a>,
    /// What smoothing gives each class of an index target where they have weights.
    listed: Vec<f64>,
    /// Smoothing gives no class of an index target anything.
    is_sharp: bool,
    /// Rows without a coefficient count all the same.
    keep_empty: bool,
    /// Some row of soft targets may be without a coefficient.
    has_empty: bool,
    divisor: Wide,
    /// The last class. Indices are checked, but another thread may write to them after that: what
    /// is no class any more counts as this one.
    last: usize,
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
        let indices_shape = shape_without(shape, axis);
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
        let mixing = Mixing {
            sharpness: 1.0 - epsilon,
            smoothing: epsilon / classes as f64,
            weight: options.weight.as_deref(),
        };
        let mut listed = Vec::new();
        if let (Rowwise::Indices { .. }, Some(weight)) = (&targets, mixing.weight)
            && epsilon != 0.0
        {
            listed = reserved(weight.len())?;
            listed.extend(weight.iter().map(|w| mixing.smoothing * w));
        }
        let mut plan = Self {
            is_sharp: epsilon == 0.0 || !listed.is_empty() && listed.iter().all(|&a| a == 0.0),
            targets,
            sample_weight: options.sample_weight.as_ref().map(View::elements),
            mixing,
            listed,
            keep_empty,
            has_empty: true,
            divisor: Wide::new(1.0),
            last: classes - 1,
        };
        if options.reduction == Reduction::Mean {
            let rows = indices_shape.iter().product();
            (plan.divisor, plan.has_empty) = plan.mean_divisor(rows, classes)?;
        }
        Ok(plan)
    }

    /// What the sum of the losses is divided by for their mean, and whether a row of soft targets
    /// may be without a coefficient.
    fn mean_divisor(&self, rows: usize, classes: usize) -> Result<(Wide, bool)> {
        let mut sum = Wide::ZERO;
        match &self.targets {
            Rowwise::Indices { kept, .. }
                if self.mixing.weight.is_none() && self.sample_weight.is_none() =>
            {
                sum = Wide::new(*kept as f64);
            }
            Rowwise::Indices { rows, .. } => {
                read_values(rows, &WeightSum(self), |grain| sum += grain)?;
            }
            Rowwise::Soft(soft) => {
                let mut has_empty = false;
                let grain = |rows: std::ops::Range<usize>| self.soft_weights(soft.as_ref(), rows);
                read_numbers(rows, classes, grain, |(weights, empty)| {
                    sum += weights;
                    has_empty |= empty;
                })?;
                return Ok((sum, has_empty));
            }
        }
        Ok((sum, false))
    }

    /// The sum of the weights of rows of soft targets, and whether one of those that a sample
    /// weight does not leave out is without a coefficient. The usual row shows one soon.
    fn soft_weights(&self, soft: &dyn SoftRows, rows: std::ops::Range<usize>) -> (Wide, bool) {
        let weigh_alike = self.sample_weight.is_none();
        if weigh_alike && (self.keep_empty || soft.have_coefficients(rows.clone(), &self.mixing)) {
            return (Wide::new(rows.len() as f64), false);
        }
        let (mut sum, mut has_empty) = (Wide::ZERO, false);
        for row in rows {
            let weight = self.row_weight(row);
            if weight == 0.0 {
                continue;
            }
            if self.keep_empty || soft.has_coefficient(row, &self.mixing) {
                sum += Wide::new(weight);
            } else {
                has_empty = true;
            }
        }
        (sum, has_empty)
    }

    #[inline(always)]
    fn is_ignored(&self, index: i64) -> bool {
        matches!(&self.targets, Rowwise::Indices { ignored, .. } if *ignored == Some(index))
    }

    #[inline(always)]
    fn row_weight(&self, row: usize) -> f64 {
        self.sample_weight.as_ref().map_or(1.0, |w| w.value(row))
    }

    /// The sample weights of rows from `first` on.
    #[inline(always)]
    fn row_weights(&self, first: usize, weights: &mut [f64]) {
        match &self.sample_weight {
            None => weights.fill(1.0),
            Some(rows) => rows.values(first, weights),
        }
    }

    #[inline(always)]
    fn class(&self, index: i64) -> usize {
        (index as usize).min(self.last)
    }

    #[inline(always)]
    fn class_weight(&self, class: usize) -> f64 {
        self.mixing.weight.map_or(1.0, |w| w[class])
    }

    /// The coefficients that all classes of an index target have.
    #[inline(always)]
    fn smoothed(&self) -> Spread<'_> {
        if self.is_sharp {
            Spread::Nothing
        } else if self.listed.is_empty() {
            Spread::Even(self.mixing.smoothing)
        } else {
            Spread::Listed(&self.listed)
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
                let class = self.class(index);
                let coefficient = self.mixing.sharpness * self.class_weight(class);
                let empty = coefficient == 0.0 && self.is_sharp;
                (!empty || self.keep_empty).then(|| RowTarget {
                    weight,
                    class: Some((class, coefficient)),
                    all: self.smoothed(),
                })
            }
            Rowwise::Soft(soft) => {
                let may_be_empty = self.has_empty && !self.keep_empty;
                let counts = !may_be_empty || soft.has_coefficient(row, &self.mixing);
                counts.then(|| RowTarget {
                    weight,
                    class: None,
                    all: Spread::Soft(Soft {
                        targets: soft.as_numbers(),
                        row,
                        mixing: self.mixing,
                        scratch,
                    }),
                })
            }
        }
    }

    fn has_one_class_a_row(&self) -> bool {
        matches!(self.targets, Rowwise::Indices { .. }) && self.is_sharp
    }

    #[inline(always)]
    fn tile_targets(&self, first: usize, rows: usize, found: &mut TileTargets) {
        if rows < ROWS {
            *found = TileTargets::left_out();
        }
        self.row_weights(first, &mut found.weight[..rows]);
        let Rowwise::Indices {
            rows: indices,
            ignored,
            ..
        } = &self.targets
        else {
            return;
        };
        indices.values(first, &mut found.class[..rows]);
        let (ignores, ignored) = (ignored.is_some(), ignored.unwrap_or(0));
        let last = self.last as i64;
        let counts_always = self.keep_empty || !self.is_sharp;
        // Without a branch for each row the compiler makes vectors of it.
        for row in 0..rows {
            let class = found.class[row];
            let left_out = ignores && class == ignored || found.weight[row] == 0.0;
            // As `class`, for which vectors without unsigned integers would need a dozen instructions.
            let class = if (0..=last).contains(&class) {
                class
            } else {
                last
            };
            found.class[row] = if left_out { 0 } else { class };
            found.coefficient[row] = if left_out { 0.0 } else { self.mixing.sharpness };
            found.weight[row] = if left_out { 0.0 } else { found.weight[row] };
        }
        if let Some(weight) = self.mixing.weight {
            for row in 0..rows {
                // A class may weigh infinitely much, which times 0 is NaN.
                if found.weight[row] != 0.0 {
                    found.coefficient[row] *= weight[found.class[row] as usize];
                }
            }
        }
        if !counts_always {
            for row in 0..rows {
                let counts = found.coefficient[row] != 0.0;
                found.weight[row] = if counts { found.weight[row] } else { 0.0 };
            }
        }
    }

    #[inline(always)]
    fn tile_spread<'a, S: Simd>(
        &'a self,
        simd: S,
        first: usize,
        rows: usize,
        scratch: &'a mut Vec<f64>,
    ) -> TileSpread<'a> {
        let Rowwise::Soft(soft) = &self.targets else {
            return if self.listed.is_empty() {
                TileSpread::Even(self.mixing.smoothing)
            } else {
                TileSpread::Listed(&self.listed)
            };
        };
        let size = self.classes() * ROWS;
        fill_up(scratch, 2 * size, 0.0);
        let (targets, by_row) = scratch.split_at_mut(size);
        soft.as_numbers()
            .fill_rows(first, &mut by_row[..self.classes() * rows]);
        to_columns(simd, &by_row[..size], targets);
        TileSpread::mixed(simd, targets, &self.mixing)
    }

    fn most_tile_classes(&self) -> usize {
        match self.targets {
            Rowwise::Indices { .. } => usize::MAX,
            Rowwise::Soft(_) => MOST_SOFT,
        }
    }

    fn keeps_empty(&self) -> bool {
        self.keep_empty
    }

    fn divisor(&self) -> Wide {
        self.divisor
    }

    fn classes(&self) -> usize {
        self.last + 1
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

/// A tile of soft targets of so many classes, in `f64` and before and after it is turned, fits into the
/// second cache.
const MOST_SOFT: usize = 512;

/// The sum of the weights of rows with class indices.
struct WeightSum<'a, 'b>(&'a Plan<'b>);

impl ValueKernel<i64> for WeightSum<'_, '_> {
    type Total = Wide;

    #[inline(always)]
    fn values<S: Simd>(&self, simd: S, first: usize, indices: &[i64], total: &mut Wide) {
        let plan = self.0;
        let mut sum = ProductSum::new(simd);
        let zero = f64x8::splat(simd, 0.0);
        // Numbers that were written one by one are not to be read at once by a vector.
        for (block, indices) in indices.chunks(ROWS).enumerate() {
            let (mut weights, mut class_weights) = ([0.0; ROWS], [1.0; ROWS]);
            plan.row_weights(first + block * ROWS, &mut weights[..indices.len()]);
            if let Some(weight) = plan.mixing.weight {
                for (class_weight, &index) in class_weights.iter_mut().zip(indices) {
                    *class_weight = weight[plan.class(index)];
                }
            }
            for (weight, &index) in weights.iter_mut().zip(indices) {
                *weight = if plan.is_ignored(index) { 0.0 } else { *weight };
            }
            for start in (0..indices.len()).step_by(8) {
                let weights = load(simd, &weights, start);
                // A row of weight 0 is left out, whatever its class weighs.
                let class_weights = load(simd, &class_weights, start);
                let class_weights = weights.simd_eq(zero).select(zero, class_weights);
                sum.add(weights, class_weights);
            }
        }
        *total += sum.total();
    }
}
