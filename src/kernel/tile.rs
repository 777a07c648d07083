//! Tiles: 64 rows side by side, class after class, so that each lane of a vector is a row.
//!
//! For few classes, and for classes that lie far apart in memory, this keeps vectors full where a
//! row at a time would not. Here belong the form of a tile and the sums over its classes; what is
//! made of them stands with each operation.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase, f64x8};

use super::RowKernel;
use super::rows::{EightRows, Halves, Logs, Normalizers, PerRow, ROWS, narrowed, store_widened};
use super::tile_gradient::TileTargets;
use crate::float::Float;
use crate::simd::math::{Pair, exp_difference};
use crate::simd::number::Number;
use crate::simd::reduce::{TermSum, prefetch};
use crate::simd::{Vector, has_wide_registers};

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

/// A class of each row, and what is found of it.
pub(crate) struct Chosen {
    /// The number of the class; NaN where there is none.
    pub(crate) classes: PerRow,
    /// Its elements, before the tile was replaced by exponentials, and after if it was.
    pub(crate) logits: PerRow,
    pub(crate) terms: PerRow,
}

/// What stands in the place of other results in the chosen classes, class after class.
pub(crate) struct ChosenEntries<S: Simd, T: Float> {
    /// The class that comes next.
    class: T::Vector<S>,
    chosen: T::Vector<S>,
    entry: T::Vector<S>,
}

impl<S: Simd, T: Float> ChosenEntries<S, T> {
    /// Of as many rows as a vector has lanes, from the numbers of the classes and the entries.
    #[inline(always)]
    pub(crate) fn of(simd: S, [classes, entries]: [&PerRow; 2], start: usize) -> Self {
        Self {
            class: T::Vector::<S>::splat(simd, T::ZERO),
            chosen: narrowed::<S, T>(simd, classes, start),
            entry: narrowed::<S, T>(simd, entries, start),
        }
    }

    /// The results of the next class, but for rows in which it is chosen.
    #[inline(always)]
    pub(crate) fn or(&mut self, results: T::Vector<S>) -> T::Vector<S> {
        let is_it = self.class.simd_eq(self.chosen);
        self.class += T::Vector::<S>::splat(results.token(), T::ONE);
        is_it.select(self.entry, results)
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
    fn tile<S: Simd>(
        &self,
        simd: S,
        tile: &mut Tile<'_, T>,
        numbers: &mut RowNumbers,
        total: &mut Self::Total,
    );
}

/// What is found of a tile's rows. It is memory that is kept from tile to tile: to clear it each time
/// would take as long as some of what is written to it.
pub(crate) struct RowNumbers {
    pub(crate) normalizers: Normalizers,
    pub(crate) logs: Logs,
    pub(crate) targets: TileTargets,
    pub(crate) chosen: Chosen,
}

impl RowNumbers {
    pub(crate) fn new() -> Self {
        Self {
            normalizers: Normalizers::new(),
            logs: Logs::new(),
            targets: TileTargets::left_out(),
            chosen: Chosen::none(),
        }
    }
}

impl Chosen {
    fn none() -> Self {
        Self {
            classes: [f64::NAN; ROWS],
            logits: [0.0; ROWS],
            terms: [0.0; ROWS],
        }
    }
}

impl<T: Float> Tile<'_, T> {
    /// Finds what the rows are normalised by. With `KEEP` each element becomes `e^(x - max) 2^lift`.
    /// One copy of this serves all kernels.
    #[inline(never)]
    pub(crate) fn normalize<S: Simd, const KEEP: bool>(
        &mut self,
        simd: S,
        found: &mut Normalizers,
    ) {
        simd.vectorize(
            #[inline(always)]
            || {
                let none = &mut Chosen::none();
                match (self.elements.len() / ROWS, has_wide_registers(simd)) {
                    (2, true) => self.each_lanes::<S, 4, PAIR, KEEP, false>(simd, found, none),
                    (2, false) => self.each_lanes::<S, 2, PAIR, KEEP, false>(simd, found, none),
                    (_, true) => self.each_lanes::<S, 2, 2, KEEP, false>(simd, found, none),
                    (_, false) => self.each_lanes::<S, 1, 2, KEEP, false>(simd, found, none),
                }
            },
        );
    }

