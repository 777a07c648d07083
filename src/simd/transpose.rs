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
#[inline(always)]
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
#[inline(always)]
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
#[inline(always)]
fn interleave<S: Simd, T: Float>(simd: S, from: &[T], to: &mut [T]) {
    let quarter = from.len() / 4;
    let [a, b, c, d] = [0, 1, 2, 3].map(
        #[inline(always)]
        |part| from[part * quarter..][..quarter].chunks_exact(T::LANES),
    );
    for ((((a, b), c), d), to) in a
        .zip(b)
        .zip(c)
        .zip(d)
        .zip(to.chunks_exact_mut(4 * T::LANES))
    {
        let (ac, ac_high) = load::<S, T>(simd, a).interleave(load::<S, T>(simd, c));
        let (bd, bd_high) = load::<S, T>(simd, b).interleave(load::<S, T>(simd, d));
        let (first, second) = ac.interleave(bd);
        let (third, fourth) = ac_high.interleave(bd_high);
        first.store_slice(&mut to[..T::LANES]);
        second.store_slice(&mut to[T::LANES..2 * T::LANES]);
        third.store_slice(&mut to[2 * T::LANES..3 * T::LANES]);
        fourth.store_slice(&mut to[3 * T::LANES..]);
    }
}

/// `[n / 4][4]` to `[4][n / 4]`.
#[inline(always)]
fn deinterleave<S: Simd, T: Float>(simd: S, from: &[T], to: &mut [T]) {
    let quarter = to.len() / 4;
    let (front, back) = to.split_at_mut(2 * quarter);
    let (a, b) = front.split_at_mut(quarter);
    let (c, d) = back.split_at_mut(quarter);
    let from = from.chunks_exact(4 * T::LANES);
    let front = a
        .chunks_exact_mut(T::LANES)
        .zip(b.chunks_exact_mut(T::LANES));
    let back = c
        .chunks_exact_mut(T::LANES)
        .zip(d.chunks_exact_mut(T::LANES));
    for ((from, (a, b)), (c, d)) in from.zip(front).zip(back) {
        let first = load::<S, T>(simd, &from[..T::LANES]);
        let second = load::<S, T>(simd, &from[T::LANES..2 * T::LANES]);
        let third = load::<S, T>(simd, &from[2 * T::LANES..3 * T::LANES]);
        let fourth = load::<S, T>(simd, &from[3 * T::LANES..]);
        let (ac, bd) = first.deinterleave(second);
        let (ac_high, bd_high) = third.deinterleave(fourth);
        let (a_part, c_part) = ac.deinterleave(ac_high);
        let (b_part, d_part) = bd.deinterleave(bd_high);
        a_part.store_slice(a);
        b_part.store_slice(b);
        c_part.store_slice(c);
        d_part.store_slice(d);
    }
}

#[inline(always)]
fn load<S: Simd, T: Float>(simd: S, elements: &[T]) -> T::Vector<S> {
    T::Vector::<S>::from_slice(simd, elements)
}
