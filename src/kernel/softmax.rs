//! softmax, log_softmax, their vector-Jacobian products and log-sum-exp of one row.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase, f64x8};

use super::RowKernel;
use super::lane::{Lane, VectorMap};
use super::normalizer::{Normalizer, not_finite_sum, write_softmax};
use super::piece::PieceKernel;
use super::rows::{Halves, ROWS};
use super::tile::{Tile, TileKernel};
use crate::float::Float;
use crate::simd::Vector;
use crate::simd::math::{Pair, exp_pair, nan_where_nan, two_sum};
use crate::simd::reduce::ProductSum;
use crate::simd::reduce::partial;
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
    fn tile<S: Simd>(&self, simd: S, tile: &mut Tile<'_, T>, (): &mut ()) {
        let normalizers = tile.normalizers::<S, true>(simd);
        let back = f64x8::splat(simd, T::FORMAT.sum_lift_factor.recip());
        let factors = Halves::of(
            simd,
            #[inline(always)]
            |start| {
                let top = normalizers.eight(simd, start).top_probability::<T>();
                Pair {
                    high: top.high * back,
                    low: top.low * back,
                }
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
        let normalizer = Normalizer::of(simd, lane.input());
        self.piece(simd, &normalizer, 0, lane);
    }
}

impl<T: Float> PieceKernel<T> for LogSoftmax {
    type Row = Normalizer<T>;

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
            lane.write::<4, _>(simd, &mut Difference::<T>::from(row.log_sum_exp()));
        } else {
            lane.output().fill(T::NAN);
        }
    }
}

impl<T: Float> TileKernel<T> for LogSoftmax {
    #[inline(always)]
    fn tile<S: Simd>(&self, simd: S, tile: &mut Tile<'_, T>, (): &mut ()) {
        let normalizers = tile.normalizers::<S, false>(simd);
        let sums = Halves::of(
            simd,
            #[inline(always)]
            |start| normalizers.eight(simd, start).log_sum_exp::<T>(),
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
        let normalizer = Normalizer::of(simd, lane.input());
        self.start(simd, 0, &normalizer, |_| T::ZERO, total);
    }
}

impl<T: Float> PieceKernel<T> for LogSumExp {
    type Row = ();

    #[inline(always)]
    fn start<S: Simd>(
        &self,
        _simd: S,
        _row: usize,
        normalizer: &Normalizer<T>,
        _logit: impl Fn(usize) -> T,
        total: &mut Vec<T>,
    ) {
        total.push(T::from_f64(normalizer.log_sum_exp().to_f64()));
    }

