//! Runs a kernel over the rows of arrays: scratch for strided rows, grains, threads.
//!
//! The split into grains depends on the shape alone and their results are added in order, so the
//! number of threads never shows in a result.

use fearless_simd::Simd;
use ndarray::{Array, Dimension};

use super::gather::{fill_left_out, gather, scatter};
use super::rows::Rows;
use super::team;
use super::view::{Outputs, View, blocks};
use crate::error::{Error, Result};
use crate::float::{Encoding, Float};
use crate::kernel::RowKernel;
use crate::kernel::lane::{Fetch, Lane};
use crate::simd::level::Instructions;
use crate::simd::{Task, dispatch, level};
use crate::stop::{catching, checkpoint, fill_up};

/// Elements of a grain: large enough to pay for handing it to a thread.
pub(super) const GRAIN: usize = 1 << 15;

/// Fewer elements than this stay on the calling thread.
pub(crate) const PARALLEL: usize = 1 << 16;

/// Runs a kernel over the rows of the inputs along an axis for what it adds up to; `merge` gets
/// the grains' totals in order.
pub(crate) fn read_rows<T: Float, const K: usize, Kernel: RowKernel<T, K>>(
    inputs: &[View<'_, T>; K],
    axis: usize,
    kernel: &Kernel,
    merge: impl FnMut(Kernel::Total),
) -> Result<()> {
    let instructions = level()?;
    assert_one_shape(inputs, inputs[0].shape());
    let inputs = inputs.each_ref().map(|input| input.rows(axis));
    // SAFETY: inputs of one shape have equal rows; nothing is written.
    unsafe { run(instructions, &inputs, &[None, None], kernel, merge) }
}

/// Runs a kernel over the rows of the inputs along an axis, writing the rows of the outputs.
pub(crate) fn write_rows<'a, 'b: 'a, T: Float, const K: usize, Kernel: RowKernel<T, K>>(
    inputs: &[View<'_, T>; K],
    outputs: impl Into<Outputs<'a, 'b, T>>,
    axis: usize,
    kernel: &Kernel,
    merge: impl FnMut(Kernel::Total),
) -> Result<()> {
    let instructions = level()?;
    let outputs = outputs.into();
    assert_one_shape(inputs, outputs.first.shape());
    assert!(outputs.have_shape(inputs[0].shape()));
    let inputs = inputs.each_ref().map(|input| input.rows(axis));
    // SAFETY: arrays of one shape have equal rows; a `ViewMut` is writable, its elements are
    // distinct, and it overlaps inputs at most as `Outputs` says.
    unsafe { run(instructions, &inputs, &outputs.rows(axis), kernel, merge) }
}

/// Runs an element-wise kernel over blocks of the inputs for what it adds up to.
pub(crate) fn read_blocks<T: Float, const K: usize, Kernel: RowKernel<T, K>>(
    inputs: &[View<'_, T>; K],
    kernel: &Kernel,
    merge: impl FnMut(Kernel::Total),
) -> Result<()> {
    let instructions = level()?;
    assert_one_shape(inputs, inputs[0].shape());
    let (inputs, outputs) = blocks(inputs, [None; 2]);
    // SAFETY: `blocks` cuts arrays of one shape alike; nothing is written.
    unsafe { run(instructions, &inputs, &outputs, kernel, merge) }
}

/// Runs an element-wise kernel over blocks of the inputs, writing the outputs.
pub(crate) fn write_blocks<'a, 'b: 'a, T: Float, const K: usize, Kernel: RowKernel<T, K>>(
    inputs: &[View<'b, T>; K],
    outputs: impl Into<Outputs<'a, 'b, T>>,
    kernel: &Kernel,
    merge: impl FnMut(Kernel::Total),
) -> Result<()> {
    let instructions = level()?;
    let outputs = outputs.into();
    assert_one_shape(inputs, outputs.first.shape());
    assert!(outputs.have_shape(inputs[0].shape()));
    let (inputs, outputs) = blocks(inputs, [Some(outputs.first), outputs.second]);
    // SAFETY: `blocks` cuts arrays of one shape alike; the outputs are as in `write_rows`.
    unsafe { run(instructions, &inputs, &outputs, kernel, merge) }
}

/// What is made of the numbers of rows, one number a row.
pub(crate) trait ValueKernel<T>: Sync {
    type Total: Default + Send;

    /// Takes the numbers of rows from `first` on, which may be the caller's memory: another thread may change
    /// them between two reads. Implementations are `#[inline(always)]`.
    fn values<S: Simd>(&self, simd: S, first: usize, values: &[T], total: &mut Self::Total);
}

/// Numbers that a [`ValueKernel`] gets at a time, but for the last.
pub(crate) const VALUES: usize = 512;

/// Runs a kernel over the first elements of rows; `merge` gets the grains' totals in order.
pub(crate) fn read_values<T: Copy + Default + Send + Sync + 'static, Kernel: ValueKernel<T>>(
    rows: &Rows<'_, T>,
    kernel: &Kernel,
    merge: impl FnMut(Kernel::Total),
) -> Result<()> {
    let instructions = level()?;
    let count = rows.count();
    let grain = |index: usize, _: &mut Scratch<f64>| {
        let first = index * GRAIN;
        let rows_of_grain = first..count.min(first + GRAIN);
        dispatch(
            instructions,
            ValueGrain {
                rows,
                kernel,
                rows_of_grain,
            },
        )
    };
    run_grains([count.div_ceil(GRAIN), GRAIN], count, grain, merge)
}

struct ValueGrain<'a, 'b, T, Kernel> {
    rows: &'a Rows<'b, T>,
    kernel: &'a Kernel,
    rows_of_grain: std::ops::Range<usize>,
}

impl<T: Copy + Default + 'static, Kernel: ValueKernel<T>> Task for ValueGrain<'_, '_, T, Kernel> {
    type Output = Kernel::Total;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Kernel::Total {
        let mut total = Kernel::Total::default();
        if let Some(values) = self.rows.slice_of_values(self.rows_of_grain.clone()) {
            for (number, block) in values.chunks(VALUES).enumerate() {
                let first = self.rows_of_grain.start + number * VALUES;
                self.kernel.values(simd, first, block, &mut total);
            }
            return total;
        }
        let mut buffer = [T::default(); VALUES];
        let end = self.rows_of_grain.end;
        for first in self.rows_of_grain.step_by(VALUES) {
            let block = &mut buffer[..VALUES.min(end - first)];
            self.rows.values(first, block);
            self.kernel.values(simd, first, block, &mut total);
        }
        total
    }
}

