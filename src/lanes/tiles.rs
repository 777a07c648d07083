//! Runs a kernel over the classes of an array: the choice between rows one at a time, tiles of rows
//! and pieces of rows, and the way of tiles between arrays of any strides and the kernel.

use std::ops::Range;

use fearless_simd::Simd;

use super::copied::{are_copied, run_copied};
use super::gather::{gather, gather_class, gather_rows, scatter, scatter_class, scatter_rows};
use super::pieces::{are_long, run_pieces};
use super::rows::Rows;
use super::run::{GRAIN, LINE, Scratch, aligned, run, run_grains};
#[cfg(feature = "python")]
use super::view::ViewMut;
use super::view::{Outputs, View};
use crate::error::Result;
use crate::float::{Encoding, Float};
use crate::kernel::piece::PieceKernel;
use crate::kernel::tile::{Ahead, RowNumbers, Tile, TileKernel};
use crate::simd::level::Instructions;
use crate::simd::reduce::prefetch;
use crate::simd::transpose::{ROWS, to_columns, to_rows};
use crate::simd::{Task, dispatch, level};

/// Up to so many classes, a row at a time leaves vectors too empty, or takes too long to start.
pub(super) const FEW_CLASSES: usize = 128;

/// Rows that lie side by side are tiled up to so many classes: the tile is to stay in the cache.
const MOST_CLASSES: usize = 8192;

/// Fewer rows than these, or than these side by side, would leave a tile too empty.
const FEW_ROWS: usize = 8;

/// The same where there are so many classes that a row at a time is no worse for that.
const FEW_ROWS_OF_MANY: usize = 32;

/// Tiles that are filled together where rows lie side by side, as long as they have so many bytes:
/// classes that are a power of two apart share a few places in the caches, and what is fetched ahead
/// of one is gone before the next tile asks for it.
const MOST_TILES: usize = 4;
const MOST_BYTES: usize = 1 << 16;

/// A tile of up to so many bytes is fetched while the one before is worked on, and so is its place in
/// the output: a larger one would be gone from the cache before its turn.
const MOST_FETCHED: usize = 1 << 17;

/// Runs a kernel over the classes of the input along an axis for what it adds up to; `merge` gets
/// the grains' totals in order.
pub(crate) fn read_classes<T: Float, Kernel: PieceKernel<T>>(
    input: &View<'_, T>,
    axis: usize,
    kernel: &Kernel,
    merge: impl FnMut(Kernel::Total),
) -> Result<()> {
    let instructions = level()?;
    // SAFETY: nothing is written.
    unsafe {
        run_classes(
            instructions,
            &input.rows(axis),
            &[None, None],
            kernel,
            merge,
        )
    }
}

/// Runs a kernel over the classes of the input along an axis, writing the outputs.
pub(crate) fn write_classes<'a, 'b: 'a, T: Float, Kernel: PieceKernel<T>>(
    input: &View<'_, T>,
    outputs: impl Into<Outputs<'a, 'b, T>>,
    axis: usize,
    kernel: &Kernel,
    merge: impl FnMut(Kernel::Total),
) -> Result<()> {
    let instructions = level()?;
    let (input, outputs) = rows_of_both(input, outputs.into(), axis);
    // SAFETY: arrays of one shape have equal rows; a `ViewMut` is writable, its elements are
    // distinct, and it overlaps the input at most as `Outputs` says.
    unsafe { run_classes(instructions, &input, &outputs, kernel, merge) }
}

/// Runs a kernel that has no way for pieces of rows; else as [`read_classes`].
pub(crate) fn read_tiles<T: Float, Kernel: TileKernel<T>>(
    input: &View<'_, T>,
    axis: usize,
    kernel: &Kernel,
    merge: impl FnMut(Kernel::Total),
) -> Result<()> {
    let instructions = level()?;
    let outputs = &[None, None];
    // SAFETY: nothing is written.
    unsafe { run_tiles(instructions, &input.rows(axis), outputs, kernel, merge) }
}

/// The same, writing the outputs: as [`write_classes`].
pub(crate) fn write_tiles<'a, 'b: 'a, T: Float, Kernel: TileKernel<T>>(
    input: &View<'_, T>,
    outputs: impl Into<Outputs<'a, 'b, T>>,
    axis: usize,
    kernel: &Kernel,
    merge: impl FnMut(Kernel::Total),
) -> Result<()> {
    let instructions = level()?;
    let (input, outputs) = rows_of_both(input, outputs.into(), axis);
    // SAFETY: as in `write_classes`.
    unsafe { run_tiles(instructions, &input, &outputs, kernel, merge) }
}