    /// The same, and finds the elements of a class of each row.
    #[inline(never)]
    pub(crate) fn normalize_and_choose<S: Simd, const KEEP: bool>(
        &mut self,
        simd: S,
        found: &mut Normalizers,
        chosen: &mut Chosen,
    ) {
        simd.vectorize(
            #[inline(always)]
            || match (self.elements.len() / ROWS, has_wide_registers(simd)) {
                (2, true) => self.each_lanes::<S, 4, PAIR, KEEP, true>(simd, found, chosen),
                (2, false) => self.each_lanes::<S, 2, PAIR, KEEP, true>(simd, found, chosen),
                (_, true) => self.each_lanes::<S, 2, 1, KEEP, true>(simd, found, chosen),
                (_, false) => self.each_lanes::<S, 1, 2, KEEP, true>(simd, found, chosen),
            },
        );
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

    /// `G` vectors of rows and `N` classes at once, to keep the machine's pipelines full.
    #[inline(always)]
    fn each_lanes<S: Simd, const G: usize, const N: usize, const KEEP: bool, const CHOOSE: bool>(
        &mut self,
        simd: S,
        found: &mut Normalizers,
        chosen: &mut Chosen,
    ) {
        for start in (0..ROWS).step_by(G * T::LANES) {
            let mut terms = TileTerms::<S, T, G>::of(simd, self.elements, start);
            if CHOOSE {
                terms.choose(simd, chosen, start);
            }
            if N == PAIR {
                (0..2).for_each(|class| fetch::<T, G>(self.ahead, class, start));
                terms.add_pair::<KEEP, CHOOSE>(simd, self.elements, start);
            } else {
                self.add_each::<S, G, N, KEEP, CHOOSE>(simd, &mut terms, start);
            }
            if CHOOSE {
                terms.store_chosen::<KEEP>(chosen, start);
            }
            terms.store(simd, found, start);
        }
    }

    #[inline(always)]
    fn add_each<S: Simd, const G: usize, const N: usize, const KEEP: bool, const CHOOSE: bool>(
        &mut self,
        simd: S,
        terms: &mut TileTerms<S, T, G>,
        start: usize,
    ) {
        let ahead = self.ahead;
        let fetch = |number| fetch::<T, G>(ahead, number, start);
        let mut number = 0;
        let mut several = self.elements.chunks_exact_mut(N * ROWS);
        for classes in &mut several {
            (number..number + N).for_each(fetch);
            number += N;
            terms.add::<N, KEEP, CHOOSE>(simd, classes, start);
        }
        for class in several.into_remainder().chunks_exact_mut(ROWS) {
            fetch(number);
            number += 1;
            terms.add::<1, KEEP, CHOOSE>(simd, class, start);
        }
    }
}

/// Stands for the number of classes at once where there are two, and both are added in a way of their own:
/// that of the maximum needs no exponential. The other way is compiled for it, but never taken.
const PAIR: usize = 0;

/// Fetches what is read and written next in place of `G` vectors of rows of a class.
#[inline(always)]
fn fetch<T: Float, const G: usize>(ahead: [Option<Ahead<T>>; 2], class: usize, start: usize) {
    for ahead in ahead.iter().flatten() {
        for group in 0..G {
            ahead.fetch(class, start + group * T::LANES);
        }
    }
}

/// The terms of `G` vectors of rows side by side, summed but for one of the largest of each row.
struct TileTerms<S: Simd, T: Float, const G: usize> {
    max: [T::Vector<S>; G],
    /// The largest term until now.
    largest: [T::Vector<S>; G],
    sum: [TermSum<S>; G],
    /// The class that comes next, which one is chosen, and what was found of that.
    class: T::Vector<S>,
    chosen: [T::Vector<S>; G],
    logit: [T::Vector<S>; G],
    term: [T::Vector<S>; G],
}

impl<S: Simd, T: Float, const G: usize> TileTerms<S, T, G> {
    /// Before the first class is added.
    #[inline(always)]
    fn of(simd: S, elements: &[T], start: usize) -> Self {
        let c = |constant| T::Vector::<S>::splat(simd, constant);
        let mut max = [c(-T::INFINITY); G];
        for class in elements.chunks_exact(ROWS) {
            for (group, max) in max.iter_mut().enumerate() {
                *max = max.max(Self::vector(simd, class, start, group));
            }
        }
        for max in &mut max {
            let finite = max.abs().simd_lt(c(T::INFINITY));
            *max = finite.select(*max, c(T::NAN));
        }
        Self {
            max,
            largest: [c(T::ZERO); G],
            sum: [TermSum::new(simd); G],
            class: c(T::ZERO),
            chosen: [c(T::NAN); G],
            logit: [c(T::ZERO); G],
            term: [c(T::ZERO); G],
        }
    }

    #[inline(always)]
    fn vector(simd: S, class: &[T], start: usize, group: usize) -> T::Vector<S> {
        let first = start + group * T::LANES;
        T::Vector::<S>::from_slice(simd, &class[first..first + T::LANES])
    }

