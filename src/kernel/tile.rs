//! Tiles: 64 rows side by side, class after class, so that each lane of a vector is a row.
//!
//! For few classes, and for classes that lie far apart in memory, this keeps vectors full where a
//! row at a time would not. Here belong the form of a tile and the sums over its classes; what is
//! made of them stands with each operation.

use fearless_simd::{Select, Simd, SimdBase, f64x8};

use super::RowKernel;
use super::rows::{EightRows, Halves, Normalizers, ROWS};
use crate::float::Float;
use crate::simd::math::{Pair, exp_difference, ordered_sum, two_sum};
use crate::simd::reduce::TermSum;

/// Up to 64 rows as `[classes][64]`. Lanes beyond the rows hold numbers that mean nothing.
pub(crate) struct Tile<'a, T> {
    pub(crate) elements: &'a mut [T],
    /// The number of the first row, and how many there are.
    pub(crate) first: usize,
    pub(crate) rows: usize,
}

/// A kernel that also works on tiles.
pub(crate) trait TileKernel<T: Float>: RowKernel<T, 1> {
    /// Replaces the tile by the result, if the kernel has one. Implementations are
    /// `#[inline(always)]`.
    fn tile<S: Simd>(&self, simd: S, tile: &mut Tile<'_, T>, total: &mut Self::Total);
}

/// Vectors worked on at once: their sums stay in registers.
const GROUP: usize = 2;

impl<T: Float> Tile<'_, T> {
    /// What the rows are normalised by. With `KEEP` each element becomes `e^(x - max) 2^lift`.
    /// One copy of this serves all kernels.
    #[inline(never)]
    pub(crate) fn normalizers<S: Simd, const KEEP: bool>(&mut self, simd: S) -> Normalizers {
        let mut result = Normalizers::new();
        simd.vectorize(
            #[inline(always)]
            || {
                for start in (0..ROWS).step_by(GROUP * T::LANES) {
                    self.group::<S, KEEP>(simd, start, &mut result);
                }
            },
        );
        result
    }

    /// The elements of a row.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = T> {
        self.elements[row..].iter().step_by(ROWS).copied()
    }

    /// Replaces each element by a function of it and its row's number.
    #[inline(always)]
    pub(crate) fn each_class<S: Simd>(
        &mut self,
        simd: S,
        numbers: &Halves<T>,
        function: impl Fn(T::Vector<S>, Pair<T::Vector<S>>) -> T::Vector<S>,
    ) {
        for start in (0..ROWS).step_by(GROUP * T::LANES) {
            let numbers: [_; GROUP] = [
                numbers.vectors(simd, start),
                numbers.vectors(simd, start + T::LANES),
            ];
            for class in self.elements.chunks_exact_mut(ROWS) {
                let elements = &mut class[start..start + GROUP * T::LANES];
                for (x, &number) in elements.chunks_exact_mut(T::LANES).zip(&numbers) {
                    let vector = T::Vector::<S>::from_slice(simd, x);
                    function(vector, number).store_slice(x);
                }
            }
        }
    }

    #[inline(always)]
    fn group<S: Simd, const KEEP: bool>(
        &mut self,
        simd: S,
        start: usize,
        result: &mut Normalizers,
    ) {
        let c = |constant| T::Vector::<S>::splat(simd, constant);
        let lanes = start..start + GROUP * T::LANES;
        let mut max = [c(-T::INFINITY); GROUP];
        for class in self.elements.chunks_exact(ROWS) {
            for (max, x) in max
                .iter_mut()
                .zip(class[lanes.clone()].chunks_exact(T::LANES))
            {
                *max = max.max(T::Vector::<S>::from_slice(simd, x));
            }
        }
        for max in &mut max {
            let finite = max.abs().simd_lt(c(T::INFINITY));
            *max = finite.select(*max, c(T::NAN));
        }
        // One of the maxima is left out of the sum, and added as the 1 that it is.
        let mut ties = [c(T::ZERO); GROUP];
        let mut sums = [TermSum::new(simd); GROUP];
        for class in self.elements.chunks_exact_mut(ROWS) {
            let elements = class[lanes.clone()].chunks_exact_mut(T::LANES);
            for (i, x) in elements.enumerate() {
                let vector = T::Vector::<S>::from_slice(simd, x);
                let term = exp_difference(vector, max[i]);
                let is_top = vector.simd_eq(max[i]);
                ties[i] += is_top.select(c(T::ONE), c(T::ZERO));
                sums[i].add::<T>(is_top.select(c(T::ZERO), term));
                if KEEP {
                    term.store_slice(x);
                }
            }
        }
        for i in 0..GROUP {
            let (max, ties) = (T::widen(max[i]), T::widen(ties[i]));
            for (part, (&max, &ties)) in max.as_ref().iter().zip(ties.as_ref()).enumerate() {
                let sum = sums[i].eight_lanes::<T>(part);
                let back = T::FORMAT.sum_lift_factor.recip();
                let others = Pair {
                    high: sum.high * back,
                    low: sum.low * back,
                };
                let sum = two_sum(ties - f64x8::splat(simd, 1.0), others.high);
                let others = ordered_sum(sum.high, sum.low + others.low);
                let start = start + i * T::LANES + part * 8;
                result.set_eight(start, EightRows { max, others });
            }
        }
    }
}