/// The rows of an input and of outputs of its shape.
fn rows_of_both<'a, 'b, T>(
    input: &View<'a, T>,
    outputs: Outputs<'_, 'b, T>,
    axis: usize,
) -> (Rows<'a, T>, [Option<Rows<'b, T>>; 2]) {
    assert!(outputs.have_shape(input.shape()));
    (input.rows(axis), outputs.rows(axis))
}

/// Elements to leave out: what stands for them in the input, and in the output.
#[cfg(feature = "python")]
pub(crate) struct Where<'a, T> {
    /// 0 for those; of the array's shape.
    pub(crate) kept: View<'a, u8>,
    pub(crate) read_as: T,
    pub(crate) written_as: T,
}

/// Runs a kernel over the classes of the input along several axes, or none, some of them perhaps
/// left out, and writes the output if there is one.
#[cfg(feature = "python")]
pub(crate) fn run_over<T: Float, Kernel: PieceKernel<T>>(
    input: &View<'_, T>,
    output: Option<&ViewMut<'_, T>>,
    axes: &[usize],
    mask: Option<&Where<'_, T>>,
    kernel: &Kernel,
    merge: impl FnMut(Kernel::Total),
) -> Result<()> {
    let instructions = level()?;
    assert!(output.is_none_or(|output| input.shape() == output.shape()));
    let axes = input.in_memory_order(axes);
    let mut rows = input.rows_over(&axes);
    let mut results = output.map(|output| output.rows_over(&axes));
    if let Some(mask) = mask {
        assert!(mask.kept.shape() == input.shape());
        let kept = mask.kept.rows_over(&axes);
        results = results.map(|results| results.masked(kept.clone(), mask.written_as));
        rows = rows.masked(kept, mask.read_as);
    }
    // SAFETY: as in `write_classes`.
    unsafe { run_classes(instructions, &rows, &[results, None], kernel, merge) }
}

/// Runs a kernel over all rows, in tiles or pieces where that is faster. The choice depends on shape and
/// strides alone.
///
/// # Safety
/// As for [`run`].
unsafe fn run_classes<T: Float, Kernel: PieceKernel<T>>(
    instructions: Instructions,
    input: &Rows<'_, T>,
    outputs: &[Option<Rows<'_, T>>; 2],
    kernel: &Kernel,
    merge: impl FnMut(Kernel::Total),
) -> Result<()> {
    if are_long(input, outputs) {
        // SAFETY: promised by the caller.
        unsafe { run_pieces(instructions, input, outputs, kernel, merge) };
        return Ok(());
    }
    let is_kept = outputs[0].is_some() && Kernel::WRITES_EXPONENTIALS;
    if !is_kept && are_copied(input, outputs) {
        // SAFETY: promised by the caller.
        return unsafe { run_copied(instructions, input, outputs, kernel, merge) };
    }
    // SAFETY: promised by the caller.
    unsafe { run_tiles(instructions, input, outputs, kernel, merge) }
}

/// Runs a kernel over all rows, in tiles where that is faster.
///
/// # Safety
/// As for [`run`].
unsafe fn run_tiles<T: Float, Kernel: TileKernel<T>>(
    instructions: Instructions,
    input: &Rows<'_, T>,
    outputs: &[Option<Rows<'_, T>>; 2],
    kernel: &Kernel,
    merge: impl FnMut(Kernel::Total),
) -> Result<()> {
    let fits = input.len() <= kernel.most_classes();
    let Some(tiling) = Tiling::of(input, outputs).filter(|_| fits) else {
        // SAFETY: promised by the caller.
        return unsafe {
            run(
                instructions,
                std::array::from_ref(input),
                outputs,
                kernel,
                merge,
            )
        };
    };
    let tiles_in_grain = (GRAIN / (ROWS * input.len())).max(1);
    let tiles = tiling.tiles();
    let grain = |index: usize, scratch: &mut Scratch<T>| {
        let first = index * tiles_in_grain;
        let task = TileGrain {
            input,
            output: outputs[0].as_ref(),
            second: outputs[1].as_ref(),
            kernel,
            tiling,
            tiles: first..tiles.min(first + tiles_in_grain),
            scratch,
        };
        dispatch(instructions, task)
    };
    run_grains(
        [tiles.div_ceil(tiles_in_grain), tiles_in_grain * ROWS],
        input.elements(),
        grain,
        merge,
    )
}

/// How rows fall into tiles: runs of rows, each cut into tiles of its own.
#[derive(Clone, Copy)]
struct Tiling {
    rows: usize,
    run: usize,
}

impl Tiling {
    /// `None` if rows are to be taken one at a time.
    fn of<T>(input: &Rows<'_, T>, outputs: &[Option<Rows<'_, T>>; 2]) -> Option<Self> {
        let (rows, classes) = (input.count(), input.len());
        if rows < FEW_ROWS || classes == 0 || input.is_nested() {
            return None;
        }
        let shortest = |run: usize, rows: &Rows<'_, T>| match Layout::of(rows) {
            Layout::SideBySide => run.min(rows.side_by_side()),
            _ => run,
        };
        let written = outputs.iter().flatten();
        let run = written.fold(shortest(rows, input), shortest);
        let apart = matches!(Layout::of(input), Layout::SideBySide);
        let most = if apart { MOST_CLASSES } else { FEW_CLASSES };
        let is_empty = classes > FEW_CLASSES && run < FEW_ROWS_OF_MANY;
        (classes <= most && !is_empty).then_some(Self { rows, run })
    }

    fn tiles(self) -> usize {
        self.rows / self.run * self.run.div_ceil(ROWS)
    }

    /// The rows of as many of the tiles as lie one behind the other in a run, up to so many.
    fn rows_of(self, tiles: Range<usize>, most: usize) -> Range<usize> {
        let tiles_in_run = self.run.div_ceil(ROWS);
        let (run, tile) = (tiles.start / tiles_in_run, tiles.start % tiles_in_run);
        let first = tile * ROWS;
        let count = tiles.len().min(most) * ROWS;
        let start = run * self.run + first;
        start..start + count.min(self.run - first)
    }
}

