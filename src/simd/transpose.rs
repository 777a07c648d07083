//! Transposition of rows that lie one behind the other, in blocks of four classes.
//!
//! Here belongs the way of a tile's elements between `[ROWS][classes]` and `[classes][ROWS]`. The last
//! block of a row ends where the row does, and so holds elements of the block before again.

use fearless_simd::{Simd, SimdBase, SimdFloat};

use super::has_wide_registers;
use crate::float::Float;

/// Rows that are transposed together.
pub(crate) const ROWS: usize = 64;

/// Classes of a block. The block of a narrower row reaches into the next row.
const BLOCK: usize = 4;

/// Turns `[ROWS][classes]` into `[classes][ROWS]`.
#[inline(never)]
pub(crate) fn to_columns<S: Simd, T: Float>(simd: S, rows: &[T], columns: &mut [T]) {
    let classes = columns.len() / ROWS;
    let (rows, columns) = (&rows[..ROWS * classes], &mut columns[..ROWS * classes]);
    simd.vectorize(
        #[inline(always)]
        move || match classes {
            0 => {}
            1 => columns.copy_from_slice(rows),
            2 => pairs_to_columns(simd, rows, columns),
            _ if has_wide_registers(simd) => {
                blocks_to_columns::<S, T, Wide>(simd, classes, rows, columns);
            }
            _ => blocks_to_columns::<S, T, Square>(simd, classes, rows, columns),
        },
    );
}

/// Turns `[classes][ROWS]` into `[ROWS][classes]`.
#[inline(never)]
pub(crate) fn to_rows<S: Simd, T: Float>(simd: S, columns: &[T], rows: &mut [T]) {
    let classes = columns.len() / ROWS;
    let (rows, columns) = (&mut rows[..ROWS * classes], &columns[..ROWS * classes]);
    simd.vectorize(
        #[inline(always)]
        move || match classes {
            0 => {}
            1 => rows.copy_from_slice(columns),
            2 => pairs_to_rows(simd, columns, rows),
            _ if has_wide_registers(simd) => {
                blocks_to_rows::<S, T, Wide>(simd, classes, columns, rows);
            }
            _ => blocks_to_rows::<S, T, Square>(simd, classes, columns, rows),
        },
    );
}

/// Two classes: no block is needed.
#[inline(always)]
fn pairs_to_columns<S: Simd, T: Float>(simd: S, rows: &[T], columns: &mut [T]) {
    let (first, second) = columns.split_at_mut(ROWS);
    let columns = first
        .chunks_exact_mut(T::LANES)
        .zip(second.chunks_exact_mut(T::LANES));
    for (row, (first, second)) in rows.chunks_exact(2 * T::LANES).zip(columns) {
        let (low, high) = row.split_at(T::LANES);
        let low = T::Vector::<S>::from_slice(simd, low);
        let high = T::Vector::<S>::from_slice(simd, high);
        let (even, odd) = low.deinterleave(high);
        even.store_slice(first);
        odd.store_slice(second);
    }
}

#[inline(always)]
fn pairs_to_rows<S: Simd, T: Float>(simd: S, columns: &[T], rows: &mut [T]) {
    let (first, second) = columns.split_at(ROWS);
    let columns = first
        .chunks_exact(T::LANES)
        .zip(second.chunks_exact(T::LANES));
    for (row, (first, second)) in rows.chunks_exact_mut(2 * T::LANES).zip(columns) {
        let even = T::Vector::<S>::from_slice(simd, first);
        let odd = T::Vector::<S>::from_slice(simd, second);
        let (first, second) = even.interleave(odd);
        let (low, high) = row.split_at_mut(T::LANES);
        first.store_slice(low);
        second.store_slice(high);
    }
}

/// The registers that a block of four classes is turned in: four vectors, which make as many rows as
/// one of them has elements.
trait Block<T: Float> {
    type Vector<S: Simd>: SimdFloat<S, Element = T>;

