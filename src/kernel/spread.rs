//! Coefficients that all classes of a row have: from soft targets, label smoothing and class
//! weights.
//!
//! Here belongs how they are read, a vector at a time, and the two walks over them: sums of what
//! classes cost, and results made of each element and its coefficient. They are read as `f64`, so
//! that their element type and their place in memory never show in a result.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase, f64x8};

use super::lane::RowMap;
use crate::float::Float;
use crate::simd::reduce::{DotSum, ahead, prefetch};
use crate::simd::{Vector, inlined_if_short};
use crate::wide::Wide;

/// Numbers in rows, of whatever element type and wherever they lie.
pub(crate) trait NumberRows: Sync {
    /// Fills `out` with the numbers of a row from `start` on.
    fn fill(&self, row: usize, start: usize, out: &mut [f64]);

    /// Fills `out` with the numbers of rows from `first` on, row after row.
    fn fill_rows(&self, first: usize, out: &mut [f64]);

    /// A row of `f32` that can be read where it lies.
    fn f32s(&self, row: usize) -> Option<&[f32]>;

    /// A row of `f64` that can be read where it lies.
    fn f64s(&self, row: usize) -> Option<&[f64]>;
}

/// The coefficients that all classes of a row have.
pub(crate) enum Spread<'a> {
    /// None: only the class of the target has one.
    Nothing,
    /// The same for every class.
    Even(f64),
    /// One for each class.
    Listed(&'a [f64]),
    /// `w_c ((1 - eps) t_c + eps / C)` for each class.
    Soft(Soft<'a>),
}

/// A row of soft targets.
pub(crate) struct Soft<'a> {
    pub(crate) targets: &'a dyn NumberRows,
    pub(crate) row: usize,
    pub(crate) mixing: Mixing<'a>,
    /// Where targets are gathered that cannot be read where they lie.
    pub(crate) scratch: &'a mut Vec<f64>,
}

/// What becomes of a number of a row as a coefficient.
#[derive(Clone, Copy)]
pub(crate) struct Mixing<'a> {
    /// `1 - eps`.
    pub(crate) sharpness: f64,
    /// `eps / C`.
    pub(crate) smoothing: f64,
    /// The class weights.
    pub(crate) weight: Option<&'a [f64]>,
}

impl Mixing<'_> {
    const NONE: Self = Self {
        sharpness: 1.0,
        smoothing: 0.0,
        weight: None,
    };

    /// Whether a number becomes a coefficient of 0.
    #[inline(always)]
    pub(crate) fn leaves_nothing(&self, class: usize, number: f64) -> bool {
        self.weight.is_some_and(|weight| weight[class] == 0.0)
            || self.sharpness * number == -self.smoothing
    }
}

/// So many numbers are gathered at a time: they stay in L1.
const BLOCK: usize = 1024;

/// The coefficients of neighbouring classes.
struct Block<'a, T> {
    numbers: Numbers<'a, T>,
    mixing: Mixing<'a>,
}

enum Numbers<'a, T> {
    Own(&'a [T]),
    Wide(&'a [f64]),
}

impl Spread<'_> {
    /// The coefficient of a class; those of soft targets are never asked for.
    #[inline(always)]
    pub(crate) fn of(&self, class: usize) -> f64 {
        match self {
            Self::Nothing | Self::Soft(_) => 0.0,
            Self::Even(coefficient) => *coefficient,
            Self::Listed(coefficients) => coefficients[class],
        }
    }

    /// The block that starts with a class of the `classes`, and where the next one starts.
    #[inline(always)]
    fn block<T: Float>(&mut self, start: usize, classes: usize) -> (Block<'_, T>, usize) {
        let soft = match self {
            Self::Nothing | Self::Even(_) => unreachable!("these have formulas of their own"),
            Self::Listed(coefficients) => {
                let numbers = Numbers::Wide(coefficients);
                let mixing = Mixing::NONE;
                return (Block { numbers, mixing }, classes);
            }
            Self::Soft(soft) => soft,
        };
        let (f32s, f64s) = (soft.targets.f32s(soft.row), soft.targets.f64s(soft.row));
        let mut mixing = soft.mixing;
        if let Some(targets) = T::of_either(f32s, f64s) {
            let numbers = Numbers::Own(targets);
            return (Block { numbers, mixing }, classes);
        }
        if let Some(targets) = f64s {
            let numbers = Numbers::Wide(targets);
            return (Block { numbers, mixing }, classes);
        }
        let end = classes.min(start + BLOCK);
        soft.scratch.resize(BLOCK, 0.0);
        let numbers = &mut soft.scratch[..end - start];
        soft.targets.fill(soft.row, start, numbers);
        mixing.weight = mixing.weight.map(|weight| &weight[start..end]);
        let numbers = Numbers::Wide(numbers);
        (Block { numbers, mixing }, end)
    }
}