/// How the rows of a tile lie in memory.
#[derive(Clone, Copy)]
enum Layout {
    /// Row behind row.
    Contiguous,
    /// Each class contiguous, over a run of rows.
    SideBySide,
    /// Any other way.
    Scattered,
}

impl Layout {
    fn of<T>(rows: &Rows<'_, T>) -> Self {
        if rows.is_contiguous() {
            Self::Contiguous
        } else if rows.side_by_side() >= FEW_ROWS && !rows.is_nested() {
            Self::SideBySide
        } else {
            Self::Scattered
        }
    }
}

struct TileGrain<'a, 'b, T, Kernel> {
    input: &'a Rows<'b, T>,
    output: Option<&'a Rows<'b, T>>,
    second: Option<&'a Rows<'b, T>>,
    kernel: &'a Kernel,
    tiling: Tiling,
    tiles: Range<usize>,
    scratch: &'a mut Scratch<T>,
}

impl<T: Float, Kernel: TileKernel<T>> Task for TileGrain<'_, '_, T, Kernel> {
    type Output = Kernel::Total;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Kernel::Total {
        let mut total = Kernel::Total::default();
        let elements = self.input.len() * ROWS;
        let most = self.most_tiles();
        let second_rows = self.second.filter(|_| Kernel::WRITES_TWO);
        let ([tiles, spare, second_tiles], scratch) = self.scratch.buffers_and_kernel();
        let spare = aligned(spare, elements);
        let in_tiles = elements * most.min(self.tiles.len());
        let tiles = aligned(tiles, in_tiles);
        let second_tiles = aligned(second_tiles, second_rows.map_or(0, |_| in_tiles));
        let mut numbers = RowNumbers::new();
        let mut left = self.tiles;
        let mut next = self.tiling.rows_of(left.clone(), most);
        while !left.is_empty() {
            let rows = next.clone();
            left.start += rows.len().div_ceil(ROWS);
            if !left.is_empty() {
                next = self.tiling.rows_of(left.clone(), most);
            }
            load(simd, self.input, rows.clone(), tiles, spare);
            let mut seconds = second_tiles.chunks_exact_mut(elements);
            for (tile, of_tile) in tiles.chunks_exact_mut(elements).zip(by_tile(rows.clone())) {
                let offset = of_tile.start - rows.start;
                let read = ahead(self.input, next.start, offset);
                let written = self.output.and_then(|to| ahead(to, rows.start, offset));
                let mut numbered = Tile {
                    ahead: [read, written],
                    elements: tile,
                    second: seconds.next(),
                    scratch,
                    first: of_tile.start,
                    rows: of_tile.len(),
                };
                self.kernel
                    .tile(simd, &mut numbered, &mut numbers, &mut total);
            }
            if let Some(output) = self.output {
                // SAFETY: `run_classes`'s caller promises that the output is writable, and no
                // other tile holds these rows.
                unsafe { store(simd, output, rows.clone(), tiles, spare) };
            }
            if let Some(output) = second_rows {
                // SAFETY: as above.
                unsafe { store(simd, output, rows, second_tiles, spare) };
            }
        }
        total
    }
}

