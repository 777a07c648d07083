//! What the derivatives of a tile's rows are made of, eight rows at a time.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase, f64x8};

use super::rows::{EightRows, PerRow, ROWS, load, store};
use super::tile::{Chosen, RowNumbers, Tile};
use super::tile_spread::TileSums;
use crate::float::Float;
use crate::simd::number::Number;

/// The targets of up to 64 rows: a class and its coefficient for each, and the sample weight, 0 for
/// a row that is left out.
pub(crate) struct TileTargets {
    pub(crate) class: [i64; ROWS],
    pub(crate) coefficient: PerRow,
    pub(crate) weight: PerRow,
}

impl TileTargets {
    pub(crate) fn left_out() -> Self {
        Self {
            class: [0; ROWS],
            coefficient: [0.0; ROWS],
            weight: [0.0; ROWS],
        }
    }

    /// The tile's elements at the targets.
    #[inline(always)]
    pub(crate) fn of<T: Float>(&self, tile: &Tile<'_, T>) -> PerRow {
        let mut elements = [0.0; ROWS];
        for (row, element) in elements.iter_mut().enumerate() {
            *element = tile.elements[self.class[row] as usize * ROWS + row].to_f64();
        }
        elements
    }

    /// Replaces the elements at the targets that have a coefficient.
    #[inline(always)]
    pub(crate) fn write<T: Float>(&self, tile: &mut Tile<'_, T>, entries: &PerRow) {
        for (row, &entry) in entries.iter().enumerate().take(tile.rows) {
            if self.coefficient[row] != 0.0 {
                let place = self.class[row] as usize * ROWS + row;
                tile.elements[place] = T::from_f64(entry);
            }
        }
    }
}

impl Chosen {
    /// Chooses the classes that have a coefficient of their own.
    #[inline(always)]
    pub(crate) fn choose<S: Simd>(&mut self, simd: S, targets: &TileTargets) {
        for (class, number) in targets.class.iter().zip(&mut self.classes) {
            *number = *class as f64;
        }
        let none = f64x8::splat(simd, f64::NAN);
        for start in (0..ROWS).step_by(8) {
            let coefficient = load(simd, &targets.coefficient, start);
            let number = load(simd, &self.classes, start);
            let number = coefficient.simd_eq(0.0).select(none, number);
            store(number, &mut self.classes, start);
        }
    }
}

/// What is known of the rows of a tile.
pub(crate) struct TileGradient<'a> {
    pub(crate) numbers: &'a RowNumbers,
    /// What the coefficients that all classes have add up to, if there are such.
    pub(crate) spread: Option<&'a TileSums>,
}

impl TileGradient<'_> {
    #[inline(always)]
    pub(crate) fn eight<S: Simd, T: Float>(&self, simd: S, start: usize) -> Gradient<S, T> {
        Gradient {
            rows: self.numbers.normalizers.eight(simd, start),
            log: self.numbers.logs.eight(simd, start),
            logit: load(simd, &self.numbers.chosen.logits, start),
            term: load(simd, &self.numbers.chosen.terms, start),
            coefficient: load(simd, &self.numbers.targets.coefficient, start),
            weight: load(simd, &self.numbers.targets.weight, start),
            spread: self.spread.map(
                #[inline(always)]
                |sums| {
                    let of_target = sums.of_target(simd, start);
                    [sums.coefficients(simd, start), Number::new(of_target)]
                },
            ),
        }
    }
}

/// `G`, the coefficient `a` of the target's class, and `G - a`.
pub(crate) struct Common<S: Simd, T> {
    pub(crate) all: Number<S, T>,
    own: Number<S, T>,
    less: Number<S, T>,
}

/// What the gradient of eight rows is made of.
pub(crate) struct Gradient<S: Simd, T> {
    pub(crate) rows: EightRows<S, T>,
    /// The logarithm of `1 + T`.
    log: Number<S, T>,
    /// The logit of the target.
    logit: f64x8<S>,
    /// Its exponential, lifted.
    term: f64x8<S>,
    coefficient: f64x8<S>,
    weight: f64x8<S>,
    /// The sum of the coefficients that all classes have, and that of the target's class.
    spread: Option<[Number<S, T>; 2]>,
}

impl<S: Simd, T: Float> Gradient<S, T> {
    /// What the coefficients and the z-loss add up to.
    #[inline(always)]
    pub(crate) fn common(&self, z_loss: f64) -> Common<S, T> {
        let mut own = Number::new(self.coefficient);
        let mut less = None;
        if let Some([all, of_target]) = self.spread {
            own = own.plus(of_target);
            less = Some(all.minus(of_target));
        }
        if z_loss != 0.0 {
            let slope = Number::splat(self.logit.token(), 2.0 * z_loss);
            let of_z_loss = Number::from_pair(self.rows.log_sum_exp(self.log)).times(slope);
            less = Some(match less {
                Some(less) => less.plus(of_z_loss),
                None => of_z_loss,
            });
        }
        match less {
            Some(less) => Common {
                all: own.plus(less),
                own,
                less,
            },
            None => Common {
                all: own,
                own,
                less: Number::splat(self.logit.token(), 0.0),
            },
        }
    }

    /// The sample weight.
    #[inline(always)]
    pub(crate) fn weight(&self) -> f64x8<S> {
        self.weight
    }

    /// The weight, times the inverse of the divisor.
    #[inline(always)]
    pub(crate) fn scale(&self, inverse: Number<S, T>) -> Number<S, T> {
        Number::new(self.weight).times(inverse)
    }

    /// A number, and 0 for rows that are left out.
    #[inline(always)]
    pub(crate) fn unless_left_out(&self, number: Number<S, T>) -> Number<S, T> {
        let zero = Number::splat(self.weight.token(), 0.0);
        Number::select(self.weight.simd_eq(0.0), zero, number)
    }

    /// What the terms of a row are multiplied by, and the entry of the target: with
    /// `G = sum(a) + 2 z_loss lse`, `scale G p` and `scale (G p - a)`, the latter from `1 - p` where
    /// that is the smaller of the two. The scale is the weight times the inverse of the divisor.
    #[inline(always)]
    pub(crate) fn evaluate(&self, z_loss: f64, inverse: Number<S, T>) -> (Number<S, T>, f64x8<S>) {
        let simd = self.logit.token();
        let one = Number::splat(simd, 1.0);
        let scale = self.scale(inverse);
        let common = self.common(z_loss);
        let top = self.rows.top_probability();
        let factor = common.all.times(scale).times(top);

        let lift = T::FORMAT.sum_lift_factor.recip();
        let p = top.times(Number::new(self.term).scaled(lift));
        let is_top = self.logit.simd_eq(self.rows.max);
        let rest = self.rows.others.times(top);
        let complement = Number::select(is_top, rest, one.minus(p));
        let from_complement = common.less.minus(common.all.times(complement));
        let from_p = common.all.times(p).minus(common.own);
        let confident = complement.high.simd_lt(0.5);
        let entry = Number::select(confident, from_complement, from_p).times(scale);

        let entry = self.unless_left_out(entry);
        (self.unless_left_out(factor), entry.high + entry.low)
    }
}
