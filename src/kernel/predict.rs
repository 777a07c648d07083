//! Order within a row: the best classes, and whether a class is among them.
//!
//! Larger scores come first, equal ones by the lower index, and NaN counts as the largest.

use fearless_simd::{Simd, SimdBase, SimdMask};

use super::RowKernel;
use super::lane::Lane;
use crate::float::Float;
use crate::simd::reduce::partial;

/// Up to this many best classes a sorted list is kept while reading; more are selected and sorted.
const SHORT_LIST: usize = 64;

/// The `k` best classes of each row.
pub(crate) struct TopK {
    pub(crate) k: usize,
}

/// Scores and classes, row after row.
pub(crate) struct Ranked<T> {
    pub(crate) values: Vec<T>,
    pub(crate) indices: Vec<i64>,
}

impl<T> Default for Ranked<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            indices: Vec::new(),
        }
    }
}

impl<T: Float> RowKernel<T, 1> for TopK {
    type Total = Ranked<T>;

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        _row: usize,
        lane: &mut Lane<'_, T, 1>,
        _scratch: &mut Vec<f64>,
        total: &mut Ranked<T>,
    ) {
        let row = lane.input();
        let best = if self.k <= SHORT_LIST {
            short_list(simd, row, self.k)
        } else {
            selected(row, self.k)
        };
        total.values.extend(best.iter().map(|&(value, _)| value));
        total
            .indices
            .extend(best.iter().map(|&(_, index)| index as i64));
    }
}

/// Whether `a` comes before `b`, at any place.
#[inline(always)]
fn above<T: Float>(a: T, b: T) -> bool {
    a > b || (a.to_f64().is_nan() && !b.to_f64().is_nan())
}

#[inline(always)]
fn short_list<S: Simd, T: Float>(simd: S, row: &[T], k: usize) -> Vec<(T, usize)> {
    let mut best: Vec<(T, usize)> = Vec::with_capacity(k + 1);
    if k == 0 {
        return best;
    }
    for (chunk_index, chunk) in row.chunks(T::LANES).enumerate() {
        if let Some(&(last, _)) = best.get(k - 1) {
            // Most vectors hold nothing better than the list's last.
            let limit = T::Vector::<S>::splat(simd, last);
            let vector = partial(simd, chunk, -T::INFINITY);
            if last.to_f64().is_nan() || vector.simd_le(limit).all_true() {
                continue;
            }
        }
        for (lane, &value) in chunk.iter().enumerate() {
            if best.len() == k && !above(value, best[k - 1].0) {
                continue;
            }
            let place = best.partition_point(|&(other, _)| !above(value, other));
            best.insert(place, (value, chunk_index * T::LANES + lane));
            best.truncate(k);
        }
    }
    best
}

fn selected<T: Float>(row: &[T], k: usize) -> Vec<(T, usize)> {
    let order =
        |a: &(T, usize), b: &(T, usize)| above(b.0, a.0).cmp(&above(a.0, b.0)).then(a.1.cmp(&b.1));
    let mut ranked: Vec<_> = row.iter().copied().zip(0..).collect();
    if k < ranked.len() {
        ranked.select_nth_unstable_by(k, order);
        ranked.truncate(k);
    }
    ranked.sort_unstable_by(order);
    ranked
}

/// How many rows have their class among the `k` best; `class` is `None` for rows left out.
pub(crate) struct Hits<F> {
    pub(crate) k: usize,
    pub(crate) class: F,
}

impl<T: Float, F: Fn(usize) -> Option<usize> + Sync> RowKernel<T, 1> for Hits<F> {
    type Total = u64;

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        row: usize,
        lane: &mut Lane<'_, T, 1>,
        _scratch: &mut Vec<f64>,
        total: &mut u64,
    ) {
        if let Some(class) = (self.class)(row)
            && rank(simd, lane.input(), class) < self.k
        {
            *total += 1;
        }
    }
}

/// How many classes come before this one.
#[inline(always)]
fn rank<S: Simd, T: Float>(simd: S, row: &[T], class: usize) -> usize {
    let score = row[class];
    if score.to_f64().is_nan() {
        return row[..class].iter().filter(|x| x.to_f64().is_nan()).count();
    }
    let limit = T::Vector::<S>::splat(simd, score);
    let mut rank = 0;
    for chunk in row.chunks(T::LANES) {
        let vector = partial(simd, chunk, -T::INFINITY);
        rank += (!vector.simd_le(limit)).to_bitmask().count_ones() as usize;
    }
    rank + row[..class].iter().filter(|&&x| x == score).count()
}