impl<T, Kernel> TileGrain<'_, '_, T, Kernel> {
    /// How many tiles are filled together.
    fn most_tiles(&self) -> usize {
        let apart = |rows: &Rows<'_, T>| matches!(Layout::of(rows), Layout::SideBySide);
        if apart(self.input) || self.output.is_some_and(apart) || self.second.is_some_and(apart) {
            let bytes = self.input.len() * ROWS * size_of::<T>();
            (MOST_BYTES / bytes).clamp(1, MOST_TILES)
        } else {
            1
        }
    }
}

/// The elements of the rows from `first + offset` on, if it is worth fetching a tile of them. The rows
/// may end before.
#[inline(always)]
fn ahead<T>(rows: &Rows<'_, T>, first: usize, offset: usize) -> Option<Ahead<T>> {
    let bytes = rows.len() * ROWS * size_of::<T>();
    if rows.encoding() != Encoding::Own || bytes > MOST_FETCHED {
        return None;
    }
    let start = rows.pointer(first);
    match Layout::of(rows) {
        // As many elements as a class has, one class after the other, are all of them.
        Layout::Contiguous => Some(Ahead {
            start: start.wrapping_add(offset * rows.len()),
            stride: ROWS as isize,
        }),
        Layout::SideBySide => Some(Ahead {
            start: start.wrapping_add(offset),
            stride: rows.stride(),
        }),
        Layout::Scattered => None,
    }
}

/// The rows of each tile of a group.
fn by_tile(rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = rows.end;
    rows.step_by(ROWS)
        .map(move |first| first..end.min(first + ROWS))
}

/// Fills tiles with rows. One copy of this serves all kernels.
#[inline(never)]
fn load<S: Simd, T: Float>(
    simd: S,
    from: &Rows<'_, T>,
    rows: Range<usize>,
    tiles: &mut [T],
    spare: &mut [T],
) {
    let elements = from.len() * ROWS;
    match Layout::of(from) {
        Layout::Contiguous => {
            for (tile, rows) in tiles.chunks_exact_mut(elements).zip(by_tile(rows)) {
                let len = rows.len() * from.len();
                if !from.are_plain() {
                    gather_rows(simd, from, rows, &mut spare[..len]);
                    to_columns(simd, spare, tile);
                    continue;
                }
                // SAFETY: so many rows lie one behind the other.
                let rows = unsafe { std::slice::from_raw_parts(from.pointer(rows.start), len) };
                if len >= spare.len() {
                    to_columns(simd, rows, tile);
                } else {
                    spare[..len].copy_from_slice(rows);
                    to_columns(simd, spare, tile);
                }
            }
        }
        Layout::SideBySide if !from.are_plain() => {
            for number in 0..from.len() {
                let tiles = tiles.chunks_exact_mut(elements);
                for (tile, rows) in tiles.zip(by_tile(rows.clone())) {
                    prefetch_elements(from, rows.start, number + 1);
                    let class = &mut tile[number * ROWS..][..rows.len()];
                    // SAFETY: the elements of a class lie one behind the other.
                    unsafe { gather_class(simd, from, rows.start, number, class) };
                }
            }
        }
        Layout::SideBySide => {
            let (start, count) = (from.pointer(rows.start), rows.len());
            for number in 0..from.len() {
                let class = start.wrapping_offset(number as isize * from.stride());
                // SAFETY: the elements of a class lie one behind the other.
                let class = unsafe { std::slice::from_raw_parts(class, count) };
                for (part, tile) in class.chunks(ROWS).zip(tiles.chunks_exact_mut(elements)) {
                    prefetch_class(part.as_ptr().wrapping_offset(from.stride()), size_of::<T>());
                    copy(part, &mut tile[number * ROWS..][..ROWS]);
                }
            }
        }
        Layout::Scattered if from.stride() == 1 => {
            for (tile, rows) in tiles.chunks_exact_mut(elements).zip(by_tile(rows)) {
                for (row, to) in rows.zip(spare.chunks_exact_mut(from.len())) {
                    gather(simd, from, row, 0, to);
                }
                to_columns(simd, spare, tile);
            }
        }
        Layout::Scattered => {
            for (tile, rows) in tiles.chunks_exact_mut(elements).zip(by_tile(rows)) {
                for (lane, row) in rows.enumerate() {
                    for (class, to) in tile[lane..].iter_mut().step_by(ROWS).enumerate() {
                        *to = from.element(row, class);
                    }
                }
            }
        }
    }
}