/// The public operations check shapes and say what is wrong; this keeps a mistake of theirs from
/// reading out of bounds.
fn assert_one_shape<T>(inputs: &[View<'_, T>], shape: &[usize]) {
    assert!(inputs.iter().all(|input| input.shape() == shape));
}

/// Runs the kernel over all rows; `merge` gets the grains' totals in order.
///
/// # Safety
/// All inputs, and the outputs if there are any, have the same number and lengths of rows. An
/// output is writable, its rows overlap neither each other nor another output nor an input, but
/// that the first may be an input, element for element. A kernel that writes gets an output.
pub(super) unsafe fn run<T: Float, const K: usize, Kernel: RowKernel<T, K>>(
    instructions: Instructions,
    inputs: &[Rows<'_, T>; K],
    outputs: &[Option<Rows<'_, T>>; 2],
    kernel: &Kernel,
    merge: impl FnMut(Kernel::Total),
) -> Result<()> {
    let (rows, elements) = (inputs[0].count(), inputs[0].elements());
    if outputs[0].is_some() && elements == 0 {
        // There may be more rows without classes than anybody could count.
        return Ok(());
    }
    let rows_in_grain = (GRAIN / inputs[0].len().max(1)).max(1);
    let grain = |index: usize, scratch: &mut Scratch<T>| {
        let first = index * rows_in_grain;
        let task = Grain {
            inputs,
            output: outputs[0].as_ref(),
            second: outputs[1].as_ref(),
            kernel,
            rows: first..rows.min(first + rows_in_grain),
            scratch,
        };
        dispatch(instructions, task)
    };
    let results_in_grain = rows_in_grain.saturating_mul(kernel.results_in_row());
    run_grains(
        [rows.div_ceil(rows_in_grain), results_in_grain],
        elements,
        grain,
        merge,
    )
}

/// Results that wait to be merged, and grains: they are memory beside the arrays.
const RESULTS: usize = 1 << 20;
const GRAINS: usize = 1 << 14;

/// Runs so many grains of so many results, in parallel where there are elements enough; `merge` gets
/// their totals in order.
pub(super) fn run_grains<T: Send, Total: Send>(
    [grains, results_in_grain]: [usize; 2],
    elements: usize,
    grain: impl Fn(usize, &mut Scratch<T>) -> Total + Sync,
    mut merge: impl FnMut(Total),
) -> Result<()> {
    catching(|| {
        if grains > 1 && elements >= PARALLEL {
            let round = (RESULTS / results_in_grain.max(1)).clamp(1, GRAINS);
            for first in (0..grains).step_by(round) {
                let count = round.min(grains - first);
                let totals = team::map(count, Scratch::default, |scratch, index| {
                    grain(first + index, scratch)
                });
                totals.into_iter().for_each(&mut merge);
            }
        } else {
            let mut scratch = Scratch::default();
            for index in 0..grains {
                if index > 0 {
                    checkpoint();
                }
                merge(grain(index, &mut scratch));
            }
        }
    })
}

/// An empty vector with room for so many elements.
pub(crate) fn reserved<T>(elements: usize) -> Result<Vec<T>> {
    let mut vector = Vec::new();
    vector
        .try_reserve_exact(elements)
        .map_err(|_| Error::memory_for::<T>(elements))?;
    Ok(vector)
}

/// Arrays up to so many bytes are not worth asking for beforehand.
const SMALL: usize = 1 << 20;

/// An error if there is no memory for so many elements. Allocating them all the same would end the
/// process, and a view that repeats its elements may be larger than any memory.
pub(crate) fn check_memory<T>(elements: usize) -> Result<()> {
    if elements > SMALL / size_of::<T>() {
        reserved::<T>(elements)?;
    }
    Ok(())
}

/// A new array of zeros.
pub(crate) fn zeros<T: Clone, D: Dimension>(shape: D, zero: T) -> Result<Array<T, D>> {
    check_memory::<T>(shape.size())?;
    Ok(Array::from_elem(shape, zero))
}

/// Memory that a thread reuses from grain to grain.
pub(super) struct Scratch<T> {
    /// Rows that lie scattered in memory, or are encoded, are gathered here: one buffer for each
    /// input and each output.
    rows: Vec<Vec<T>>,
    /// Whatever a kernel needs.
    kernel: Vec<f64>,
}

impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            kernel: Vec::new(),
        }
    }
}

