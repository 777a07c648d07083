//! softmax, log_softmax and log-sum-exp of one row.

use fearless_simd::{ExtractToken, Simd, SimdBase, SimdMask};

use super::RowKernel;
use super::lane::{Lane, RowMap};
use super::normalizer::{Normalizer, not_finite_sum, write_softmax};
use super::piece::PieceKernel;
use super::rows::{Halves, ROWS, store};
use super::tile::{RowNumbers, Tile, TileKernel};
use crate::float::Float;
use crate::simd::Vector;
use crate::simd::math::Pair;
use crate::wide::Wide;

/// `p = e^(x - lse)`.
pub(crate) struct Softmax;

impl<T: Float> RowKernel<T, 1> for Softmax {
    type Total = ();

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        _row: usize,
        lane: &mut Lane<'_, T, 1>,
        _scratch: &mut Vec<f64>,
        (): &mut (),
    ) {
        write_softmax(simd, lane);
    }
}

impl<T: Float> TileKernel<T> for Softmax {
    #[inline(always)]
    fn tile<S: Simd>(
        &self,
        simd: S,
        tile: &mut Tile<'_, T>,
        numbers: &mut RowNumbers,
        (): &mut (),
    ) {
        let normalizers = &mut numbers.normalizers;
        tile.normalize::<S, true>(simd, normalizers);
        let back = T::FORMAT.sum_lift_factor.recip();
        let factors = Halves::of(
            simd,
            #[inline(always)]
            |start| {
                let rows = normalizers.eight::<S, T>(simd, start);
                rows.top_probability().scaled(back).pair()
            },
        );
        tile.each_class(
            simd,
            &factors,
            #[inline(always)]
            |term, factor| multiple::<S, T>(term, factor),
        );
    }
}

impl<T: Float> PieceKernel<T> for Softmax {
    type Row = Normalizer<T>;

    const WRITES_EXPONENTIALS: bool = true;

    #[inline(always)]
    fn start<S: Simd>(
        &self,
        _simd: S,
        _row: usize,
        normalizer: &Normalizer<T>,
        _logit: impl Fn(usize) -> T,
        (): &mut (),
    ) -> Normalizer<T> {
        *normalizer
    }

    #[inline(always)]
    fn piece<S: Simd>(
        &self,
        simd: S,
        row: &Normalizer<T>,
        _first: usize,
        lane: &mut Lane<'_, T, 1>,
    ) {
        if row.is_finite() {
            row.write_probabilities(simd, Wide::ZERO, lane);
        } else {
            lane.output().fill(T::NAN);
        }
    }
}

/// `term * (factor.high + factor.low)`.
#[inline(always)]
pub(crate) fn multiple<S: Simd, T: Float>(
    term: T::Vector<S>,
    factor: Pair<T::Vector<S>>,
) -> T::Vector<S> {
    term.fused_mul_add(factor.high, term * factor.low)
}

/// `log p = x - lse`.
pub(crate) struct LogSoftmax;

impl<T: Float> RowKernel<T, 1> for LogSoftmax {
    type Total = ();

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        _row: usize,
        lane: &mut Lane<'_, T, 1>,
        _scratch: &mut Vec<f64>,
        (): &mut (),
    ) {
        let fetch = [lane.beside_input(), lane.place()];
        let normalizer = Normalizer::of(simd, lane.input(), fetch);
        self.piece(simd, &normalizer, 0, lane);
    }
}

impl<T: Float> PieceKernel<T> for LogSoftmax {
    type Row = Normalizer<T>;

    const WRITES_EXPONENTIALS: bool = false;

    #[inline(always)]
    fn start<S: Simd>(
        &self,
        _simd: S,
        _row: usize,
        normalizer: &Normalizer<T>,
        _logit: impl Fn(usize) -> T,
        (): &mut (),
    ) -> Normalizer<T> {
        *normalizer
    }

    #[inline(always)]
    fn piece<S: Simd>(
        &self,
        simd: S,
        row: &Normalizer<T>,
        _first: usize,
        lane: &mut Lane<'_, T, 1>,
    ) {
        if row.is_finite() {
            let difference = Difference::<T>::from(row.log_sum_exp());
            lane.write_row(simd, [lane.beside_output(), None], &difference);
        } else {
            lane.output().fill(T::NAN);
        }
    }
}