impl<T: Float> Block<'_, T> {
    /// Asks for numbers so many elements further on, where those of the next row may be.
    #[inline(always)]
    fn prefetch(&self, at: usize, ahead: usize) {
        if let Numbers::Own(numbers) = self.numbers {
            prefetch(numbers.as_ptr().wrapping_add(at + ahead));
        }
    }

    /// The coefficients of a vector of classes; 0 for those that do not exist.
    #[inline(always)]
    fn vector<S: Simd>(&self, simd: S, at: usize, len: usize) -> T::Widened<S> {
        let mut vectors = match self.numbers {
            Numbers::Own(numbers) => T::widen(load(simd, numbers, at, T::ZERO)),
            Numbers::Wide(numbers) => {
                let mut vectors = T::widen(T::Vector::<S>::splat(simd, T::ZERO));
                for (part, vector) in vectors.as_mut().iter_mut().enumerate() {
                    *vector = load::<S, f64>(simd, numbers, at + 8 * part, 0.0);
                }
                vectors
            }
        };
        let Mixing {
            sharpness,
            smoothing,
            weight,
        } = self.mixing;
        if smoothing != 0.0 {
            let sharpness = f64x8::splat(simd, sharpness);
            let smoothing = f64x8::splat(simd, smoothing);
            let zero = f64x8::splat(simd, 0.0);
            let lanes = f64x8::from_slice(simd, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
            for (part, vector) in vectors.as_mut().iter_mut().enumerate() {
                let left = f64x8::splat(simd, len as f64 - (at + 8 * part) as f64);
                let mixed = vector.fused_mul_add(sharpness, smoothing);
                *vector = lanes.simd_lt(left).select(mixed, zero);
            }
        }
        if let Some(weight) = weight {
            let zero = f64x8::splat(simd, 0.0);
            for (part, vector) in vectors.as_mut().iter_mut().enumerate() {
                let weight = load::<S, f64>(simd, weight, at + 8 * part, 0.0);
                *vector = weight.simd_eq(zero).select(zero, *vector * weight);
            }
        }
        vectors
    }
}

/// A vector of the elements from one on, filled up where they end. A choice of the address to load
/// from costs less than one of vectors.
#[inline(always)]
fn load<S: Simd, T: Float>(simd: S, elements: &[T], at: usize, fill: T) -> T::Vector<S> {
    let padded;
    let source = if let Some(source) = elements.get(at..at + T::LANES) {
        source
    } else {
        padded = filled_up(elements.get(at..).unwrap_or_default(), fill);
        &padded[..T::LANES]
    };
    T::Vector::<S>::from_slice(simd, source)
}

#[inline(never)]
fn filled_up<T: Float>(elements: &[T], fill: T) -> [T; 16] {
    let mut padded = [fill; 16];
    copy_few(elements, &mut padded);
    padded
}

/// Copies fewer than 16 elements: by moves of known sizes, cheaper than a call.
#[inline(always)]
fn copy_few<T: Float>(from: &[T], to: &mut [T]) {
    let mut at = 0;
    for width in [8, 4, 2, 1] {
        if from.len() & width != 0 {
            to[at..at + width].copy_from_slice(&from[at..at + width]);
            at += width;
        }
    }
}

/// What the coefficients of a row add up to.
#[derive(Clone, Copy)]
pub(crate) struct SpreadSums {
    /// `sum_c a_c cost_c`.
    pub(crate) costs: Wide,
    /// `sum_c a_c`.
    pub(crate) coefficients: Wide,
}

impl SpreadSums {
    pub(crate) const NONE: Self = Self {
        costs: Wide::ZERO,
        coefficients: Wide::ZERO,
    };
}

/// Sums over a row of listed or soft coefficients. A class of coefficient 0 adds nothing, whatever
/// it costs: `often_infinite` tells that such classes often cost infinitely much.
#[inline(always)]
pub(crate) fn sums<S: Simd, T: Float>(
    simd: S,
    spread: &mut Spread<'_>,
    row: &[T],
    often_infinite: bool,
    cost: impl Fn(f64x8<S>) -> f64x8<S>,
) -> SpreadSums {
    let mut masks = often_infinite;
    loop {
        let sums = sums_of_products(simd, spread, row, masks, &cost);
        // Without masks the product of 0 and infinity shows as a NaN.
        if masks || sums.costs.high.is_finite() {
            return sums;
        }
        masks = true;
    }
}

