//! Order within a row: the best classes, and whether a class is among them.
//!
//! Larger scores come first, equal ones by the lower index, and NaN counts as the largest.

use fearless_simd::{Select, Simd, SimdBase, SimdMask};

use super::RowKernel;
use super::lane::Lane;
use crate::float::Float;
use crate::simd::reduce::partial;
use crate::stop::{fill_up, make_room};

/// Up to this many best classes a sorted list is kept while reading; more are selected and sorted.
const SHORT_LIST: usize = 64;

/// Best classes that are few beside what a thread's cache holds.
const FEW_KEYS: usize = 1 << 13;

/// Vectors compared at once: their lanes fill the bits of a `u64`.
const GROUP: usize = 4;

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

    fn results_in_row(&self) -> usize {
        self.k
    }

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        _row: usize,
        lane: &mut Lane<'_, T, 1>,
        _scratch: &mut Vec<f64>,
        total: &mut Ranked<T>,
    ) {
        let start = total.values.len();
        fill_up(&mut total.values, start + self.k, T::ZERO);
        fill_up(&mut total.indices, start + self.k, 0);
        let best = Best {
            values: &mut total.values[start..],
            indices: &mut total.indices[start..],
            len: 0,
        };
        if self.k <= SHORT_LIST {
            best.collect(simd, lane.input());
        } else {
            best.select(lane.input());
        }
    }
}

/// Whether `a` comes before `b`, at any place.
#[inline(always)]
fn above<T: Float>(a: T, b: T) -> bool {
    a > b || (a.to_f64().is_nan() && !b.to_f64().is_nan())
}

/// The best classes of a row, best first; there is room for as many as are wanted.
struct Best<'a, T> {
    values: &'a mut [T],
    indices: &'a mut [i64],
    /// How many have been found.
    len: usize,
}

impl<T: Float> Best<'_, T> {
    /// The last of the best, if there are as many as wanted.
    #[inline(always)]
    fn last(&self) -> Option<T> {
        if self.len == self.values.len() {
            self.values.last().copied()
        } else {
            None
        }
    }

    /// Takes in an element if it is among the best; indices come in ascending order.
    #[inline(always)]
    fn offer(&mut self, value: T, index: usize) {
        let mut place = self.len;
        match self.last() {
            Some(last) if !above(value, last) => return,
            Some(_) => place -= 1,
            None => self.len += 1,
        }
        while place > 0 && above(value, self.values[place - 1]) {
            self.values[place] = self.values[place - 1];
            self.indices[place] = self.indices[place - 1];
            place -= 1;
        }
        self.values[place] = value;
        self.indices[place] = index as i64;
    }

    /// Finds the best by reading the row once, or twice: after the first time few elements are left
    /// to look at.
    #[inline(always)]
    fn collect<S: Simd>(mut self, simd: S, row: &[T]) {
        if self.values.is_empty() {
            return;
        }
        let mut limit = if row.len() / 8 >= self.values.len().max(T::LANES) {
            lower_limit(simd, row, self.values.len())
        } else {
            -T::INFINITY
        };
        for (group_index, group) in row.chunks(GROUP * T::LANES).enumerate() {
            let start = group_index * GROUP * T::LANES;
            let limits = T::Vector::<S>::splat(simd, limit);
            let last = self.last();
            let mut candidates = 0_u64;
            for (index, chunk) in group.chunks(T::LANES).enumerate() {
                let vector = partial(simd, chunk, -T::INFINITY);
                // Once there are enough, an equal one comes too late.
                let beaten = if last.is_some() {
                    vector.simd_le(limits)
                } else {
                    vector.simd_lt(limits)
                };
                candidates |= (!beaten).to_bitmask() << (index * T::LANES);
            }
            while candidates != 0 {
                let place = candidates.trailing_zeros() as usize;
                // Those behind the row's end stand for nothing.
                let Some(&value) = group.get(place) else {
                    break;
                };
                self.offer(value, start + place);
                candidates &= candidates - 1;
            }
            if let Some(last) = self.last() {
                if last.to_f64().is_nan() {
                    return;
                }
                limit = last;
            }
        }
    }

    /// Finds the best by sorting out, now and then, the best so far.
    fn select(self, row: &[T]) {
        let k = self.values.len();
        let most = row.len().min(2 * k.max(FEW_KEYS));
        let mut keys: Vec<u128> = Vec::new();
        make_room(&mut keys, most);
        let mut worst = u128::MAX;
        for (index, &value) in (0_u64..).zip(row) {
            let key = sort_key(value, index);
            if key > worst {
                continue;
            }
            if keys.len() == most {
                worst = *keys.select_nth_unstable(k - 1).1;
                keys.truncate(k);
            }
            keys.push(key);
        }
        if k < keys.len() {
            keys.select_nth_unstable(k);
            keys.truncate(k);
        }
        keys.sort_unstable();
        let places = self.values.iter_mut().zip(self.indices);
        for ((value, index), key) in places.zip(keys) {
            *index = key as i64;
            *value = row[key as u64 as usize];
        }
    }
}

/// A number that ascends where the order of an element and its index does.
fn sort_key<T: Float>(value: T, index: u64) -> u128 {
    const SIGN: u64 = 1 << 63;
    let value = value.to_f64();
    // Adding 0 makes one of the two zeros.
    let bits = (value + 0.0).to_bits();
    let descending = if value.is_nan() {
        0
    } else if bits & SIGN == 0 {
        !(bits | SIGN)
    } else {
        bits
    };
    u128::from(descending) << 64 | u128::from(index)
}

/// A value that at least `k` elements of the row are not below, as large as is quickly found: the
/// `k`-th of the maxima of the row's lanes, equal ones counted once.
#[inline(always)]
fn lower_limit<S: Simd, T: Float>(simd: S, row: &[T], k: usize) -> T {
    let lowest = T::Vector::<S>::splat(simd, -T::INFINITY);
    let mut maxima = [lowest; GROUP];
    // What is left at the end can only raise the limit.
    for group in row.chunks_exact(GROUP * T::LANES) {
        for (max, chunk) in maxima.iter_mut().zip(group.chunks_exact(T::LANES)) {
            *max = max.max(T::Vector::<S>::from_slice(simd, chunk));
        }
    }
    // Where there is a NaN, the maximum is one element or another, or NaN.
    for max in &mut maxima {
        *max = max.simd_eq(*max).select(*max, lowest);
    }
    let mut limit = T::INFINITY;
    for _ in 0..k {
        let [a, b, c, d] = maxima;
        limit = a.max(b).max(c.max(d)).reduce_max();
        if limit == -T::INFINITY {
            break;
        }
        let limits = T::Vector::<S>::splat(simd, limit);
        for max in &mut maxima {
            *max = max.simd_lt(limits).select(*max, lowest);
        }
    }
    limit
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
pub(crate) fn rank<S: Simd, T: Float>(simd: S, row: &[T], class: usize) -> usize {
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