    /// How many rows.
    const ROWS: usize;

    /// The vector of so many fours, by their numbers.
    fn join<S: Simd>(four: impl Fn(usize) -> T::Quad<S>) -> Self::Vector<S>;

    /// A vector's fours with their numbers.
    fn split<S: Simd>(vector: Self::Vector<S>, take: impl FnMut(usize, T::Quad<S>));
}

/// As many rows as a vector has lanes.
struct Wide;

/// Four rows, where a vector is several registers.
struct Square;

impl<T: Float> Block<T> for Wide {
    type Vector<S: Simd> = T::Vector<S>;

    const ROWS: usize = T::LANES;

    #[inline(always)]
    fn join<S: Simd>(four: impl Fn(usize) -> T::Quad<S>) -> T::Vector<S> {
        T::join::<S>(four)
    }

    #[inline(always)]
    fn split<S: Simd>(vector: T::Vector<S>, take: impl FnMut(usize, T::Quad<S>)) {
        T::split::<S>(vector, take);
    }
}

impl<T: Float> Block<T> for Square {
    type Vector<S: Simd> = T::Quad<S>;

    const ROWS: usize = BLOCK;

    #[inline(always)]
    fn join<S: Simd>(four: impl Fn(usize) -> T::Quad<S>) -> T::Quad<S> {
        four(0)
    }

    #[inline(always)]
    fn split<S: Simd>(vector: T::Quad<S>, mut take: impl FnMut(usize, T::Quad<S>)) {
        take(0, vector);
    }
}

/// Reads a block of rows that are `classes` long, and writes its columns, or the first of them if
/// there are no four classes.
///
/// # Safety
/// Four elements are readable at each row, and as many as there are rows writable at each column.
#[inline(always)]
unsafe fn block_to_columns<S: Simd, T: Float, B: Block<T>>(
    simd: S,
    from: *const T,
    classes: usize,
    to: *mut T,
) {
    let rows = B::ROWS / BLOCK;
    let mut fours = [B::Vector::<S>::splat(simd, T::ZERO); BLOCK];
    for (i, vector) in fours.iter_mut().enumerate() {
        *vector = B::join::<S>(
            #[inline(always)]
            |four| {
                // SAFETY: promised by the caller.
                unsafe { load::<S, T::Quad<S>>(simd, from.add((i * rows + four) * classes)) }
            },
        );
    }
    // The number of an element in `fours` is made of its row's and its class's: this turns its bits
    // until the class comes first.
    for (i, column) in evens_first(evens_first(fours)).iter().enumerate() {
        if i < classes {
            // SAFETY: promised by the caller.
            unsafe { store(*column, to.add(i * ROWS)) };
        }
    }
}

/// The other way: of four columns, each `places` behind `from`. Rows are written in order.
///
/// # Safety
/// As many elements as there are rows are readable at each column, and four writable at each row.
#[inline(always)]
unsafe fn block_to_rows<S: Simd, T: Float, B: Block<T>>(
    simd: S,
    from: *const T,
    places: [usize; BLOCK],
    to: *mut T,
    classes: usize,
) {
    let mut columns = [B::Vector::<S>::splat(simd, T::ZERO); BLOCK];
    for (column, place) in columns.iter_mut().zip(places) {
        // SAFETY: promised by the caller.
        *column = unsafe { load(simd, from.add(place)) };
    }
    let rows = B::ROWS / BLOCK;
    for (i, fours) in halves_mixed(halves_mixed(columns)).iter().enumerate() {
        B::split::<S>(
            *fours,
            #[inline(always)]
            |four, quad| {
                // SAFETY: promised by the caller.
                unsafe { store(quad, to.add((i * rows + four) * classes)) };
            },
        );
    }
}