#[inline(always)]
fn sums_of_products<S: Simd, T: Float>(
    simd: S,
    spread: &mut Spread<'_>,
    row: &[T],
    masks: bool,
    cost: &impl Fn(f64x8<S>) -> f64x8<S>,
) -> SpreadSums {
    let zero = f64x8::splat(simd, 0.0);
    let (mut costs, mut coefficients) = (DotSum::new(simd), DotSum::new(simd));
    let mut start = 0;
    while start < row.len() {
        let (block, end) = spread.block::<T>(start, row.len());
        let elements = &row[start..end];
        for at in (0..elements.len()).step_by(T::LANES) {
            inlined_if_short(
                simd,
                #[inline(always)]
                || {
                    block.prefetch(at, ahead(row.len()));
                    let a = block.vector(simd, at, elements.len());
                    let mut x = T::widen(load(simd, elements, at, T::ZERO));
                    for (x, a) in x.as_mut().iter_mut().zip(a.as_ref()) {
                        *x = cost(*x);
                        if masks {
                            *x = a.simd_eq(zero).select(zero, *x);
                        }
                    }
                    costs.add_wide_product(x.as_ref(), a.as_ref());
                    coefficients.add_wide(a.as_ref());
                },
            );
        }
        start = end;
    }
    SpreadSums {
        costs: costs.total::<T>(),
        coefficients: coefficients.total::<T>(),
    }
}

/// Replaces each element of a row by a function of it and its coefficient, one that is listed or
/// soft.
#[inline(always)]
pub(crate) fn replace_each<S: Simd, T: Float>(
    simd: S,
    spread: &mut Spread<'_>,
    row: &mut [T],
    function: impl Fn(f64x8<S>, f64x8<S>) -> f64x8<S>,
) {
    let (mut start, len) = (0, row.len());
    while start < len {
        let (block, end) = spread.block::<T>(start, len);
        let elements = &mut row[start..end];
        for at in (0..elements.len()).step_by(T::LANES) {
            inlined_if_short(
                simd,
                #[inline(always)]
                || {
                    prefetch(elements.as_ptr().wrapping_add(at + ahead(len)));
                    let a = block.vector(simd, at, elements.len());
                    let mut x = T::widen(load(simd, elements, at, T::ZERO));
                    for (x, a) in x.as_mut().iter_mut().zip(a.as_ref()) {
                        *x = function(*x, *a);
                    }
                    store(T::narrow(x), elements, at);
                },
            );
        }
        start = end;
    }
}

/// Writes as many elements of a vector as there is room for. As for loads, the address is chosen,
/// not the vector.
#[inline(always)]
fn store<S: Simd, T: Float>(vector: T::Vector<S>, elements: &mut [T], at: usize) {
    let mut padded = [T::ZERO; 16];
    let is_full = at + T::LANES <= elements.len();
    let place = if is_full {
        &mut elements[at..at + T::LANES]
    } else {
        &mut padded[..T::LANES]
    };
    vector.store_slice(place);
    if !is_full {
        let rest = &mut elements[at..];
        copy_few(&padded[..rest.len()], rest);
    }
}

/// `factor x + summand`.
pub(crate) struct Linear<T> {
    high: T,
    low: T,
    summand: T,
}

impl<T: Float> Linear<T> {
    #[inline(always)]
    pub(crate) fn new(factor: Wide, summand: f64) -> Self {
        let [high, low] = factor.parts();
        let summand = T::from_f64(summand);
        Self { high, low, summand }
    }
}

impl<S: Simd, T: Float> RowMap<S, T> for Linear<T> {
    const FILL: T = T::ZERO;

    #[inline(always)]
    fn map<const N: usize>(&self, mut x: [T::Vector<S>; N]) -> [T::Vector<S>; N] {
        for x in &mut x {
            let c = |constant| T::Vector::<S>::splat(x.token(), constant);
            let rest = x.fused_mul_add(c(self.low), c(self.summand));
            *x = x.fused_mul_add(c(self.high), rest);
        }
        x
    }
}

/// `sum_c (reference - x_c)`.
#[inline(always)]
pub(crate) fn distance<S: Simd, T: Float>(simd: S, row: &[T], reference: T) -> Wide {
    let from = f64x8::splat(simd, reference.to_f64());
    let mut sum = DotSum::new(simd);
    for at in (0..row.len()).step_by(T::LANES) {
        let mut distances = T::widen(load(simd, row, at, reference));
        for x in distances.as_mut() {
            *x = from - *x;
        }
        sum.add_wide(distances.as_ref());
    }
    sum.total::<T>()
}