    #[inline(always)]
    fn choose(&mut self, simd: S, chosen: &Chosen, start: usize) {
        for (group, class) in self.chosen.iter_mut().enumerate() {
            *class = narrowed::<S, T>(simd, &chosen.classes, start + group * T::LANES);
        }
    }

    #[inline(always)]
    fn store_chosen<const KEEP: bool>(&self, chosen: &mut Chosen, start: usize) {
        for group in 0..G {
            let start = start + group * T::LANES;
            store_widened::<S, T>(self.logit[group], &mut chosen.logits, start);
            if KEEP {
                store_widened::<S, T>(self.term[group], &mut chosen.terms, start);
            }
        }
    }

    /// Adds `N` classes. Of a term and the largest before it the smaller is added: so one of the largest
    /// is left out.
    #[inline(always)]
    fn add<const N: usize, const KEEP: bool, const CHOOSE: bool>(
        &mut self,
        simd: S,
        classes: &mut [T],
        start: usize,
    ) {
        let mut x = [self.max; N];
        for (x, class) in x.iter_mut().zip(classes.chunks_exact(ROWS)) {
            for (group, x) in x.iter_mut().enumerate() {
                *x = Self::vector(simd, class, start, group);
            }
        }
        let terms = exp_difference(x, self.max);
        for (terms, (x, class)) in terms
            .iter()
            .zip(x.iter().zip(classes.chunks_exact_mut(ROWS)))
        {
            for (group, &term) in terms.iter().enumerate() {
                self.sum[group].add::<T>(term.at_most(self.largest[group]));
                self.largest[group] = term.at_least(self.largest[group]);
                self.take::<KEEP, CHOOSE>(class, start, group, x[group], term);
            }
            self.class += T::Vector::<S>::splat(simd, T::ONE);
        }
    }

    /// Adds both of two classes. The term of the lower is all that is summed, and both have it if they are
    /// equal.
    #[inline(always)]
    fn add_pair<const KEEP: bool, const CHOOSE: bool>(
        &mut self,
        simd: S,
        classes: &mut [T],
        start: usize,
    ) {
        let mut x = [self.max; 2];
        for (x, class) in x.iter_mut().zip(classes.chunks_exact(ROWS)) {
            for (group, x) in x.iter_mut().enumerate() {
                *x = Self::vector(simd, class, start, group);
            }
        }
        // Not the minimum, which may pass over a NaN.
        let mut lower = x[0];
        for ((lower, second), max) in lower.iter_mut().zip(x[1]).zip(self.max) {
            *lower = lower.simd_eq(max).select(second, *lower);
        }
        let [lower] = exp_difference([lower], self.max);
        let of_max = T::Vector::<S>::splat(simd, T::from_f64(T::FORMAT.sum_lift_factor));
        for (group, &term) in lower.iter().enumerate() {
            self.sum[group].add::<T>(term);
        }
        for (x, class) in x.iter().zip(classes.chunks_exact_mut(ROWS)) {
            for (group, &lower) in lower.iter().enumerate() {
                let term = x[group].simd_eq(self.max[group]).select(of_max, lower);
                self.take::<KEEP, CHOOSE>(class, start, group, x[group], term);
            }
            self.class += T::Vector::<S>::splat(simd, T::ONE);
        }
    }

    /// Takes down an element and its term, if it is of the chosen class, and stores the term.
    #[inline(always)]
    fn take<const KEEP: bool, const CHOOSE: bool>(
        &mut self,
        class: &mut [T],
        start: usize,
        group: usize,
        x: T::Vector<S>,
        term: T::Vector<S>,
    ) {
        if CHOOSE {
            let is_it = self.class.simd_eq(self.chosen[group]);
            self.logit[group] = is_it.select(x, self.logit[group]);
            if KEEP {
                self.term[group] = is_it.select(term, self.term[group]);
            }
        }
        if KEEP {
            let first = start + group * T::LANES;
            term.store_slice(&mut class[first..first + T::LANES]);
        }
    }

    /// Stores what the rows are normalised by.
    #[inline(always)]
    fn store(&self, simd: S, found: &mut Normalizers, start: usize) {
        let back = f64x8::splat(simd, T::FORMAT.sum_lift_factor.recip());
        for group in 0..G {
            let start = start + group * T::LANES;
            for (part, &max) in T::widen(self.max[group]).as_ref().iter().enumerate() {
                let sum = self.sum[group].eight_lanes::<T>(part);
                let others = Number::<S, T>::from_pair(Pair {
                    high: sum.high * back,
                    low: sum.low * back,
                });
                found.set_eight(start + part * 8, EightRows { max, others });
            }
        }
    }
}
