//! What rows of scores come down to when they are measured: a few numbers each.
//!
//! A [`Summary`] is enough for a row's loss, rank, Brier score and confidence, and those of parts of a
//! row add up to that of the row. [`Tempered`] is for finding a temperature.

use fearless_simd::{Select, Simd, SimdBase, SimdMask, f64x8};

use super::RowKernel;
use super::lane::Lane;
use super::normalizer::{Normalizer, Start};
use super::piece::PieceKernel;
use super::predict::rank;
use crate::float::Float;
use crate::simd::Vector;
use crate::simd::logarithm::log1p_wide;
use crate::simd::math::exp_wide;
use crate::simd::reduce::{max, partial};
use crate::stop::make_room;
use crate::wide::Wide;

/// Where the target of a row is.
pub(crate) enum Place {
    LeftOut,
    Class(usize),
    /// In another part of the row.
    Elsewhere,
}

/// The numbers of a row, or of some of its classes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    /// The maximum; what the log-sum-exp is if that is not finite.
    max: f64,
    others: Wide,
    log_others: Wide,
    /// The sum of `e^(2(x - max))` over all classes but the target.
    squares: f64,
    /// The target's score, 0 elsewhere.
    target: f64,
    /// How many classes come before the target; -1 of a row that is left out.
    rank: f64,
}

impl Summary {
    /// How many numbers they are.
    pub(crate) const LEN: usize = 8;

    const LEFT_OUT: Self = Self {
        max: 0.0,
        others: Wide::ZERO,
        log_others: Wide::ZERO,
        squares: 0.0,
        target: 0.0,
        rank: -1.0,
    };

    #[inline(always)]
    pub(crate) fn numbers(&self) -> [f64; Self::LEN] {
        let (others, log_others) = (self.others, self.log_others);
        [
            self.max,
            others.high,
            others.low,
            log_others.high,
            log_others.low,
            self.squares,
            self.target,
            self.rank,
        ]
    }

    #[inline(always)]
    pub(crate) fn from_numbers(numbers: [f64; Self::LEN]) -> Self {
        let [max, others, others_low, log, log_low, squares, target, rank] = numbers;
        let wide = |high, low| Wide { high, low };
        Self {
            max,
            others: wide(others, others_low),
            log_others: wide(log, log_low),
            squares,
            target,
            rank,
        }
    }

    #[inline(always)]
    fn of_logits<S: Simd, T: Float>(simd: S, place: &Place, lane: &Lane<'_, T, 1>) -> Self {
        let row = lane.input();
        let normalizer = Normalizer::of(simd, row, [lane.beside_input(), None]);
        let squares = if normalizer.is_finite() {
            squares_of(simd, normalizer.max, without(row, place))
        } else {
            f64::NAN
        };
        Self {
            max: normalizer.max.to_f64(),
            others: normalizer.others,
            log_others: normalizer.log_others,
            squares,
            ..Self::of_target(simd, place, row)
        }
    }

    /// Of probabilities: their maximum and their squares as they are, and in place of the others how
    /// many are no probabilities.
    #[inline(always)]
    fn of_probs<S: Simd, T: Float>(simd: S, place: &Place, row: &[T]) -> Self {
        let (zero, one) = (f64x8::splat(simd, 0.0), f64x8::splat(simd, 1.0));
        let (mut sums, mut wrong) = ([zero; 2], 0);
        for part in without(row, place) {
            for chunk in part.chunks(T::LANES) {
                let wide = T::widen(partial(simd, chunk, T::ZERO));
                for (sum, &p) in sums.iter_mut().zip(wide.as_ref()) {
                    *sum = p.fused_mul_add(p, *sum);
                    let right = p.simd_ge(zero) & p.simd_le(one);
                    wrong += (!right).to_bitmask().count_ones();
                }
            }
        }
        let target = Self::of_target(simd, place, row);
        let is_wrong = !(0.0..=1.0).contains(&target.target);
        Self {
            max: max(simd, row).to_f64(),
            others: Wide::new(f64::from(wrong + u32::from(is_wrong))),
            squares: total(sums[0] + sums[1]),
            ..target
        }
    }

    #[inline(always)]
    fn of_target<S: Simd, T: Float>(simd: S, place: &Place, row: &[T]) -> Self {
        let (target, rank) = match *place {
            Place::Class(class) => (row[class].to_f64(), rank(simd, row, class) as f64),
            _ => (0.0, 0.0),
        };
        Self {
            target,
            rank,
            ..Self::default()
        }
    }

    /// The summary of the classes of two, of which one holds the target at most.
    #[inline(always)]
    pub(crate) fn plus<S: Simd>(self, simd: S, other: Self) -> Self {
        let both = Self {
            target: self.target + other.target,
            rank: self.rank + other.rank,
            ..self
        };
        // What is not finite: a NaN before +inf, and -inf of a part without anything else.
        if self.max.is_nan() || self.max == f64::INFINITY && !other.max.is_nan() {
            return both;
        }
        if other.max == f64::NEG_INFINITY {
            return both;
        }
        let (higher, lower) = if other.max > self.max || other.max.is_nan() {
            (other, self)
        } else {
            (self, other)
        };
        let finite = higher.max.is_finite() && lower.max.is_finite();
        let (others, squares) = if finite {
            let ratio = exp_wide(simd, Wide::sum(lower.max, -higher.max));
            let others = higher.others + ratio * (Wide::new(1.0) + lower.others);
            let square = ratio.high * ratio.high;
            (others, higher.squares + square * lower.squares)
        } else {
            (higher.others, higher.squares)
        };
        Self {
            max: higher.max,
            others,
            log_others: if finite {
                log1p_wide(simd, others)
            } else {
                higher.log_others
            },
            squares,
            ..both
        }
    }
}

