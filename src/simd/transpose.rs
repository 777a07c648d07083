//! Transposition of rows that lie one behind the other.
//!
//! A round of four-way interleaving turns `[4][n / 4]` elements into `[n / 4][4]`: it moves a
//! factor of four from the front of the shape to its end. Three rounds turn `[64][classes]` into
//! `[classes][64]`, whatever the number of classes, and three rounds of the inverse turn it back.

use fearless_simd::{Simd, SimdBase};

use crate::float::Float;

/// Rows that are transposed together: three factors of four.
pub(crate) const ROWS: usize = 64;

/// Turns `[ROWS][classes]` into `[classes][ROWS]`; the rows are in `spare` if they are not given.
/// What is left in `spare` means nothing.
#[inline(never)]
pub(crate) fn to_columns<S: Simd, T: Float>(
    simd: S,
    rows: Option<&[T]>,
    columns: &mut [T],
    spare: &mut [T],
) {
    interleave::<S, T>(simd, rows.unwrap_or(spare), columns);
    interleave::<S, T>(simd, columns, spare);
    interleave::<S, T>(simd, spare, columns);
}

/// Turns `[classes][ROWS]` into `[ROWS][classes]`; the rows are left in `spare` if there is no
/// place for them. What is left in `columns`, and else in `spare`, means nothing.
#[inline(never)]
pub(crate) fn to_rows<S: Simd, T: Float>(
    simd: S,
    columns: &mut [T],
    rows: Option<&mut [T]>,
    spare: &mut [T],
) {
    deinterleave::<S, T>(simd, columns, spare);
    deinterleave::<S, T>(simd, spare, columns);
    deinterleave::<S, T>(simd, columns, rows.unwrap_or(spare));
}

/// `[4][n / 4]` to `[n / 4][4]`.
#[inline(never)]
fn interleave<S: Simd, T: Float>(simd: S, from: &[T], to: &mut [T]) {
    simd.vectorize(
        #[inline(always)]
        || interleaved::<S, T>(simd, from, to),
    );
}

#[inline(always)]
fn interleaved<S: Simd, T: Float>(simd: S, from: &[T], to: &mut [T]) {
    let quarter = from.len() / 4;
    let (a, b) = (&from[..quarter], &from[quarter..2 * quarter]);
    let (c, d) = (
        &from[2 * quarter..3 * quarter],
        &from[3 * quarter..4 * quarter],
    );
    for (index, to) in to.chunks_exact_mut(4 * T::LANES).enumerate() {
        let place = index * T::LANES;
        let (ac, ac_high) = at::<S, T>(simd, a, place).interleave(at::<S, T>(simd, c, place));
        let (bd, bd_high) = at::<S, T>(simd, b, place).interleave(at::<S, T>(simd, d, place));
        let (first, second) = ac.interleave(bd);
        let (third, fourth) = ac_high.interleave(bd_high);
        first.store_slice(&mut to[..T::LANES]);
        second.store_slice(&mut to[T::LANES..2 * T::LANES]);
        third.store_slice(&mut to[2 * T::LANES..3 * T::LANES]);
        fourth.store_slice(&mut to[3 * T::LANES..]);
    }
}

/// `[n / 4][4]` to `[4][n / 4]`.
#[inline(never)]
fn deinterleave<S: Simd, T: Float>(simd: S, from: &[T], to: &mut [T]) {
    simd.vectorize(
        #[inline(always)]
        || deinterleaved::<S, T>(simd, from, to),
    );
}

#[inline(always)]
fn deinterleaved<S: Simd, T: Float>(simd: S, from: &[T], to: &mut [T]) {
    let quarter = to.len() / 4;
    let (front, back) = to.split_at_mut(2 * quarter);
    let (a, b) = front.split_at_mut(quarter);
    let (c, d) = back.split_at_mut(quarter);
    for (index, from) in from.chunks_exact(4 * T::LANES).enumerate() {
        let place = index * T::LANES..(index + 1) * T::LANES;
        let (ac, bd) = at::<S, T>(simd, from, 0).deinterleave(at::<S, T>(simd, from, T::LANES));
        let third = at::<S, T>(simd, from, 2 * T::LANES);
        let (ac_high, bd_high) = third.deinterleave(at::<S, T>(simd, from, 3 * T::LANES));
        let (a_part, c_part) = ac.deinterleave(ac_high);
        let (b_part, d_part) = bd.deinterleave(bd_high);
        a_part.store_slice(&mut a[place.clone()]);
        b_part.store_slice(&mut b[place.clone()]);
        c_part.store_slice(&mut c[place.clone()]);
        d_part.store_slice(&mut d[place]);
    }
}

/// The vector from a place on.
#[inline(always)]
fn at<S: Simd, T: Float>(simd: S, elements: &[T], place: usize) -> T::Vector<S> {
    T::Vector::<S>::from_slice(simd, &elements[place..place + T::LANES])
}
