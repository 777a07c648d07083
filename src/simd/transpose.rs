//! Transposition of rows that lie one behind the other, in blocks of four by four.
//!
//! Here belongs the way of a tile's elements between `[ROWS][classes]` and `[classes][ROWS]`. The last
//! block of a row ends where the row does, and so holds elements of the block before again.

use fearless_simd::{Simd, SimdBase, SimdFloat};

use crate::float::Float;

/// Rows that are transposed together.
pub(crate) const ROWS: usize = 64;

/// What has to be readable, and for [`to_rows`] writable, behind rows of so many classes: a block is
/// not narrower than this.
pub(crate) const BLOCK: usize = 4;

/// How many elements the rows of a tile reach over.
#[inline(always)]
pub(crate) const fn reach(classes: usize) -> usize {
    ROWS * classes + BLOCK.saturating_sub(classes)
}

/// Turns `[ROWS][classes]` into `[classes][ROWS]`. `rows` is as long as [`reach`] says.
#[inline(never)]
pub(crate) fn to_columns<S: Simd, T: Float>(simd: S, rows: &[T], columns: &mut [T]) {
    let classes = columns.len() / ROWS;
    assert!(rows.len() >= reach(classes));
    let (from, to) = (rows.as_ptr(), columns.as_mut_ptr());
    simd.vectorize(
        #[inline(always)]
        move || {
            each_block(
                classes,
                #[inline(always)]
                move |row, class| {
                    // SAFETY: the block's rows begin within `rows`, and `reach` covers the end of
                    // the last one.
                    let quads = unsafe {
                        let from = from.add(row * classes + class);
                        transposed(load::<S, T>(simd, from, [0, 1, 2, 3].map(|i| i * classes)))
                    };
                    for (i, quad) in quads.into_iter().enumerate().take(classes) {
                        // SAFETY: column `class + i` has a place for each of the rows.
                        unsafe { store::<S, T>(quad, to.add((class + i) * ROWS + row)) };
                    }
                },
            );
        },
    );
}

/// Turns `[classes][ROWS]` into `[ROWS][classes]`. `rows` is as long as [`reach`] says; what is left
/// behind the rows means nothing.
#[inline(never)]
pub(crate) fn to_rows<S: Simd, T: Float>(simd: S, columns: &[T], rows: &mut [T]) {
    let classes = columns.len() / ROWS;
    assert!(rows.len() >= reach(classes));
    let (from, to) = (columns.as_ptr(), rows.as_mut_ptr());
    // Where a row is narrower than a block, the last column stands for those that are not there.
    let places = [0, 1, 2, 3].map(|i: usize| i.min(classes.saturating_sub(1)) * ROWS);
    simd.vectorize(
        #[inline(always)]
        move || {
            each_block(
                classes,
                #[inline(always)]
                move |row, class| {
                    // SAFETY: the places are those of columns from `class` on.
                    let quads = unsafe {
                        let from = from.add(class * ROWS + row);
                        transposed(load::<S, T>(simd, from, places))
                    };
                    // In ascending order: a narrow row's block reaches into the next row.
                    for (i, quad) in quads.into_iter().enumerate() {
                        // SAFETY: the row begins within `rows`, and `reach` covers the end of the
                        // last one.
                        unsafe { store::<S, T>(quad, to.add((row + i) * classes + class)) };
                    }
                },
            );
        },
    );
}

/// Calls a function for the first row and class of each block of a tile. Rows ascend.
#[inline(always)]
fn each_block(classes: usize, mut function: impl FnMut(usize, usize)) {
    if classes == 0 {
        return;
    }
    let last = classes.saturating_sub(BLOCK);
    for row in (0..ROWS).step_by(BLOCK) {
        let mut class = 0;
        while class < last {
            function(row, class);
            class += BLOCK;
        }
        function(row, last);
    }
}

/// Four vectors of four elements, at these places behind `from`.
///
/// # Safety
/// The elements are readable.
#[inline(always)]
unsafe fn load<S: Simd, T: Float>(
    simd: S,
    from: *const T,
    places: [usize; BLOCK],
) -> [T::Quad<S>; BLOCK] {
    let mut quads = [T::Quad::<S>::splat(simd, T::ZERO); BLOCK];
    for (quad, place) in quads.iter_mut().zip(places) {
        // SAFETY: promised by the caller.
        let elements = unsafe { std::slice::from_raw_parts(from.add(place), BLOCK) };
        *quad = T::Quad::<S>::from_slice(simd, elements);
    }
    quads
}

/// # Safety
/// Four elements are writable, and no slice of them is alive.
#[inline(always)]
unsafe fn store<S: Simd, T: Float>(quad: T::Quad<S>, to: *mut T) {
    // SAFETY: promised by the caller.
    quad.store_slice(unsafe { std::slice::from_raw_parts_mut(to, BLOCK) });
}

/// The transposed block.
#[inline(always)]
fn transposed<S: Simd, V: SimdFloat<S>>([a, b, c, d]: [V; BLOCK]) -> [V; BLOCK] {
    let (ac, ac_high) = a.interleave(c);
    let (bd, bd_high) = b.interleave(d);
    let (first, second) = ac.interleave(bd);
    let (third, fourth) = ac_high.interleave(bd_high);
    [first, second, third, fourth]
}