/// A row without its target.
#[inline(always)]
fn without<'a, T>(row: &'a [T], place: &Place) -> [&'a [T]; 2] {
    match *place {
        Place::Class(class) => [&row[..class], &row[class + 1..]],
        _ => [row, &[]],
    }
}

/// The sum of the squares of exponentials in units of the maximum's.
#[inline(always)]
fn squares_of<S: Simd, T: Float>(simd: S, max: T, parts: [&[T]; 2]) -> f64 {
    let start = Start::at(simd, max);
    let mut sums = [f64x8::splat(simd, 0.0); 2];
    for part in parts {
        start.each_term(
            simd,
            part,
            #[inline(always)]
            |_, terms| {
                for (sum, &term) in sums.iter_mut().zip(T::widen(terms).as_ref()) {
                    *sum = term.fused_mul_add(term, *sum);
                }
            },
        );
    }
    let unit = start.lifted_unit();
    total(sums[0] + sums[1]) / (unit * unit)
}

#[inline(always)]
fn total<S: Simd>(lanes: f64x8<S>) -> f64 {
    lanes.as_slice().iter().sum()
}

/// The summary of each row.
pub(crate) struct Summaries<F> {
    pub(crate) place: F,
    pub(crate) from_probs: bool,
}

impl<T: Float, F: Fn(usize) -> Place + Sync> RowKernel<T, 1> for Summaries<F> {
    type Total = Vec<f64>;

    fn results_in_row(&self) -> usize {
        Summary::LEN
    }

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        row: usize,
        lane: &mut Lane<'_, T, 1>,
        _scratch: &mut Vec<f64>,
        total: &mut Vec<f64>,
    ) {
        let place = (self.place)(row);
        let summary = match place {
            Place::LeftOut => Summary::LEFT_OUT,
            _ if self.from_probs => Summary::of_probs(simd, &place, lane.input()),
            _ => Summary::of_logits(simd, &place, lane),
        };
        total.extend(summary.numbers());
    }
}

/// What a kernel makes of some classes of each row, given the summary of the row.
pub(crate) struct GivenSummaries<'a, K> {
    pub(crate) kernel: &'a K,
    pub(crate) numbers: &'a [[f64; Summary::LEN]],
}

impl<T, K> RowKernel<T, 1> for GivenSummaries<'_, K>
where
    T: Float,
    K: PieceKernel<T, Row = Normalizer<T>>,
{
    type Total = ();

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        row: usize,
        lane: &mut Lane<'_, T, 1>,
        _scratch: &mut Vec<f64>,
        (): &mut (),
    ) {
        let summary = Summary::from_numbers(self.numbers[row]);
        let normalizer = Normalizer {
            max: T::from_f64(summary.max),
            others: summary.others,
            log_others: summary.log_others,
        };
        self.kernel.piece(simd, &normalizer, 0, lane);
    }
}

/// Of each row of logits divided by a temperature: the loss, its first two derivatives by the inverse
/// of that, and how far the target is below the top class.
pub(crate) struct Tempered<F> {
    pub(crate) class: F,
    pub(crate) inverse: f64,
}

impl<T: Float, F: Fn(usize) -> Option<usize> + Sync> RowKernel<T, 1> for Tempered<F> {
    type Total = Vec<f64>;

    fn results_in_row(&self) -> usize {
        4
    }

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        row: usize,
        lane: &mut Lane<'_, T, 1>,
        scratch: &mut Vec<f64>,
        total: &mut Vec<f64>,
    ) {
        let Some(class) = (self.class)(row) else {
            return;
        };
        let row = lane.input();
        let top = max(simd, row).to_f64();
        // The elements less their maximum, and those times the inverse: nothing is lost to what all of
        // them share.
        scratch.clear();
        make_room(scratch, 2 * row.len());
        scratch.extend(row.iter().map(|x| x.to_f64() - top));
        scratch.extend_from_within(..);
        let (distances, scaled) = scratch.split_at_mut(row.len());
        for x in &mut *scaled {
            // A class of -inf stays absent at any temperature.
            if *x != f64::NEG_INFINITY {
                *x *= self.inverse;
            }
        }
        let normalizer = Normalizer::<f64>::of(simd, scaled, [None; 2]);
        if !normalizer.is_finite() {
            total.extend([f64::NAN; 4]);
            return;
        }
        let [first, second] = moments(simd, normalizer.max, distances, scaled);
        let sum = 1.0 + normalizer.others.high;
        let mean = first / sum;
        total.extend([
            normalizer.cost(scaled[class]).to_f64(),
            mean - distances[class],
            (second / sum - mean * mean).max(0.0),
            -distances[class],
        ]);
    }
}

/// The sums of distances and of their squares, times exponentials in units of the maximum's.
#[inline(always)]
fn moments<S: Simd>(simd: S, max: f64, distances: &[f64], scaled: &[f64]) -> [f64; 2] {
    let start = Start::at(simd, max);
    let zero = f64x8::splat(simd, 0.0);
    let mut sums = [zero; 2];
    start.each_term(
        simd,
        scaled,
        #[inline(always)]
        |place, term| {
            let places = &distances[place..distances.len().min(place + 8)];
            let distance = partial(simd, places, 0.0);
            // An absent class is infinitely far away.
            let distance = term.simd_eq(zero).select(zero, distance);
            let moment = term * distance;
            sums[0] += moment;
            sums[1] = moment.fused_mul_add(distance, sums[1]);
        },
    );
    sums.map(|sum| total(sum) / start.lifted_unit())
}