/// Writes the rows of tiles. One copy of this serves all kernels.
///
/// # Safety
/// The rows exist, and are writable by this thread alone.
#[inline(never)]
unsafe fn store<S: Simd, T: Float>(
    simd: S,
    to: &Rows<'_, T>,
    rows: Range<usize>,
    tiles: &mut [T],
    spare: &mut [T],
) {
    let elements = to.len() * ROWS;
    match Layout::of(to) {
        Layout::Contiguous => {
            for (tile, rows) in tiles.chunks_exact(elements).zip(by_tile(rows)) {
                let len = rows.len() * to.len();
                let start = to.pointer(rows.start).cast_mut();
                if !to.are_plain() {
                    to_rows(simd, tile, spare);
                    // SAFETY: so many rows lie one behind the other, and the caller promises the
                    // rest.
                    unsafe { scatter_rows(simd, &mut spare[..len], to, rows) };
                    continue;
                }
                // SAFETY: as above.
                let rows = unsafe { std::slice::from_raw_parts_mut(start, len) };
                if len >= spare.len() {
                    to_rows(simd, tile, rows);
                } else {
                    to_rows(simd, tile, spare);
                    rows.copy_from_slice(&spare[..len]);
                }
            }
        }
        Layout::SideBySide if !to.are_plain() => {
            for number in 0..to.len() {
                let tiles = tiles.chunks_exact_mut(elements);
                for (tile, rows) in tiles.zip(by_tile(rows.clone())) {
                    prefetch_elements(to, rows.start, number + 1);
                    let class = &mut tile[number * ROWS..][..rows.len()];
                    // SAFETY: the elements of a class lie one behind the other, and the caller
                    // promises the rest.
                    unsafe { scatter_class(simd, class, to, rows.start, number) };
                }
            }
        }
        Layout::SideBySide => {
            let (start, count) = (to.pointer(rows.start).cast_mut(), rows.len());
            for number in 0..to.len() {
                let class = start.wrapping_offset(number as isize * to.stride());
                // SAFETY: the elements of a class lie one behind the other.
                let class = unsafe { std::slice::from_raw_parts_mut(class, count) };
                for (part, tile) in class.chunks_mut(ROWS).zip(tiles.chunks_exact(elements)) {
                    prefetch_class(part.as_ptr().wrapping_offset(to.stride()), size_of::<T>());
                    copy(&tile[number * ROWS..][..part.len()], part);
                }
            }
        }
        Layout::Scattered if to.stride() == 1 => {
            for (tile, rows) in tiles.chunks_exact(elements).zip(by_tile(rows)) {
                to_rows(simd, tile, spare);
                for (row, from) in rows.zip(spare.chunks_exact_mut(to.len())) {
                    // SAFETY: the caller promises that the row is writable.
                    unsafe { scatter(simd, from, to, row, 0) };
                }
            }
        }
        Layout::Scattered => {
            for (tile, rows) in tiles.chunks_exact(elements).zip(by_tile(rows)) {
                for (lane, row) in rows.enumerate() {
                    for (class, &from) in tile[lane..].iter().step_by(ROWS).enumerate() {
                        // SAFETY: the row holds an element for each class, and the caller promises
                        // that it is writable.
                        unsafe { to.write(row, class, from) };
                    }
                }
            }
        }
    }
}

/// Fetches the elements of one class of a tile, each of so many bytes.
#[inline(always)]
fn prefetch_class<T>(start: *const T, size: usize) {
    for line in (0..ROWS * size).step_by(LINE) {
        prefetch(start.cast::<u8>().wrapping_add(line));
    }
}

/// The same for elements that are encoded or masked, and for the mask; the class need not exist.
#[inline(always)]
fn prefetch_elements<T: Float>(rows: &Rows<'_, T>, row: usize, class: usize) {
    prefetch_class(rows.place(row, class), rows.encoding().size::<T>());
    if let Some(mask) = rows.mask() {
        prefetch(mask.kept.place(row, class));
    }
}

/// Copies up to as many elements as a tile has rows; of a full tile without a call.
#[inline(always)]
fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    match (from.first_chunk::<ROWS>(), to.first_chunk_mut::<ROWS>()) {
        (Some(from), Some(to)) => *to = *from,
        _ => to[..from.len()].copy_from_slice(from),
    }
}