/// Three classes or more.
#[inline(always)]
fn blocks_to_columns<S: Simd, T: Float, B: Block<T>>(
    simd: S,
    classes: usize,
    rows: &[T],
    columns: &mut [T],
) {
    // The last rows, with what a block of theirs reaches into where they are narrower.
    let mut last = [T::ZERO; ROWS];
    let narrow = classes < BLOCK;
    if narrow {
        let tail = &rows[(ROWS - B::ROWS) * classes..];
        last[..tail.len()].copy_from_slice(tail);
    }
    for row in (0..ROWS).step_by(B::ROWS) {
        let from = if narrow && row + B::ROWS == ROWS {
            last.as_ptr()
        } else {
            rows[row * classes..].as_ptr()
        };
        each_class(
            classes,
            #[inline(always)]
            |class| {
                let to = columns[class * ROWS + row..].as_mut_ptr();
                // SAFETY: the block's rows lie within `rows`, or in `last`, which is long enough
                // for `BLOCK` more; column `class + i` has a place for each row.
                unsafe { block_to_columns::<S, T, B>(simd, from.add(class), classes, to) };
            },
        );
    }
}

#[inline(always)]
fn blocks_to_rows<S: Simd, T: Float, B: Block<T>>(
    simd: S,
    classes: usize,
    columns: &[T],
    rows: &mut [T],
) {
    // Where a row is narrower than a block, the last column stands for those that are not there.
    let places = [0, 1, 2, 3].map(|i: usize| i.min(classes - 1) * ROWS);
    let mut last = [T::ZERO; ROWS];
    let narrow = classes < BLOCK;
    for row in (0..ROWS).step_by(B::ROWS) {
        let to_last = narrow && row + B::ROWS == ROWS;
        let to = if to_last {
            last.as_mut_ptr()
        } else {
            rows[row * classes..].as_mut_ptr()
        };
        each_class(
            classes,
            #[inline(always)]
            |class| {
                let from = columns[class * ROWS + row..].as_ptr();
                // SAFETY: the places are those of columns from `class` on. The block's rows lie
                // within `rows`, or in `last`, which is long enough for `BLOCK` more. A narrow
                // row's block reaches into the next row, which is written after it.
                unsafe { block_to_rows::<S, T, B>(simd, from, places, to.add(class), classes) };
            },
        );
        if to_last {
            let tail = &mut rows[row * classes..];
            tail.copy_from_slice(&last[..tail.len()]);
        }
    }
}

/// Calls a function for the first class of each block.
#[inline(always)]
fn each_class(classes: usize, mut function: impl FnMut(usize)) {
    let last = classes.saturating_sub(BLOCK);
    let mut class = 0;
    while class < last {
        function(class);
        class += BLOCK;
    }
    function(last);
}

/// # Safety
/// As many elements as the vector has are readable.
#[inline(always)]
unsafe fn load<S: Simd, V: SimdFloat<S>>(simd: S, from: *const V::Element) -> V {
    // SAFETY: promised by the caller.
    V::from_slice(simd, unsafe { std::slice::from_raw_parts(from, V::LEN) })
}

/// # Safety
/// As many elements as the vector has are writable, and no slice of them is alive.
#[inline(always)]
unsafe fn store<S: Simd, V: SimdFloat<S>>(vector: V, to: *mut V::Element) {
    // SAFETY: promised by the caller.
    vector.store_slice(unsafe { std::slice::from_raw_parts_mut(to, V::LEN) });
}

/// The elements of all four vectors, every second one first.
#[inline(always)]
fn evens_first<S: Simd, V: SimdFloat<S>>([a, b, c, d]: [V; BLOCK]) -> [V; BLOCK] {
    let (first, third) = a.deinterleave(b);
    let (second, fourth) = c.deinterleave(d);
    [first, second, third, fourth]
}

/// The elements of all four vectors, those of the first half and those of the second in turn.
#[inline(always)]
fn halves_mixed<S: Simd, V: SimdFloat<S>>([a, b, c, d]: [V; BLOCK]) -> [V; BLOCK] {
    let (first, second) = a.interleave(c);
    let (third, fourth) = b.interleave(d);
    [first, second, third, fourth]
}