impl<T: Float> Scratch<T> {
    /// So many buffers, and the memory of the kernel.
    pub(super) fn buffers_and_kernel<const N: usize>(
        &mut self,
    ) -> ([&mut Vec<T>; N], &mut Vec<f64>) {
        self.first_buffers::<N>();
        let Self { rows, kernel } = self;
        let buffers = rows.first_chunk_mut();
        let buffers: &mut [_; N] = buffers.expect("there are at least so many");
        (buffers.each_mut(), kernel)
    }

    /// The buffers in a row.
    pub(super) fn first_buffers<const N: usize>(&mut self) -> &mut [Vec<T>; N] {
        self.rows.resize(self.rows.len().max(N), Vec::new());
        let buffers = self.rows.first_chunk_mut();
        buffers.expect("there are at least so many")
    }
}

/// Bytes that vectors are best aligned to: a cache line.
pub(super) const LINE: usize = 64;

/// So many elements of a buffer, from the start of a cache line on.
pub(super) fn aligned<T: Float>(buffer: &mut Vec<T>, elements: usize) -> &mut [T] {
    buffer.resize(elements + LINE / size_of::<T>(), T::ZERO);
    let start = buffer
        .as_ptr()
        .align_offset(LINE)
        .min(LINE / size_of::<T>());
    &mut buffer[start..start + elements]
}

struct Grain<'a, 'b, T, Kernel, const K: usize> {
    inputs: &'a [Rows<'b, T>; K],
    output: Option<&'a Rows<'b, T>>,
    second: Option<&'a Rows<'b, T>>,
    kernel: &'a Kernel,
    rows: std::ops::Range<usize>,
    scratch: &'a mut Scratch<T>,
}

impl<T, Kernel, const K: usize> Grain<'_, '_, T, Kernel, K> {
    /// What to fetch while a copied row is worked on: the next one, and where this one goes.
    fn beside(&self, row: usize) -> [Option<Fetch>; 2] {
        let output = self.output.and_then(|output| fetch(output, row, 0));
        [fetch(&self.inputs[0], row + 1, 0), output]
    }
}

