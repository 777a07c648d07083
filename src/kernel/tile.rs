//! Tiles: 64 rows side by side, class after class, so that each lane of a vector is a row.
//!
//! For few classes, and for classes that lie far apart in memory, this keeps vectors full where a
//! row at a time would not. Here belong the form of a tile and the sums over its classes; what is
//! made of them stands with each operation.

use fearless_simd::{Select, Simd, SimdBase, f64x8};

use super::RowKernel;
use super::rows::{EightRows, Halves, Normalizers, ROWS};
use crate::float::Float;
use crate::simd::Vector;
use crate::simd::math::{Pair, exp_difference};
use crate::simd::number::Number;
use crate::simd::reduce::{TermSum, prefetch};

/// Up to 64 rows as `[classes][64]`. Lanes beyond the rows hold numbers that mean nothing.
pub(crate) struct Tile<'a, T> {
    pub(crate) elements: &'a mut [T],
    /// Memory for the kernel, handed on from tile to tile.
    pub(crate) scratch: &'a mut Vec<f64>,
    /// Where a second result goes, if it is wanted.
    pub(crate) second: Option<&'a mut [T]>,
    /// The number of the first row, and how many there are.
    pub(crate) first: usize,
    pub(crate) rows: usize,
    /// What is read, and what is written, after this tile, if it is to be fetched.
    pub(crate) ahead: [Option<Ahead<T>>; 2],
}

/// Elements that are fetched while a tile is worked on: where the first class begins, and how far
/// the next one is.
#[derive(Clone, Copy)]
pub(crate) struct Ahead<T> {
    pub(crate) start: *const T,
    pub(crate) stride: isize,
}

impl<T> Ahead<T> {
    #[inline(always)]
    fn fetch(&self, class: usize, lane: usize) {
        let class = self.start.wrapping_offset(class as isize * self.stride);
        prefetch(class.wrapping_add(lane));
    }
}

/// A kernel that also works on tiles.
pub(crate) trait TileKernel<T: Float>: RowKernel<T, 1> {
    /// Up to so many classes a tile is not too large for it.
    fn most_classes(&self) -> usize {
        usize::MAX
    }

    /// Replaces the tile by the result, if the kernel has one. Implementations are
    /// `#[inline(always)]`.
    fn tile<S: Simd>(&self, simd: S, tile: &mut Tile<'_, T>, total: &mut Self::Total);
}

impl<T: Float> Tile<'_, T> {
    /// What the rows are normalised by. With `KEEP` each element becomes `e^(x - max) 2^lift`.
    /// One copy of this serves all kernels.
    #[inline(never)]
    pub(crate) fn normalizers<S: Simd, const KEEP: bool>(&mut self, simd: S) -> Normalizers {
        let mut result = Normalizers::new();
        simd.vectorize(
            #[inline(always)]
            || {
                for start in (0..ROWS).step_by(T::LANES) {
                    self.lanes::<S, KEEP>(simd, start, &mut result);
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
        for start in (0..ROWS).step_by(T::LANES) {
            let number = numbers.vectors(simd, start);
            for class in self.elements.chunks_exact_mut(ROWS) {
                let x = &mut class[start..start + T::LANES];
                let vector = T::Vector::<S>::from_slice(simd, x);
                function(vector, number).store_slice(x);
            }
        }
    }

    /// As many rows as a vector has lanes.
    #[inline(always)]
    fn lanes<S: Simd, const KEEP: bool>(
        &mut self,
        simd: S,
        start: usize,
        result: &mut Normalizers,
    ) {
        let c = |constant| T::Vector::<S>::splat(simd, constant);
        let lanes = start..start + T::LANES;
        let mut max = c(-T::INFINITY);
        for class in self.elements.chunks_exact(ROWS) {
            max = max.max(T::Vector::<S>::from_slice(simd, &class[lanes.clone()]));
        }
        let finite = max.abs().simd_lt(c(T::INFINITY));
        let max = finite.select(max, c(T::NAN));
        let mut terms = TileTerms {
            max,
            largest: c(T::ZERO),
            sum: TermSum::new(simd),
        };
        let ahead = self.ahead;
        let mut pairs = self.elements.chunks_exact_mut(2 * ROWS);
        let mut number = 0;
        for pair in &mut pairs {
            for ahead in ahead.iter().flatten() {
                ahead.fetch(number, start);
                ahead.fetch(number + 1, start);
            }
            number += 2;
            let (first, second) = pair.split_at_mut(ROWS);
            terms.add::<2, KEEP>(
                simd,
                [&mut first[lanes.clone()], &mut second[lanes.clone()]],
            );
        }
        for class in pairs.into_remainder().chunks_exact_mut(ROWS) {
            for ahead in ahead.iter().flatten() {
                ahead.fetch(number, start);
            }
            terms.add::<1, KEEP>(simd, [&mut class[lanes.clone()]]);
        }
        let back = f64x8::splat(simd, T::FORMAT.sum_lift_factor.recip());
        for (part, &max) in T::widen(max).as_ref().iter().enumerate() {
            let sum = terms.sum.eight_lanes::<T>(part);
            let others = Number::<S, T>::from_pair(Pair {
                high: sum.high * back,
                low: sum.low * back,
            });
            result.set_eight(start + part * 8, EightRows { max, others });
        }
    }
}

/// The terms of rows side by side, summed but for one of the largest.
struct TileTerms<S: Simd, T: Float> {
    max: T::Vector<S>,
    /// The largest term until now.
    largest: T::Vector<S>,
    sum: TermSum<S>,
}

impl<S: Simd, T: Float> TileTerms<S, T> {
    /// Adds classes. Of a term and the largest before it the smaller is added: so one of the largest
    /// is left out.
    #[inline(always)]
    fn add<const N: usize, const KEEP: bool>(&mut self, simd: S, classes: [&mut [T]; N]) {
        let mut x = [self.max; N];
        for (x, class) in x.iter_mut().zip(&classes) {
            *x = T::Vector::<S>::from_slice(simd, class);
        }
        let terms = exp_difference(x, [self.max; N]);
        for (term, class) in terms.iter().zip(classes) {
            self.sum.add::<T>(term.at_most(self.largest));
            self.largest = term.at_least(self.largest);
            if KEEP {
                term.store_slice(class);
            }
        }
    }
}