    #[inline(always)]
    fn piece<S: Simd>(&self, _simd: S, (): &(), _first: usize, _lane: &mut Lane<'_, T, 1>) {}
}

impl<T: Float> TileKernel<T> for LogSumExp {
    #[inline(always)]
    fn tile<S: Simd>(&self, simd: S, tile: &mut Tile<'_, T>, total: &mut Vec<T>) {
        let normalizers = tile.normalizers::<S, false>(simd);
        let mut values = [T::ZERO; ROWS];
        for start in (0..ROWS).step_by(8) {
            let sum = normalizers.eight(simd, start).log_sum_exp::<T>();
            for row in 0..8 {
                values[start + row] = T::from_f64(sum.high[row] + sum.low[row]);
            }
        }
        for (row, value) in values.iter_mut().enumerate().take(tile.rows) {
            if value.to_f64().is_nan() {
                *value = not_finite_sum(tile.row(row));
            }
        }
        total.extend_from_slice(&values[..tile.rows]);
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

impl<S: Simd, T: Float> VectorMap<S, T, 1> for Difference<T> {
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        [mut vectors]: [[T::Vector<S>; N]; 1],
        _valid: usize,
    ) -> [T::Vector<S>; N] {
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

/// `x - (sum.high + sum.low)`, `-inf` where `x` is.
#[inline(always)]
fn difference<S: Simd, T: Float>(x: T::Vector<S>, sum: Pair<T::Vector<S>>) -> T::Vector<S> {
    let difference = two_sum(x, -sum.high);
    let lowest = T::Vector::<S>::splat(x.token(), -T::INFINITY);
    let infinite = difference.high.simd_eq(lowest);
    infinite.select(lowest, difference.high + (difference.low - sum.low))
}

/// The gradient of softmax: `p * (g - sum(p * g))`.
pub(crate) struct SoftmaxVjp;

impl<T: Float> RowKernel<T, 2> for SoftmaxVjp {
    type Total = ();

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        _row: usize,
        lane: &mut Lane<'_, T, 2>,
        _scratch: &mut Vec<f64>,
        (): &mut (),
    ) {
        let dot = product_sum::<S, T>(simd, lane.nth_input(0), lane.nth_input(1));
        lane.write::<1, _>(simd, &mut CentredProduct { dot });
    }
}

struct CentredProduct {
    dot: Wide,
}

impl<S: Simd, T: Float> VectorMap<S, T, 2> for CentredProduct {
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        [mut results, g]: [[T::Vector<S>; N]; 2],
        _valid: usize,
    ) -> [T::Vector<S>; N] {
        for (result, g) in results.iter_mut().zip(g) {
            let (mut p, g) = (T::widen(*result), T::widen(g));
            for (p, &g) in p.as_mut().iter_mut().zip(g.as_ref()) {
                let simd = g.token();
                let difference = two_sum(g, f64x8::splat(simd, -self.dot.high));
                let low = difference.low - f64x8::splat(simd, self.dot.low);
                let product = *p * (difference.high + low);
                *p = nan_where_nan(product, product);
            }
            *result = T::narrow(p);
        }
        results
    }
}

/// The gradient of log_softmax: `g - e^(log p) * sum(g)`.
pub(crate) struct LogSoftmaxVjp;

impl<T: Float> RowKernel<T, 2> for LogSoftmaxVjp {
    type Total = ();

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        _row: usize,
        lane: &mut Lane<'_, T, 2>,
        _scratch: &mut Vec<f64>,
        (): &mut (),
    ) {
        let sum = sum::<S, T>(simd, lane.nth_input(1));
        lane.write::<1, _>(simd, &mut LessShare { sum });
    }
}

struct LessShare {
    sum: Wide,
}

impl<S: Simd, T: Float> VectorMap<S, T, 2> for LessShare {
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        [mut results, g]: [[T::Vector<S>; N]; 2],
        _valid: usize,
    ) -> [T::Vector<S>; N] {
        for (result, g) in results.iter_mut().zip(g) {
            let (log_p, mut g) = (T::widen(*result), T::widen(g));
            for (g, &log_p) in g.as_mut().iter_mut().zip(log_p.as_ref()) {
                let simd = log_p.token();
                let zero = f64x8::splat(simd, 0.0);
                let p = exp_pair(Pair {
                    high: log_p,
                    low: zero,
                });
                let p = p.high + p.low;
                let product = p * f64x8::splat(simd, self.sum.to_f64());
                *g = nan_where_nan(*g - product, *g - product);
            }
            *result = T::narrow(g);
        }
        results
    }
}

/// `sum(a * b)` over a row.
#[inline(always)]
fn product_sum<S: Simd, T: Float>(simd: S, a: &[T], b: &[T]) -> Wide {
    let mut sum = ProductSum::new(simd);
    for (a, b) in a.chunks(T::LANES).zip(b.chunks(T::LANES)) {
        let a = T::widen(partial(simd, a, T::ZERO));
        let b = T::widen(partial(simd, b, T::ZERO));
        for (&a, &b) in a.as_ref().iter().zip(b.as_ref()) {
            sum.add(a, b);
        }
    }
    sum.total()
}

/// The sum of a row.
#[inline(always)]
fn sum<S: Simd, T: Float>(simd: S, row: &[T]) -> Wide {
    let mut sum = ProductSum::new(simd);
    for chunk in row.chunks(T::LANES) {
        for &x in T::widen(partial(simd, chunk, T::ZERO)).as_ref() {
            sum.add(x, f64x8::splat(simd, 1.0));
        }
    }
    sum.total()
}