impl<T: Float> TileKernel<T> for LogSoftmax {
    #[inline(always)]
    fn tile<S: Simd>(
        &self,
        simd: S,
        tile: &mut Tile<'_, T>,
        numbers: &mut RowNumbers,
        (): &mut (),
    ) {
        let RowNumbers {
            normalizers, logs, ..
        } = numbers;
        tile.normalize::<S, false>(simd, normalizers);
        normalizers.find_logs::<S, T>(simd, logs);
        let sums = Halves::of(
            simd,
            #[inline(always)]
            |start| {
                let rows = normalizers.eight::<S, T>(simd, start);
                rows.log_sum_exp(logs.eight(simd, start))
            },
        );
        tile.each_class(
            simd,
            &sums,
            #[inline(always)]
            |x, sum| difference::<S, T>(x, sum),
        );
    }
}

/// The log-sum-exp of each row, rounded to the element type.
pub(crate) struct LogSumExp;

impl<T: Float> RowKernel<T, 1> for LogSumExp {
    type Total = Vec<T>;

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        _row: usize,
        lane: &mut Lane<'_, T, 1>,
        _scratch: &mut Vec<f64>,
        total: &mut Vec<T>,
    ) {
        let normalizer = Normalizer::of(simd, lane.input(), [lane.beside_input(), None]);
        self.start(simd, 0, &normalizer, |_| T::ZERO, total);
    }
}

impl<T: Float> PieceKernel<T> for LogSumExp {
    type Row = ();

    const WRITES_EXPONENTIALS: bool = false;

    #[inline(always)]
    fn start<S: Simd>(
        &self,
        _simd: S,
        _row: usize,
        normalizer: &Normalizer<T>,
        _logit: impl Fn(usize) -> T,
        total: &mut Vec<T>,
    ) {
        total.push(T::from_f64(normalizer.rounded_log_sum_exp()));
    }

    #[inline(always)]
    fn piece<S: Simd>(&self, _simd: S, (): &(), _first: usize, _lane: &mut Lane<'_, T, 1>) {}
}

impl<T: Float> TileKernel<T> for LogSumExp {
    #[inline(always)]
    fn tile<S: Simd>(
        &self,
        simd: S,
        tile: &mut Tile<'_, T>,
        numbers: &mut RowNumbers,
        total: &mut Vec<T>,
    ) {
        let RowNumbers {
            normalizers, logs, ..
        } = numbers;
        tile.normalize::<S, false>(simd, normalizers);
        normalizers.find_logs::<S, T>(simd, logs);
        let mut values = [0.0; ROWS];
        let mut finite = true;
        for start in (0..ROWS).step_by(8) {
            let rows = normalizers.eight::<S, T>(simd, start);
            let sum = rows.log_sum_exp(logs.eight(simd, start));
            let sum = sum.high + sum.low;
            finite &= sum.simd_eq(sum).all_true();
            store(sum, &mut values, start);
        }
        let first = total.len();
        total.extend(values[..tile.rows].iter().map(|&value| T::from_f64(value)));
        if !finite {
            for (row, value) in total[first..].iter_mut().enumerate() {
                if value.to_f64().is_nan() {
                    *value = not_finite_sum(tile.row(row));
                }
            }
        }
    }
}

/// `x - lse`, with the log-sum-exp in two parts so that one rounding is left.
struct Difference<T> {
    high: T,
    low: T,
}

impl<T: Float> From<Wide> for Difference<T> {
    fn from(value: Wide) -> Self {
        let high = T::from_f64(value.high);
        let low = value - Wide::new(high.to_f64());
        Self {
            high,
            low: T::from_f64(low.to_f64()),
        }
    }
}

impl<S: Simd, T: Float> RowMap<S, T> for Difference<T> {
    const FILL: T = T::ZERO;

    #[inline(always)]
    fn map<const N: usize>(&self, mut vectors: [T::Vector<S>; N]) -> [T::Vector<S>; N] {
        for vector in &mut vectors {
            let c = |constant| T::Vector::<S>::splat(vector.token(), constant);
            let sum = Pair {
                high: c(self.high),
                low: c(self.low),
            };
            *vector = difference::<S, T>(*vector, sum);
        }
        vectors
    }
}

/// `x - (sum.high + sum.low)`, where the second is at most half an ulp of the first. The first
/// difference is exact if the two are alike; if not, its ulp is at least half of that of the first.
#[inline(always)]
fn difference<S: Simd, T: Float>(x: T::Vector<S>, sum: Pair<T::Vector<S>>) -> T::Vector<S> {
    (x - sum.high) - sum.low
}