/// Elements of a row from an index on, to be fetched if they lie one behind the other.
pub(super) fn fetch<T>(rows: &Rows<'_, T>, row: usize, index: usize) -> Option<Fetch> {
    let start = rows.place(row, index);
    match rows.encoding() {
        _ if !rows.are_runs() => None,
        Encoding::Own => Some(Fetch::all(start)),
        encoding => encoding.is_half().then(|| Fetch::half(start)),
    }
}

impl<T: Float, Kernel: RowKernel<T, K>, const K: usize> Task for Grain<'_, '_, T, Kernel, K> {
    type Output = Kernel::Total;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Kernel::Total {
        let mut total = Kernel::Total::default();
        let second_rows = self.second.filter(|_| Kernel::WRITES_TWO);
        let mut all = self.inputs.iter().chain(self.output).chain(second_rows);
        if !all.all(Rows::are_slices) {
            let buffers = K + 1 + usize::from(second_rows.is_some());
            self.scratch.rows.resize(buffers, Vec::new());
            for buffer in &mut self.scratch.rows {
                fill_up(buffer, self.inputs[0].len(), T::ZERO);
            }
        }
        // How much of a buffer holds what all rows do. That of the first input may be written to.
        let mut kept = [0; K];
        for row in self.rows.clone() {
            let len = self.inputs[0].len_of(row);
            let mut buffers = self.scratch.rows.iter_mut();
            let mut kept = kept.iter_mut();
            let inputs = self.inputs.each_ref().map(|input| {
                let (buffer, kept) = (buffers.next(), kept.next());
                match buffer {
                    Some(buffer) if !input.are_slices() => {
                        let kept = kept.expect("one for each input");
                        if *kept < len {
                            gather(simd, input, row, 0, &mut buffer[..len]);
                        }
                        if input.are_equal() && !std::ptr::eq(input, &raw const self.inputs[0]) {
                            *kept = len;
                        }
                        buffer.as_mut_ptr().cast_const()
                    }
                    _ => input.pointer(row),
                }
            });
            let mut scatter_from = None;
            let output = match self.output {
                Some(output) if !output.take_slices() => {
                    let copy = (!self.inputs[0].are_slices()).then_some(inputs[0].cast_mut());
                    // In the place of an input's copy it takes no more of the cache.
                    let start = copy.unwrap_or_else(|| {
                        let buffer = buffers.next();
                        buffer.expect("one buffer more than inputs").as_mut_ptr()
                    });
                    scatter_from = Some(start);
                    start
                }
                Some(output) => output.pointer(row).cast_mut(),
                None => std::ptr::NonNull::dangling().as_ptr(),
            };
            let mut scatter_second_from = None;
            let second = match second_rows {
                Some(rows) if !rows.take_slices() => {
                    let buffer = buffers.next();
                    let start = buffer.expect("one for each output").as_mut_ptr();
                    scatter_second_from = Some((rows, start));
                    start
                }
                Some(rows) => rows.pointer(row).cast_mut(),
                None => std::ptr::null_mut(),
            };
            // SAFETY: the rows exist and are `len` long, gathered ones in buffers of their own;
            // `run`'s caller promises that outputs are writable and that the first overlaps inputs
            // at most element for element, as does the copy of the first input, and no other grain
            // holds this row.
            let mut lane = unsafe { Lane::new(inputs, output, len).with_second(second) };
            if !self.inputs[0].are_slices() {
                lane = lane.of_copy(self.beside(row));
            }
            self.kernel
                .row(simd, row, &mut lane, &mut self.scratch.kernel, &mut total);
            match (self.output, scatter_from) {
                (Some(output), Some(from)) => {
                    // SAFETY: the buffer holds `len` elements that the kernel has written.
                    let from = unsafe { std::slice::from_raw_parts_mut(from, len) };
                    // SAFETY: the output's row has as many writable places.
                    unsafe { scatter(simd, from, output, row, 0) };
                }
                // SAFETY: this grain alone writes the row, whose lane is done.
                (Some(output), None) if output.mask().is_some() => unsafe {
                    fill_left_out(simd, output, row);
                },
                _ => {}
            }
            if let Some((rows, from)) = scatter_second_from {
                // SAFETY: as for the output.
                let from = unsafe { std::slice::from_raw_parts_mut(from, len) };
                // SAFETY: as above.
                unsafe { scatter(simd, from, rows, row, 0) };
            }
        }
        total
    }
}
